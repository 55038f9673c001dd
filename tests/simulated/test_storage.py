"""Scope: volumes on the simulated host: storms of uevents, lost ones, crashes; what is left is what is plugged in."""

from __future__ import annotations

import asyncio

import pytest

from eventd.api.model_rights import EVERYTHING
from eventd.audit.documents import audit
from eventd.kernel.domain import Context
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.report import WorkloadState
from eventd.platform.model_facts import ActiveState
from eventd.storage import domain as storage
from eventd.storage.controller import VolumeController
from eventd.storage.model_facts import StorageFact
from eventd.storage.model_ports import MountPoints, Mounts, Moves
from eventd.storage.model_records import VolumeState
from eventd_simulators.faults import Faults, stormy
from eventd_simulators.inprocess.disks import SimDisks
from eventd_simulators.model.drives import Drives
from eventd_simulators.virtual_time import run, virtual
from tests.simulated.daemon import Story, container

UUID = "11111111-2222-3333-4444-555555555555"
MANIFEST = f'[volume.media]\nuuid = "{UUID}"\npath = "/srv/media"\nlabel = "MEDIA"\n'
VOLUME = FactKey(StorageFact.VOLUME, "media")


class DiskStory(Story):
    """A world with drives."""

    def __init__(self, faults: Faults | None = None) -> None:
        self.drives = Drives()
        super().__init__(faults)

    def share(self, context: Context) -> None:
        """Share the simulated disks as what mounts, moves and changes mount points."""
        disks = SimDisks(self.host.life, self.drives, [("/srv/media", "app")])
        context.share(Mounts, disks)
        context.share(MountPoints, disks)
        context.share(Moves, disks)
        self.host.sources["disks"] = disks.reread
        disks.read()

    @property
    def controller(self) -> VolumeController:
        """That of volumes, in the life that is on."""
        (found,) = (each for each in self.engine.controllers.rows if isinstance(each, VolumeController))
        return found

    def deploy(self, more: str = "") -> str:
        """Push a workload that uses the volume and one that does not."""
        files = container("app", more=f"Volume=/srv/media/app:/data\n{more}") | container("other")
        return self.push({**files, "storage.toml": MANIFEST})

    @property
    def active(self) -> bool:
        """Whether the workload that uses the volume runs."""
        return self.unit("app").active is ActiveState.ACTIVE

    def assert_settled(self) -> None:
        """What is mounted and what runs is what the plugged in devices allow, and nothing was spilt."""
        carriers = [each for each in self.drives.blocks.values() if each.uuid == UUID]
        seen = self.controller.status_of(self.controller.manifest.volumes["media"])
        mounted = self.drives.on("/srv/media")
        if not carriers:
            assert (mounted, self.active) == (None, False), seen
        elif len(carriers) == 1:
            assert (mounted, self.active) == (UUID, True), seen
            assert "app" in self.drives.folders[UUID]
            assert seen.state is VolumeState.ATTACHED
        else:
            # Whatever was verified while it was alone; if there was no such moment, neither.
            assert self.active is (mounted == UUID), seen
            assert seen.reason == "duplicate-id"
        assert self.dispatcher.facts.get(VOLUME) is self.active
        assert self.drives.spills == []
        assert "/srv/media" in self.drives.sealed
        there = {each.number for each in self.drives.blocks.values()}
        kept = {number for number, _how in self.drives.copied.values()}
        assert kept <= there, "a namespace keeps a disk that is gone"
        assert self.unit("other").active is ActiveState.ACTIVE


@virtual()
async def test_a_disk_comes_goes_and_comes_back_under_another_name() -> None:
    """Started with it, stopped with it, started again; the other workload keeps its invocation."""
    told = DiskStory()
    await told.start()
    told.deploy()
    await told.quiet(10)
    assert told.status("app").state is WorkloadState.HELD
    assert told.status("volume:media").state is WorkloadState.HELD
    other = told.unit("other").invocation
    told.drives.plug("sdb1", UUID)
    await told.quiet(10)
    told.assert_settled()
    assert told.status("app").state is WorkloadState.CONVERGED
    audited = [row["name"] for row in audit(told.engine.queries, EVERYTHING)["workloads"]]
    assert audited == ["app", "other"], "a volume has no units"
    told.drives.pull("sdb1")
    await told.quiet(10)
    told.assert_settled()
    assert told.status("app").state is WorkloadState.HELD
    record = told.controller.record("media")
    assert record is not None
    assert (record.state, record.node) == (VolumeState.DISCONNECTED, "/dev/sdb1")
    told.drives.plug("sdc1", UUID)
    await told.quiet(10)
    told.assert_settled()
    assert told.unit("other").invocation == other
    assert told.controller.memory.stopped.get("app") is None


