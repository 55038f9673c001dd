"""Fixtures of the wire tests: a real, private dbus-daemon, a connection of ours to it, and fakes as peers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from eventd.platform.dbus.connection import Bus
from tests.wire.bus_daemon import BusDaemon
from tests.wire.fakes.manager import FakeManager


@pytest.fixture
def bus_daemon(tmp_path: Path) -> Iterator[BusDaemon]:
    """A running dbus-daemon."""
    daemon = BusDaemon(tmp_path)
    daemon.start()
    yield daemon
    daemon.kill()


@pytest.fixture
async def bus(bus_daemon: BusDaemon) -> AsyncIterator[Bus]:
    """A connection of the adapter."""
    connection = await Bus.connect(bus_daemon.address, timeout=60)
    yield connection
    await connection.close()


@pytest.fixture
async def manager(bus_daemon: BusDaemon) -> AsyncIterator[FakeManager]:
    """A fake systemd on the bus."""
    fake = FakeManager()
    await fake.start(bus_daemon.address)
    yield fake
    await fake.stop()
