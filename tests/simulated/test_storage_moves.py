"""Scope: volumes that are put away and moved, on the simulated host: killed at every step, and in storms."""

from __future__ import annotations

import asyncio

import pytest

from eventd.core.facts import ActiveState
from eventd.core.report import WorkloadState
from eventd.core.storage_plan import PREFIX
from eventd.core.storage_ports import Holder
from eventd.core.storage_records import VolumeState
from eventd_simulators.virtual_time import run
from tests.simulated.test_storage import UUID, DiskStory


async def ready() -> DiskStory:
    """Return a world whose workload runs on its volume."""
    told = DiskStory()
    await told.start()
    told.deploy()
    told.drives.plug("sdb1", UUID)
    await told.quiet(10)
    told.assert_settled()
    return told


def state(told: DiskStory) -> VolumeState:
    """Return how the volume is."""
    return told.keeper.look(told.keeper.manifest.volumes["media"]).state


def ask(told: DiskStory) -> None:
    """Ask for a run over the volume, as the API does."""
    told.engine.reconciler.ask(PREFIX + "media", None)


def test_eject_stops_the_users_unmounts_and_stays_so_until_attach() -> None:
    """The other workload keeps its invocation; a reboot with the disk plugged in changes nothing."""

    async def story() -> None:
        told = await ready()
        other = told.unit("other").invocation
        await told.keeper.set_away("media", away=True)
        await told.quiet(10)
        assert (state(told), told.active) == (VolumeState.EJECTED, False)
        assert told.drives.on("/srv/media") is None
        assert told.standing("app").state is WorkloadState.HELD
        await told.kill()
        await told.start()
        told.drives.pull("sdb1")
        told.drives.plug("sdc1", UUID)
        await told.quiet(10)
        assert (state(told), told.active) == (VolumeState.EJECTED, False)
        await told.keeper.set_away("media", away=False)
        await told.quiet(10)
        told.assert_settled()
        assert told.unit("other").invocation == other
        assert told.drives.spills == []

    run(story())


def test_a_busy_mount_is_named_and_put_away_when_it_is_free() -> None:
    """It is not torn away; a sync tries again."""

    async def story() -> None:
        told = await ready()
        told.drives.users.append(Holder(42, "vi", "open file"))
        await told.keeper.set_away("media", away=True)
        await told.quiet(10)
        assert (state(told), told.active) == (VolumeState.EJECTING, False)
        assert "vi (pid 42, open file)" in told.standing("volume:media").message
        told.drives.users.clear()
        ask(told)
        await told.quiet(10)
        assert state(told) is VolumeState.EJECTED

    run(story())


async def _ejected(kill: int) -> int:
    """Eject, killed at a boundary; return how many boundaries there are."""
    told = await ready()
    before = told.host.life.steps
    if kill:
        told.world.faults.crash_at = before + kill
    asking = asyncio.ensure_future(told.keeper.set_away("media", away=True))
    await asyncio.wait([asking], timeout=5)
    for _ in range(60):
        await asyncio.sleep(1)
        if told.host.life.dead:
            break
    count = told.host.life.steps - before
    if told.host.life.dead:
        await told.until_dead()
        told.world.faults.crash_at = None
        await told.start()
        await told.quiet(60)
        record = told.keeper.record("media")
        if record is None or not record.ejected:
            # Killed before it was written down: nobody was told that it was.
            assert told.active
            await told.keeper.set_away("media", away=True)
    await told.quiet(60)
    assert state(told) is VolumeState.EJECTED
    assert told.drives.on("/srv/media") is None
    assert not told.active
    await told.keeper.set_away("media", away=False)
    await told.quiet(60)
    told.assert_settled()
    assert told.unit("app").active is ActiveState.ACTIVE
    return count


LAST = 42
"""Boundaries of an eject; the first test sees that there are no more."""


def test_an_eject_has_no_more_boundaries_than_are_tried() -> None:
    """Else the next test would leave some out."""
    assert 5 < run(_ejected(0)) <= LAST


@pytest.mark.parametrize("kill", range(1, LAST + 1))
def test_an_eject_that_is_killed_anywhere_is_finished_or_was_never_begun(kill: int) -> None:
    """And attach brings back just what ran."""
    run(_ejected(kill))
