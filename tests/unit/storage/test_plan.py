"""How a volume is, from devices and mounts, and what would be done about it: pure."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventd.kernel.model.action import Action
from eventd.mounts.model_facts import DeviceState, MountState
from eventd.storage.model_actions import MountVolume, NoteVolume, SealMountPoint, UnmountVolume
from eventd.storage.model_manifest import IdKind, Volume, Wanted
from eventd.storage.model_records import VolumeRecord, VolumeState
from eventd.storage.model_volume import VolumeStatus, assess
from eventd.storage.plan import draft

UUID = "11111111-2222-3333-4444-555555555555"
MEDIA = Volume("media", IdKind.UUID, UUID, "/srv/media", label="MEDIA")
DISK = DeviceState(
    UUID, ("/dev/sdb1",), "MEDIA", "ext4", ("8:17",), frozenset({f"/dev/disk/by-uuid/{UUID}"}), ("",)
)
MOUNT = MountState("/srv/media", "/dev/sdb1", "ext4", "rw,nosuid,nodev,relatime", "8:17")
KNOWN = VolumeRecord(MEDIA, VolumeState.ATTACHED, node="/dev/sdb1", number="8:17")


def plan(
    seen: VolumeStatus, record: VolumeRecord | None = KNOWN, *, sealed: bool = True, forced: bool = False
) -> list[str]:
    """Return the verbs of what would be done."""
    return [each.verb for each in drafted(seen, record, sealed=sealed, forced=forced)]


def drafted(
    seen: VolumeStatus, record: VolumeRecord | None = KNOWN, *, sealed: bool = True, forced: bool = False
) -> tuple[Action, ...]:
    """Return what would be done."""
    return draft(MEDIA, seen, record, sealed=sealed, uids=(1000,), now=5.0, forced=forced)


def test_what_is_mounted_and_is_the_right_device_needs_nothing() -> None:
    """The plan is empty: converged."""
    seen = assess(MEDIA, [DISK], MOUNT, KNOWN)
    assert (seen.state, seen.usable, seen.node) == (VolumeState.ATTACHED, True, "/dev/sdb1")
    assert plan(seen) == []


def test_a_disk_that_comes_is_mounted_after_its_mount_point_is_sealed() -> None:
    """In this order, so that at no moment something can be written beneath it."""
    seen = assess(MEDIA, [DISK], None, None)
    assert seen.state is VolumeState.FOUND
    assert plan(seen, None, sealed=False) == ["note-volume", "seal-mount-point"]
    (mount,) = drafted(seen, replace(KNOWN, state=VolumeState.DISCONNECTED))
    assert isinstance(mount, MountVolume)
    assert mount.uids == (1000,)


def test_a_mount_point_is_sealed_also_while_the_disk_is_away() -> None:
    """A workload must find nothing to write into before the first attach either."""
    seen = assess(MEDIA, [], None, None)
    assert (seen.state, seen.reason) == (VolumeState.DISCONNECTED, "not-attached")
    assert SealMountPoint.verb in plan(seen, None, sealed=False)
    assert MountVolume.verb not in plan(seen, None)


def test_a_mount_whose_device_is_gone_is_taken_away_lazily() -> None:
    """It was ours: its number is the one that is remembered."""
    seen = assess(MEDIA, [], MOUNT, KNOWN)
    assert (seen.state, seen.usable) == (VolumeState.LOST, False)
    unmount = drafted(seen)[-1]
    assert isinstance(unmount, UnmountVolume)
    assert unmount.lazy


def test_a_disk_that_came_back_under_another_number_does_not_make_the_dead_mount_its_own() -> None:
    """The old mount goes first; the next plan mounts the new device."""
    back = replace(DISK, nodes=("/dev/sdc1",), numbers=("8:33",))
    seen = assess(MEDIA, [back], MOUNT, KNOWN)
    assert seen.state is VolumeState.LOST
    assert plan(seen)[-1] == UnmountVolume.verb


def test_what_somebody_else_mounted_there_is_refused_and_left_alone() -> None:
    """Whatever it is: it was not mounted by eventd, and is not the volume."""
    other = replace(MOUNT, source="tmpfs", fstype="tmpfs", device="0:55")
    seen = assess(MEDIA, [DISK], other, None)
    assert (seen.state, seen.reason, seen.ours) == (VolumeState.REFUSED, "something-else-mounted", False)
    assert plan(seen, None, sealed=False) == ["note-volume"]


def test_the_right_disk_mounted_by_somebody_else_is_used_only_if_that_is_safe() -> None:
    """Without nosuid and nodev a foreign disk could bring programs of root along."""
    assert assess(MEDIA, [DISK], MOUNT, None).usable
    seen = assess(MEDIA, [DISK], replace(MOUNT, options="rw,nosuid"), None)
    assert (seen.state, seen.reason) == (VolumeState.REFUSED, "unsafe-options")
    assert "nodev" in seen.message
    assert plan(seen, None, sealed=False) == ["note-volume"]


@pytest.mark.parametrize("options", ["ro,nosuid,nodev", "rw,nosuid,nodev,emergency_ro"])
def test_a_mount_that_turned_read_only_is_degraded_until_an_operator_asks(options: str) -> None:
    """A fault: not to be papered over by mounting again and again."""
    seen = assess(MEDIA, [DISK], replace(MOUNT, options=options), KNOWN)
    assert (seen.state, seen.reason, seen.usable) == (VolumeState.DEGRADED, "read-only", False)
    assert plan(seen) == ["note-volume"]
    assert plan(seen, forced=True) == ["note-volume", "unmount-volume"]


def test_a_volume_that_is_meant_to_be_read_only_may_be() -> None:
    """`options = ["ro"]`."""
    archive = replace(MEDIA, options=("ro",))
    assert assess(archive, [DISK], replace(MOUNT, options="ro,nosuid,nodev"), KNOWN).usable


def test_of_two_devices_with_one_id_neither_is_mounted() -> None:
    """Nobody can say which one is meant."""
    both = replace(DISK, nodes=("/dev/sdb1", "/dev/sdc1"), numbers=("8:17", "8:33"), members=("", ""))
    seen = assess(MEDIA, [both], None, None)
    assert (seen.state, seen.reason) == (VolumeState.REFUSED, "duplicate-id")
    assert "/dev/sdb1 and /dev/sdc1" in seen.message
    assert MountVolume.verb not in plan(seen, None)


def test_a_copy_beside_what_is_mounted_is_reported_and_changes_nothing() -> None:
    """It was verified while it was alone, and its number is known."""
    both = replace(DISK, nodes=("/dev/sda1", "/dev/sdb1"), numbers=("8:1", "8:17"), members=("", ""))
    seen = assess(MEDIA, [both], MOUNT, KNOWN)
    assert (seen.usable, seen.reason, seen.node) == (True, "duplicate-id", "/dev/sdb1")
    assert plan(seen) == ["note-volume"]


def test_members_of_one_file_system_over_several_devices_are_no_copies() -> None:
    """Btrfs: they differ in UUID_SUB, and mountinfo has a number of no device."""
    raid = replace(
        DISK, fstype="btrfs", nodes=("/dev/sdb1", "/dev/sdc1"), numbers=("8:17", "8:33"), members=("a", "b")
    )
    assert assess(MEDIA, [raid], None, None).state is VolumeState.FOUND
    mount = replace(MOUNT, fstype="btrfs", device="0:44")
    assert assess(MEDIA, [raid], mount, None).usable
    assert not assess(MEDIA, [raid], replace(mount, source="/dev/sdz9"), None).usable


def test_an_unknown_file_system_is_never_mounted() -> None:
    """Only what `fstype` allows."""
    seen = assess(MEDIA, [replace(DISK, fstype="ntfs")], None, None)
    assert (seen.state, seen.reason) == (VolumeState.REFUSED, "file-system")
    assert MountVolume.verb not in plan(seen, None)


def test_a_disk_with_the_right_label_and_another_id_is_named_as_the_mistake_it_is() -> None:
    """The label proves nothing."""
    seen = assess(MEDIA, [replace(DISK, uuid="9999")], None, None)
    assert (seen.state, seen.reason) == (VolumeState.REFUSED, "wrong-disk")
    assert "9999" in seen.message
    assert UUID in seen.message


@pytest.mark.parametrize(("kind", "folder"), [(IdKind.PARTUUID, "by-partuuid"), (IdKind.BY_ID, "by-id")])
def test_other_durable_ids_are_found_by_udevs_links(kind: IdKind, folder: str) -> None:
    """What the file system's UUID is does not matter then."""
    volume = replace(MEDIA, id_kind=kind, id="abc-1")
    device = replace(DISK, uuid="whatever", links=frozenset({f"/dev/disk/{folder}/abc-1"}))
    assert assess(volume, [device], None, None).state is VolumeState.FOUND
    assert assess(volume, [DISK], None, None).reason == "wrong-disk"