@virtual()
async def test_since_when_a_volume_is_known_and_when_its_disk_was_last_there() -> None:
    """The first stays over a restart; the second is the last moment with the disk, however long it is away."""
    told = DiskStory()
    await told.start()
    told.deploy()
    await told.quiet(10)
    declared = told.controller.record("media")
    assert declared is not None
    assert declared.added > 0
    assert declared.seen == 0, "it has never been there"
    told.drives.plug("sdb1", UUID)
    await told.quiet(100)
    pulled = asyncio.get_running_loop().time()
    told.drives.pull("sdb1")
    await told.quiet(500)
    gone = told.controller.record("media")
    assert gone is not None
    assert declared.added < gone.seen < pulled + 1, "the moment at which it was missed"
    await told.kill()
    await told.start()
    await told.quiet(10)
    again = told.controller.record("media")
    assert again is not None
    assert (again.added, again.seen) == (declared.added, gone.seen)


@virtual()
async def test_a_unit_that_an_operator_had_started_comes_back_too_and_one_that_was_off_stays_off() -> None:
    """Just what was running: eventd would not start these by itself."""
    told = DiskStory()
    await told.start()
    extra = {
        f"workloads/app/{name}.container": f"[Container]\nImage=localhost/web:1\nContainerName={name}\n"
        for name in ("on", "off")
    }
    files = container("app", more="Volume=/srv/media/app:/data") | container("other") | extra
    told.push(
        {
            **files,
            "storage.toml": MANIFEST,
            "workloads/app/workload.toml": 'manual = ["on.service", "off.service"]\n',
        }
    )
    told.drives.plug("sdb1", UUID)
    await told.quiet(10)
    told.manager("app").start("on.service")
    await told.quiet(10)
    told.drives.pull("sdb1")
    await told.quiet(10)
    assert told.unit("app", "on.service").active is ActiveState.INACTIVE
    told.drives.plug("sdb1", UUID)
    await told.quiet(10)
    assert told.unit("app", "on.service").active is ActiveState.ACTIVE
    assert told.unit("app", "off.service").active is ActiveState.INACTIVE
    told.assert_settled()


@virtual()
async def test_what_was_stopped_is_remembered_over_a_crash_and_a_reboot() -> None:
    """The disk goes, the daemon dies, the disk comes while nobody looks."""
    told = DiskStory()
    await told.start()
    told.deploy()
    told.drives.plug("sdb1", UUID)
    await told.quiet(10)
    told.drives.pull("sdb1")
    await told.quiet(10)
    assert told.controller.memory.stopped.get("app") is not None
    await told.kill()
    told.drives.plug("sdd1", UUID)
    await told.start()
    await told.quiet(10)
    told.assert_settled()
    assert told.controller.memory.stopped.get("app") is None


@virtual()
async def test_a_disk_that_goes_while_the_daemon_is_dead_is_found_out_at_its_start() -> None:
    """The dead mount is ours by its number, which is remembered; it goes, and its users stop."""
    told = DiskStory()
    await told.start()
    told.deploy()
    told.drives.plug("sdb1", UUID)
    await told.quiet(10)
    await told.kill()
    told.drives.pull("sdb1")
    await told.start()
    await told.quiet(10)
    told.assert_settled()


@virtual()
async def test_a_read_only_file_system_stops_its_users_until_an_operator_syncs() -> None:
    """The fault is reported, and not papered over by itself."""
    told = DiskStory()
    await told.start()
    told.deploy()
    told.drives.plug("sdb1", UUID)
    await told.quiet(10)
    told.drives.remount("/srv/media", "ro,nosuid,nodev,emergency_ro")
    await told.quiet(100)
    assert told.status("volume:media").reason == "read-only"
    assert not told.active
    await told.sync()
    await told.quiet(10)
    told.assert_settled()


@virtual()
async def test_a_disk_that_stays_read_only_is_tried_once_for_each_sync() -> None:
    """A write-protected one mounts read-only again: no run goes round in circles over it."""
    told = DiskStory()
    told.drives.write_protected = True
    await told.start()
    told.deploy()
    told.drives.plug("sdb1", UUID)
    await told.quiet(10)
    assert told.status("volume:media").reason == "read-only"
    assert not told.active
    for _ in range(2):
        before = told.host.life.calls.count("mount /srv/media")
        await told.sync()
        await told.quiet(10)
        assert told.host.life.calls.count("mount /srv/media") == before + 1
        assert told.status("volume:media").reason == "read-only"
    told.drives.write_protected = False
    await told.sync()
    await told.quiet(10)
    told.assert_settled()


@virtual()
async def test_a_broken_manifest_neither_stops_nor_unmounts_not_even_over_a_restart() -> None:
    """The last good one is in the database."""
    told = DiskStory()
    await told.start()
    told.deploy()
    told.drives.plug("sdb1", UUID)
    await told.quiet(10)
    before = told.unit("app").invocation
    files = container("app", more="Volume=/srv/media/app:/data") | container("other")
    told.push({**files, "storage.toml": MANIFEST + "oops = 1\n"})
    await told.quiet(10)
    assert told.status("app").state is WorkloadState.REFUSED
    await told.kill()
    await told.start()
    await told.quiet(10)
    assert told.drives.on("/srv/media") == UUID
    assert told.unit("app").invocation == before
    assert told.dispatcher.facts.get(VOLUME) is True


