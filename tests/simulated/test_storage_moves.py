"""Scope: volumes that are put away and moved, on the simulated host: killed at every step, and in storms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from eventd.kernel.model.report import WorkloadState
from eventd.platform.model_facts import ActiveState
from eventd.storage.model_holders import Holder
from eventd.storage.model_records import VolumeState
from eventd.storage.plan import PREFIX
from eventd.storage.plan_migration import PATIENCE, Migration, Phase
from eventd_simulators.virtual_time import run, virtual
from tests.simulated.daemon import container
from tests.simulated.test_storage import MANIFEST, UUID, DiskStory


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
    return told.controller.status_of(told.controller.manifest.volumes["media"]).state


def ask(told: DiskStory) -> None:
    """Ask for a run over the volume, as the API does."""
    told.engine.loop.ask(PREFIX + "media", None)


@virtual()
async def test_eject_stops_the_users_unmounts_and_stays_so_until_attach() -> None:
    """The other workload keeps its invocation; a reboot with the disk plugged in changes nothing."""
    told = await ready()
    other = told.unit("other").invocation
    await told.controller.set_away("media", away=True)
    await told.quiet(10)
    assert (state(told), told.active) == (VolumeState.EJECTED, False)
    assert told.drives.on("/srv/media") is None
    assert told.status("app").state is WorkloadState.HELD
    await told.kill()
    await told.start()
    told.drives.pull("sdb1")
    told.drives.plug("sdc1", UUID)
    await told.quiet(10)
    assert (state(told), told.active) == (VolumeState.EJECTED, False)
    await told.controller.set_away("media", away=False)
    await told.quiet(10)
    told.assert_settled()
    assert told.unit("other").invocation == other
    assert told.drives.spills == []


@virtual()
async def test_a_busy_mount_is_named_and_put_away_when_it_is_free() -> None:
    """It is not torn away; a sync tries again."""
    told = await ready()
    told.drives.users.append(Holder(42, "vi", "open file"))
    await told.controller.set_away("media", away=True)
    await told.quiet(10)
    assert (state(told), told.active) == (VolumeState.EJECTING, False)
    assert "vi (pid 42, open file)" in told.status("volume:media").message
    told.drives.users.clear()
    ask(told)
    await told.quiet(10)
    assert state(told) is VolumeState.EJECTED


async def _ejected(kill: int) -> int:
    """Eject, killed at a boundary; return how many boundaries there are."""
    told = await ready()
    before = told.host.life.steps
    if kill:
        told.world.faults.crash_at = before + kill
    asking = asyncio.ensure_future(told.controller.set_away("media", away=True))
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
        record = told.controller.record("media")
        if record is None or not record.ejected:
            # Killed before it was written down: nobody was told that it was.
            assert told.active
            await told.controller.set_away("media", away=True)
    await told.quiet(60)
    assert state(told) is VolumeState.EJECTED
    assert told.drives.on("/srv/media") is None
    assert not told.active
    await told.controller.set_away("media", away=False)
    await told.quiet(60)
    told.assert_settled()
    assert told.unit("app").active is ActiveState.ACTIVE
    return count


LAST = 44
"""Boundaries of an eject; the first test sees that there are no more."""


def test_an_eject_has_no_more_boundaries_than_are_tried() -> None:
    """Else the next test would leave some out."""
    assert 5 < run(_ejected(0)) <= LAST


@pytest.mark.parametrize("kill", range(1, LAST + 1))
def test_an_eject_that_is_killed_anywhere_is_finished_or_was_never_begun(kill: int) -> None:
    """And attach brings back just what ran."""
    run(_ejected(kill))


BIG = "22222222-2222-3333-4444-555555555555"
TWO = MANIFEST + f'[volume.big]\nuuid = "{BIG}"\npath = "/srv/big"\n'


async def both() -> DiskStory:
    """Return a world with two volumes; the workload runs on the first."""
    told = DiskStory()
    await told.start()
    told.push(
        {**container("app", more="Volume=/srv/media/app:/data"), **container("other"), "storage.toml": TWO}
    )
    told.drives.plug("sdb1", UUID)
    told.drives.plug("sdc1", BIG)
    await told.quiet(10)
    assert told.active
    return told


def begin() -> Migration:
    """Return a migration that begins."""
    now = asyncio.get_running_loop().time()
    return Migration("media", "big", Phase.PREPARE, "root", now, now)


def on(told: DiskStory) -> str:
    """Return on which disk, and where there, the volume is; empty: nothing is mounted."""
    mount = told.drives.mounts.get("/srv/media")
    return f"{told.drives.on('/srv/media')}:{mount.root}" if mount is not None else ""


def phase(told: DiskStory) -> Phase | None:
    """Return how far the migration is."""
    row = told.controller.migrations.get("media")
    return row.phase if row is not None else None


NEW, OLD = f"{BIG}:/volume.media", f"{UUID}:/"


def assert_moved(told: DiskStory) -> None:
    """The workload runs on the other disk, under the same path; the old one is untouched, and mounted nowhere."""
    assert (phase(told), on(told), told.active) == (Phase.DONE, NEW, True)
    assert told.drives.folders[UUID].keys() == {"app"}
    assert told.drives.copies == {(BIG, "media"): told.drives.folders[UUID]}
    assert set(told.drives.mounts) == {"/srv/media", "/srv/big"}
    assert (told.drives.jobs, told.drives.drafts, told.drives.spills) == ({}, {}, [])
    assert told.controller.memory.stopped.get("app") is None


def assert_back(told: DiskStory) -> None:
    """Everything is as it was before."""
    assert (phase(told), on(told), told.active) == (Phase.FAILED, OLD, True)
    assert set(told.drives.mounts) == {"/srv/media", "/srv/big"}
    assert (told.drives.jobs, told.drives.drafts, told.drives.copies, told.drives.spills) == ({}, {}, {}, [])


@virtual()
async def test_a_migrated_volume_is_on_the_other_disk_and_follows_that_one() -> None:
    """Its old disk may go; when the new one goes its users stop, and come back with it."""
    told = await both()
    other = told.unit("other").invocation
    await told.controller.migrate(begin())
    await told.quiet(30)
    assert_moved(told)
    told.drives.pull("sdb1")
    await told.quiet(10)
    assert_moved(told)
    told.drives.pull("sdc1")
    await told.quiet(10)
    assert (on(told), told.active) == ("", False)
    told.drives.plug("sdb1", UUID)
    await told.quiet(10)
    assert (on(told), told.active) == ("", False), "the old data must not come back"
    told.drives.plug("sdd1", BIG)
    await told.quiet(10)
    assert_moved(told)
    await told.kill()
    await told.start()
    await told.quiet(10)
    assert_moved(told)
    assert told.unit("other").invocation == other


@virtual()
async def test_a_copy_that_fails_is_taken_back_and_the_workload_goes_on_where_it_was() -> None:
    """And says why."""
    told = await both()
    told.drives.broken = True
    await told.controller.migrate(begin())
    await told.quiet(30)
    assert_back(told)
    row = told.controller.migrations.get("media")
    assert row is not None
    assert row.error == "it broke"
    told.drives.broken = False
    await told.controller.migrate(begin())
    await told.quiet(30)
    assert_moved(told)


@virtual()
async def test_a_migration_that_is_ended_by_an_operator_is_taken_back() -> None:
    """In the middle of the copy."""
    told = await both()
    await told.controller.migrate(begin())
    await told.quiet(4)
    assert phase(told) is Phase.COPY
    assert (on(told), told.active) == ("", False)
    row = told.controller.migrations.get("media")
    assert row is not None
    await told.controller.migrate(row.to_phase(Phase.UNDO, 0.0))
    await told.quiet(10)
    assert_back(told)


@virtual()
async def test_a_process_that_will_not_go_ends_a_migration_and_keeps_nobody_waiting() -> None:
    """Its users run again on the old disk."""
    told = await both()
    told.drives.users.append(Holder(42, "vi", "open file"))
    await told.controller.migrate(begin())
    await told.quiet(20)
    row = told.controller.migrations.get("media")
    assert row is not None
    assert "vi (pid 42, open file)" in row.error
    assert (phase(told), on(told), told.active) == (Phase.FAILED, OLD, True)


async def _killed(told: DiskStory, kill: int, between: Callable[[], None] = lambda: None) -> int:
    """Begin a migration, with the daemon killed at a boundary and started again; return how many there were.

    `between`: what happens to the host while no daemon runs.
    """
    before = told.host.life.steps
    if kill:
        told.world.faults.crash_at = before + kill
    asking = asyncio.ensure_future(told.controller.migrate(begin()))
    for _ in range(40):
        await asyncio.sleep(1)
        if told.host.life.dead:
            break
    count = told.host.life.steps - before
    if told.host.life.dead:
        await told.until_dead()
        told.world.faults.crash_at = None
        between()
        await told.start()
        await told.quiet(90)
    asking.cancel()
    return count


async def _taken_back(kill: int) -> int:
    """Have a copy fail, and the daemon killed at a boundary; return how many boundaries there are."""
    told = await both()
    told.drives.broken = True
    count = await _killed(told, kill)
    if len(told.lives) > 1 and phase(told) is None:
        assert told.active  # killed before it was written down
    else:
        assert_back(told)
    return count


BACK = 112
"""Boundaries of a migration that is taken back."""


def test_a_migration_that_is_taken_back_has_no_more_boundaries_than_are_tried() -> None:
    """Else the next test would leave some out."""
    assert 30 < run(_taken_back(0)) <= BACK


@pytest.mark.parametrize("kill", range(1, BACK + 1, 3))
def test_a_migration_that_is_taken_back_is_so_also_when_it_is_killed_anywhere(kill: int) -> None:
    """The workload runs where it was, and no namespace keeps the disk as it was for the copy."""
    run(_taken_back(kill))


@virtual()
async def test_a_process_that_holds_it_in_a_namespace_ends_a_migration_as_well() -> None:
    """The disk cannot be read alone then; the unmount on the host went well, and is not the end of it."""
    told = await both()
    told.drives.strangers.append(Holder(43, "sleep", "mount namespace", 0, "/system.slice/stray.service"))
    await told.controller.migrate(begin())
    await told.quiet(20)
    row = told.controller.migrations.get("media")
    assert row is not None
    assert "sleep (pid 43, mount namespace) of stray.service" in row.error
    assert "systemctl stop stray.service" in row.hint
    assert_back(told)


@virtual()
async def test_a_workload_that_does_not_stop_ends_a_migration_after_a_while() -> None:
    """Nobody has to end it by hand: it goes on where it was, and so do the others that use the volume."""
    told = await both()
    told.world.faults.unstoppable.add("app.service")
    await told.controller.migrate(begin())
    await told.quiet(PATIENCE / 2)
    assert phase(told) is Phase.QUIESCE
    await told.quiet(PATIENCE)
    row = told.controller.migrations.get("media")
    assert row is not None
    assert (phase(told), row.error) == (Phase.FAILED, f"app did not stop within {PATIENCE:g} s")
    told.world.faults.unstoppable.clear()
    await told.quiet(30)
    assert_back(told)


@virtual()
async def test_an_unfinished_copy_that_cannot_be_deleted_keeps_nobody_waiting() -> None:
    """What is left of it is said; the workload runs."""
    told = await both()
    told.drives.broken = told.drives.undeletable = True
    await told.controller.migrate(begin())
    await told.quiet(30)
    row = told.controller.migrations.get("media")
    assert row is not None
    assert (phase(told), on(told), told.active) == (Phase.FAILED, OLD, True)
    assert "rm -r /srv/big/.eventd-migration-media" in row.hint


async def _migrated(kill: int, *, reboot: bool) -> int:
    """Migrate, killed at a boundary; return how many boundaries there are."""
    told = await both()

    def between() -> None:
        if reboot:
            told.drives.mounts.clear()
            told.drives.jobs.clear()

    count = await _killed(told, kill, between)
    if len(told.lives) > 1 and phase(told) is None:
        assert told.active  # killed before it was written down: nobody was told that it was
        await told.controller.migrate(begin())
        await told.quiet(60)
    assert_moved(told)
    return count


STEPS = 140
"""Boundaries of a migration; a test sees that there are no more."""


def test_a_migration_has_no_more_boundaries_than_are_tried() -> None:
    """Else the next test would leave some out."""
    assert 30 < run(_migrated(0, reboot=False)) <= STEPS


KILLS = [(kill, False) for kill in range(1, STEPS + 1)] + [(kill, True) for kill in range(2, STEPS + 1, 4)]
"""A killed daemon meets everything as it was; a reboot's other boundaries are much alike."""