def test_what_is_ejected_or_decommissioned_is_not_mounted() -> None:
    """Though its disk is there."""
    assert (
        assess(MEDIA, [DISK], None, replace(KNOWN, ejected=True, released=True)).state is VolumeState.EJECTED
    )
    gone = replace(MEDIA, state=Wanted.DECOMMISSIONED)
    assert assess(gone, [DISK], None, KNOWN).state is VolumeState.DECOMMISSIONED


def test_a_state_is_written_down_once_with_its_moment() -> None:
    """What was noted is not noted again, and keeps its `since`."""
    seen = assess(MEDIA, [], None, KNOWN)
    note = drafted(seen)[0]
    assert isinstance(note, NoteVolume)
    assert (note.record.state, note.record.since, note.record.seen) == (VolumeState.DISCONNECTED, 5.0, 5.0)
    assert note.record.node == "/dev/sdb1", "where it was last seen"
    assert drafted(seen, note.record) == ()


_DEVICES = st.lists(
    st.sampled_from(
        [
            DISK,
            replace(DISK, nodes=("/dev/sdc1",), numbers=("8:33",)),
            replace(DISK, uuid="9999"),
            replace(DISK, fstype="ntfs"),
            replace(DISK, nodes=("/dev/sdb1", "/dev/sdd1"), numbers=("8:17", "8:49"), members=("", "")),
        ]
    ),
    max_size=3,
)
_MOUNTS = st.sampled_from(
    [
        None,
        MOUNT,
        replace(MOUNT, device="8:99", source="/dev/sdx"),
        replace(MOUNT, device="0:9", source="tmpfs"),
        replace(MOUNT, options="ro,nosuid,nodev"),
        replace(MOUNT, options="rw"),
    ]
)
_RECORDS = st.sampled_from([None, KNOWN, replace(KNOWN, number="8:99"), replace(KNOWN, ejected=True)])


@given(_DEVICES, _MOUNTS, _RECORDS)
def test_whatever_there_is_only_the_right_device_is_usable_and_nothing_foreign_is_unmounted(
    devices: list[DeviceState], mount: MountState | None, record: VolumeRecord | None
) -> None:
    """The two promises, over every combination."""
    seen = assess(MEDIA, devices, mount, record)
    if seen.usable:
        assert mount is not None
        assert any(mount.device in device.numbers and device.uuid == UUID for device in devices)
        assert {"nosuid", "nodev"} <= set(mount.options.split(","))
    for action in drafted(seen, record, sealed=False, forced=True):
        if isinstance(action, UnmountVolume):
            mine = {number for device in devices if device.uuid == UUID for number in device.numbers}
            assert mount is not None
            assert mount.device in mine or (record is not None and mount.device == record.number)
        if isinstance(action, MountVolume):
            assert mount is None