async def storm(story: DiskStory, seed: int) -> None:
    """Cables in and out of three ports, faster than anything can follow; copies; the daemon killed in between."""
    chance = story.world.faults.random
    for _ in range(25):
        node = chance.choice(("sdb1", "sdc1", "sdd1"))
        match chance.randrange(8):
            case 0 | 1 | 2:
                story.drives.plug(node, chance.choice((UUID, UUID, UUID, "9999")), label="MEDIA")
            case 3 | 4 | 5:
                story.drives.pull(node)
            case 6:
                story.drives.repeat()
            case _ if chance.random() < 0.2:
                await story.kill()
                await story.start()
            case _:
                pass
        await asyncio.sleep(chance.choice((0.0, 0.0, 0.001, 0.01, 0.2, 3.0)))
        assert not story.dead, f"seed {seed}"


@pytest.mark.parametrize("seed", range(40))
def test_a_storm_of_uevents_ends_as_the_drives_are(seed: int) -> None:
    """Repeated, overtaking, lost: one mount of the right device or none, and the workload accordingly."""

    async def story() -> None:
        told = DiskStory(stormy(seed))
        await told.start()
        told.deploy()
        await told.quiet(60)
        await storm(told, seed)
        told.world.faults.calm()
        await told.quiet()
        told.assert_settled()
        calls = len(told.host.life.calls)
        told.drives.repeat()
        await told.quiet(60)
        assert len(told.host.life.calls) == calls, "converged: saying it again changes nothing"

    run(story(), seed=seed)


@virtual()
async def test_the_mount_point_of_a_volume_that_left_is_taken_away_again() -> None:
    """Once nothing is mounted there: nothing of it is left that could keep anybody out. It can come back."""
    told = DiskStory()
    await told.start()
    told.deploy()
    await told.quiet(10)
    assert told.drives.sealed == {"/srv/media"}
    told.push({**container("app"), **container("other"), "storage.toml": ""})
    await told.quiet(10)
    assert told.drives.sealed == set()
    record = told.controller.record("media")
    assert record is not None
    assert record.unsealed
    assert told.controller.names() == []
    told.deploy()
    told.drives.plug("sdb1", UUID)
    await told.quiet(10)
    told.assert_settled()
    told.push({**container("app"), **container("other"), "storage.toml": ""})
    await told.quiet(10)
    assert told.drives.sealed == {"/srv/media"}, "it stays mounted until somebody unmounts it"


@virtual()
async def test_a_mount_point_that_the_host_does_not_allow_is_healed_though_the_manifest_is_refused() -> None:
    """An eventd that knew no such list had sealed a folder: its volume is no last good one, and the folder opens."""
    told = DiskStory()
    await told.start()
    told.deploy()
    await told.quiet(10)
    assert told.drives.sealed == {"/srv/media"}
    told.push({**container("app"), "storage.toml": MANIFEST.replace("/srv/media", "/var/lib/private")})
    await told.quiet(10)
    assert told.drives.sealed == {"/srv/media"}
    await told.kill()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "PLACES", ("/var",))
        await told.start()
    await told.quiet(10)
    assert told.drives.sealed == set()


@virtual()
async def test_a_disk_that_is_away_is_held_without_end_unless_the_workload_says_otherwise() -> None:
    """Ejected by a person or in a drawer: no deadline makes it a failure, but the one of [storage] does."""
    told = DiskStory()
    await told.start()
    files = container("app", more="Volume=/srv/media/app:/data") | container("other")
    short = '[health]\ndeadline = "30s"\n'
    told.push({**files, "workloads/app/workload.toml": short, "storage.toml": MANIFEST})
    await told.quiet(3600)
    status = told.status("app")
    assert (status.state, status.reason) == (WorkloadState.HELD, "volume-away")
    patient = short + '[storage]\ndeadline = "10min"\n'
    told.push({**files, "workloads/app/workload.toml": patient, "storage.toml": MANIFEST})
    await told.quiet(3600)
    status = told.status("app")
    assert (status.state, status.reason) == (WorkloadState.FAILED, "gate-timeout")
    assert "deadline in [storage] of workloads/app/workload.toml" in status.hint
    # Another gate's deadline counts from when that is what is missing, not from when the disk went.
    gated = 'requires = ["file:/run/never"]\n' + short
    told.push({**files, "workloads/app/workload.toml": gated, "storage.toml": MANIFEST})
    await told.quiet(10)
    assert told.status("app").reason == "gate"
    await told.quiet(60)
    assert told.status("app").reason == "gate-timeout"
