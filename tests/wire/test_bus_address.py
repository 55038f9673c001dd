"""Scope: which system bus is used: that of eventd.toml, else DBUS_SYSTEM_BUS_ADDRESS, else the standard one."""

from __future__ import annotations

import pytest

from eventd import domains, settings
from eventd.platform.dbus.connection import system_bus_address
from eventd.platform.systemd.source import SystemSource
from tests.unit.kernel.recorder import Recorder
from tests.wire.bus_daemon import BusDaemon
from tests.wire.fakes.manager import FakeManager
from tests.wire.running import running

TEXT = '[repository]\nurl = "https://forge.example/repo.git"\n'
NOWHERE = "unix:path=/nonexistent/bus"


def configured(text: str) -> str | None:
    """Return [dbus] system of a configuration."""
    return settings.parse(TEXT + text, "eventd.toml", domains.tables()).dbus.system


@pytest.mark.parametrize("environment", [None, ""])
def test_the_standard_address_is_that_of_the_specification(
    monkeypatch: pytest.MonkeyPatch, environment: str | None
) -> None:
    """Also where the variable is empty."""
    monkeypatch.delenv("DBUS_SYSTEM_BUS_ADDRESS", raising=False)
    if environment is not None:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", environment)
    assert configured("") is None
    assert system_bus_address() == "unix:path=/run/dbus/system_bus_socket"


async def test_the_variable_leads_to_another_bus(
    bus_daemon: BusDaemon, manager: FakeManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source without an address of its own reads the manager that is there."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus_daemon.address)
    manager.unit("web.service", ActiveState="active")
    recorder = Recorder()
    async with running(SystemSource(recorder, address=configured("")).run):
        assert recorder.unit("web.service") is not None


async def test_the_setting_counts_before_the_variable(
    bus_daemon: BusDaemon, manager: FakeManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator wrote it down for eventd alone."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", NOWHERE)
    manager.unit("web.service", ActiveState="active")
    recorder = Recorder()
    chosen = configured(f'[dbus]\nsystem = "{bus_daemon.address}"\n')
    async with running(SystemSource(recorder, address=chosen).run):
        assert recorder.unit("web.service") is not None