@pytest.mark.parametrize(("kill", "reboot"), KILLS)
def test_a_migration_that_is_killed_anywhere_is_finished(kill: int, *, reboot: bool) -> None:
    """With the mounts and the copy going on without the daemon, or gone with the host's power."""
    run(_migrated(kill, reboot=reboot))


async def lost(told: DiskStory) -> None:
    """Kill the daemon, and start it after a reboot with nothing remembered of volumes."""
    await told.kill()
    told.world.disk.documents.clear()
    told.drives.mounts.clear()
    await told.start()


def say_moved(told: DiskStory, manifest: str = TWO) -> None:
    """Push a manifest that says that the volume was migrated."""
    said = manifest.replace("[volume.media]\n", '[volume.media]\nmigrated_to = "big"\n')
    files = container("app", more="Volume=/srv/media/app:/data") | container("other")
    told.push({**files, "storage.toml": said})


@virtual()
async def test_a_lost_database_never_brings_the_old_disk_back() -> None:
    """Not at once, not after the first attach from the folder, a restart, an eject and an attach."""
    told = await both()
    await told.controller.migrate(begin())
    await told.quiet(30)
    say_moved(told)
    await told.quiet(10)
    await lost(told)
    await told.quiet(30)
    assert (on(told), told.active) == (NEW, True)
    for _ in range(2):
        await told.kill()
        told.drives.mounts.clear()
        await told.start()
        await told.quiet(30)
        assert (on(told), told.active) == (NEW, True)
    await told.controller.set_away("media", away=True)
    await told.quiet(10)
    assert on(told) == ""
    await told.controller.set_away("media", away=False)
    await told.quiet(10)
    assert (on(told), told.active) == (NEW, True)
    told.drives.pull("sdc1")
    await told.quiet(10)
    await told.kill()
    await told.start()
    await told.quiet(10)
    assert (on(told), told.active) == ("", False)
    assert told.drives.folders[UUID].keys() == {"app"}


