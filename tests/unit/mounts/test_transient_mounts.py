"""Scope: whose a mount is that is to be unmounted, by what systemd says of its unit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from eventd.kernel.model.errors import PermanentError
from eventd.mounts.adapter_transient_mounts import TransientMounts
from eventd.platform.model_facts import ActiveState, LoadState, UnitState
from eventd.platform.systemd.ports import JobResult, Verb

WHERE = "/srv/media"
UNIT = "srv-media.mount"
OURS = UnitState(
    UNIT, LoadState.LOADED, ActiveState.ACTIVE, "mounted", fragment_path=f"/run/systemd/transient/{UNIT}"
)
OF_A_PERSON = UnitState(UNIT, LoadState.LOADED, ActiveState.ACTIVE, "mounted", fragment_path="")
FORGOTTEN = UnitState(UNIT, LoadState.NOT_FOUND, ActiveState.INACTIVE, "dead", fragment_path="")


@dataclass
class Systemd:
    """A system's manager with one unit."""

    unit: UnitState
    done: list[str] = field(default_factory=list)

    async def job(self, verb: Verb, unit: str, *, timeout: float) -> JobResult:
        """See the port."""
        del timeout
        self.done.append(f"{verb} {unit}")
        return JobResult(unit, "done")

    async def read_unit(self, name: str) -> UnitState:
        """See the port."""
        assert name == self.unit.name
        return self.unit

    async def reset_failed(self, unit: str) -> None:
        """See the port."""

    async def start_transient(
        self, unit: str, properties: Sequence[tuple[str, str, Any]], *, timeout: float
    ) -> JobResult:
        """See the port."""
        del properties, timeout
        self.done.append(f"transient {unit}")
        return JobResult(unit, "done")


def unmount(systemd: Systemd, *, lazy: bool) -> JobResult:
    """Unmount what is mounted there."""
    return asyncio.run(TransientMounts(systemd, "/nowhere").unmount(WHERE, lazy=lazy, timeout=1))


@pytest.mark.parametrize("lazy", [False, True])
def test_what_systemd_has_unmounted_by_itself_is_done_and_nobody_elses(lazy: bool) -> None:
    """A disk that is pulled takes its mount unit with it, and its file, while eventd is on its way."""
    systemd = Systemd(FORGOTTEN)
    assert unmount(systemd, lazy=lazy).done
    assert systemd.done == []


@pytest.mark.parametrize("lazy", [False, True])
def test_what_was_mounted_otherwise_is_left_alone(lazy: bool) -> None:
    """By a line in fstab, or by hand: there is no transient unit of it."""
    systemd = Systemd(OF_A_PERSON)
    with pytest.raises(PermanentError) as refused:
        unmount(systemd, lazy=lazy)
    assert refused.value.reason == "not-ours"
    assert systemd.done == []


def test_what_eventd_mounted_is_unmounted_by_its_unit_or_out_of_the_tree() -> None:
    """The latter for a disk that is dead."""
    systemd = Systemd(OURS)
    assert unmount(systemd, lazy=False).done
    assert unmount(systemd, lazy=True).done
    assert systemd.done == [f"{Verb.STOP} {UNIT}", "transient eventd-detach-srv-media.service"]