@virtual()
async def test_a_volume_whose_other_left_the_manifest_is_refused() -> None:
    """What was done on this host is known: the old disk is not mounted."""
    told = await both()
    await told.controller.migrate(begin())
    await told.quiet(30)
    told.push({**container("app", more="Volume=/srv/media/app:/data"), "storage.toml": MANIFEST})
    await told.quiet(10)
    assert (on(told), told.active) == (NEW, False)
    await told.kill()
    told.drives.mounts.clear()
    await told.start()
    await told.quiet(30)
    assert (on(told), told.active) == ("", False)
    assert told.status("volume:media").reason == "moved-elsewhere"


@virtual()
async def test_a_word_in_the_manifest_unmounts_nothing_and_mounts_no_old_disk_after_a_reboot() -> None:
    """Nothing was copied, and there is no folder: both are said."""
    told = await both()
    say_moved(told)
    await told.quiet(10)
    assert (on(told), told.active) == (OLD, True)
    assert told.status("volume:media").reason == "not-moved"
    await told.kill()
    told.drives.mounts.clear()
    await told.start()
    await told.quiet(30)
    assert (on(told), told.active) == ("", False)
    assert told.status("volume:media").reason == "no-folder"
    told.push(
        {
            **container("app", more="Volume=/srv/media/app:/data"),
            **container("other"),
            "storage.toml": TWO,
        }
    )
    await told.quiet(10)
    assert (on(told), told.active) == (OLD, True)


@virtual()
async def test_a_migration_that_was_written_down_too_early_and_fails_stays_on_its_disk() -> None:
    """It is known that nothing was moved; the next attempt moves it."""
    told = await both()
    say_moved(told)
    await told.quiet(10)
    told.drives.broken = True
    await told.controller.migrate(begin())
    await told.quiet(30)
    assert_back(told)
    told.drives.broken = False
    await told.controller.migrate(begin())
    await told.quiet(30)
    assert_moved(told)
