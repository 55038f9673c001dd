"""Volumes that are put away and moved: how they are, and what would be done, from facts alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eventd.kernel.model.action import Action
from eventd.mounts.model_facts import DeviceState, MountState
from eventd.platform.model_facts import ActiveState, LoadState, UnitState
from eventd.storage.model_actions import (
    MigrateVolume,
    MountVolume,
    ReleaseVolume,
    UnmountVolume,
)
from eventd.storage.model_manifest import IdKind, Volume, Wanted
from eventd.storage.model_moved import assess_moved, moved, place_of
from eventd.storage.model_records import VolumeRecord, VolumeState
from eventd.storage.model_volume import VolumeStatus, assess
from eventd.storage.plan import Moving, draft
from eventd.storage.plan_migration import Migration, Phase, Step, count_of, job_of, message_of, next_step

MEDIA = Volume("media", IdKind.UUID, "1111", "/srv/media")
BIG = Volume("big", IdKind.UUID, "2222", "/srv/big")
OLD = DeviceState("1111", ("/dev/sdb1",), "", "ext4", ("8:17",), frozenset({"/dev/disk/by-uuid/1111"}), ("",))
NEW = DeviceState("2222", ("/dev/sdc1",), "", "ext4", ("8:33",), frozenset({"/dev/disk/by-uuid/2222"}), ("",))
MOUNT = MountState("/srv/media", "/dev/sdb1", "ext4", "rw,nosuid,nodev", "8:17")
MOVED = replace(MOUNT, source="/dev/sdc1", device="8:33", root="/volume.media")
KNOWN = VolumeRecord(MEDIA, VolumeState.ATTACHED, node="/dev/sdb1", number="8:17")
AWAY = replace(KNOWN, ejected=True, state=VolumeState.EJECTING)
GONE = replace(KNOWN, migrated_to="big", node="", number="")
PLACE = place_of(MEDIA, BIG, there=True)
ROW = Migration("media", "big", Phase.QUIESCE, "root", 1.0, 1.0)


def drafted(
    seen: VolumeStatus, record: VolumeRecord, *, running: bool = False, moving: Moving | None = None
) -> tuple[Action, ...]:
    """Return what would be done, besides noting how it is."""
    place = PLACE if record.migrated_to else None
    noted = replace(record, state=seen.state, reason=seen.reason)
    return draft(
        MEDIA, seen, noted, sealed=True, uids=(), now=5.0, running=running, place=place, moving=moving
    )


def test_a_volume_that_is_put_away_is_not_usable_at_once_and_unmounted_when_nothing_runs() -> None:
    """Never torn away: not lazily."""
    seen = assess(MEDIA, [OLD], MOUNT, AWAY)
    assert (seen.state, seen.usable, seen.leaving) == (VolumeState.EJECTING, False, True)
    assert drafted(seen, AWAY, running=True) == ()
    (action,) = drafted(seen, AWAY)
    assert isinstance(action, UnmountVolume)
    assert not action.lazy


def test_it_is_safe_to_remove_only_once_that_was_seen() -> None:
    """Unmounted here is not enough: another mount namespace may have it."""
    seen = assess(MEDIA, [OLD], None, AWAY)
    assert seen.state is VolumeState.EJECTING
    (action,) = drafted(seen, AWAY)
    assert isinstance(action, ReleaseVolume)
    assert (action.nodes, action.numbers) == (("/dev/sdb1",), ("8:17",))
    released = replace(AWAY, released=True)
    seen = assess(MEDIA, [OLD], None, released)
    assert (seen.state, "safe to remove" in seen.message) == (VolumeState.EJECTED, True)
    assert drafted(seen, replace(released, state=VolumeState.EJECTED)) == ()


def test_a_disk_that_was_pulled_out_before_is_ejected() -> None:
    """There is nothing left to look at."""
    assert assess(MEDIA, [], None, AWAY).state is VolumeState.EJECTED
    assert assess(MEDIA, [], MOUNT, AWAY).state is VolumeState.LOST


def test_decommissioned_by_the_manifest_is_unmounted_too() -> None:
    """And stays so."""
    volume = replace(MEDIA, state=Wanted.DECOMMISSIONED)
    assert assess(volume, [OLD], MOUNT, KNOWN).leaving
    assert assess(volume, [OLD], None, KNOWN).state is VolumeState.DECOMMISSIONED


def test_a_migrated_volume_is_mounted_from_the_folder_on_the_other_one() -> None:
    """Its own disk, plugged in or not, is nothing to it any more."""
    seen = assess_moved(PLACE, [OLD, NEW], None, GONE)
    assert seen.state is VolumeState.FOUND
    (action,) = drafted(seen, GONE)
    assert isinstance(action, MountVolume)
    assert (action.source, action.volume.id, action.volume.path) == (
        "/srv/big/volume.media",
        "2222",
        "/srv/media",
    )
    assert assess_moved(PLACE, [NEW], MOVED, GONE).usable


@pytest.mark.parametrize("root", ["/", "/other", "/notvolume.media", "/volume.media/below"])
def test_another_folder_of_the_right_disk_is_not_the_volume(root: str) -> None:
    """A symlink in its place leads elsewhere on the same disk."""
    seen = assess_moved(PLACE, [NEW], replace(MOVED, root=root), GONE)
    assert (seen.state, seen.reason) == (VolumeState.REFUSED, "something-else-mounted")


def test_a_migrated_volume_waits_for_the_other_one_to_be_mounted() -> None:
    """Its folder is not there before."""
    away = place_of(MEDIA, BIG, there=False)
    assert assess_moved(away, [OLD, NEW], None, GONE).state is VolumeState.DISCONNECTED


def test_a_migrated_volume_that_is_put_away_says_nothing_of_the_disk() -> None:
    """The other volume has that mounted: removing it is not safe."""
    seen = assess_moved(PLACE, [NEW], None, replace(GONE, ejected=True))
    assert seen.state is VolumeState.EJECTED
    assert "safe" not in seen.message
    assert "eject big" in seen.hint


def test_while_it_is_moved_nothing_may_use_a_volume_and_it_is_unmounted_first() -> None:
    """Its users are waited for."""
    seen = moved(assess(MEDIA, [OLD, NEW], MOUNT, KNOWN), ROW)
    assert (seen.state, seen.usable) == (VolumeState.MIGRATING, False)
    moving = Moving(ROW, Step.COPY)
    assert drafted(seen, KNOWN, running=True, moving=moving) == ()
    (unmount,) = drafted(seen, KNOWN, moving=moving)
    assert isinstance(unmount, UnmountVolume)
    free = moved(assess(MEDIA, [OLD, NEW], None, KNOWN), ROW)
    (copy,) = drafted(free, KNOWN, moving=moving)
    assert isinstance(copy, MigrateVolume)
    assert drafted(free, KNOWN, moving=Moving(ROW, None)) == ()


def _unit(active: ActiveState, sub: str) -> UnitState:
    return UnitState("eventd-copy-media.service", LoadState.LOADED, active, sub)


RUNNING, EXITED = _unit(ActiveState.ACTIVE, "running"), _unit(ActiveState.ACTIVE, "exited")
FAILED, DEAD = _unit(ActiveState.FAILED, "failed"), _unit(ActiveState.INACTIVE, "dead")


@pytest.mark.parametrize(
    ("phase", "unit", "step"),
    [
        (Phase.PREPARE, None, Step.PREPARE),
        (Phase.QUIESCE, None, Step.COPY),
        (Phase.COPY, RUNNING, None),
        (Phase.COPY, EXITED, Step.VERIFY),
        (Phase.COPY, FAILED, Step.UNDO),
        (Phase.COPY, None, Step.COPY),
        (Phase.COPY, DEAD, Step.COPY),
        (Phase.VERIFY, RUNNING, None),
        (Phase.VERIFY, EXITED, Step.SWITCH),
        (Phase.VERIFY, FAILED, Step.UNDO),
        (Phase.VERIFY, None, Step.VERIFY),
        (Phase.SWITCH, None, Step.SWITCH),
        (Phase.UNDO, None, Step.UNDO),
        (Phase.DONE, None, None),
        (Phase.FAILED, None, None),
    ],
)
def test_the_next_step_follows_from_the_phase_and_its_unit(
    phase: Phase, unit: UnitState | None, step: Step | None
) -> None:
    """After a reboot a job that is gone is begun again."""
    assert next_step(replace(ROW, phase=phase), unit, switched=False) is step


def test_after_the_switch_there_is_only_the_end() -> None:
    """Nothing is settled twice."""
    assert next_step(replace(ROW, phase=Phase.SWITCH), None, switched=True) is Step.FINISH


def test_what_jobs_say_is_read_and_rubbish_is_nothing() -> None:
    """A job that was killed says nothing, or half of it."""
    assert message_of('{"message": "no", "hint": "x"}') == ("no", "x")
    assert (message_of("{"), message_of("[]"), message_of("")) == (("", ""), ("", ""), ("", ""))
    assert (count_of('{"files": 7}'), count_of("{"), count_of('{"files": []}')) == (7, 0, 0)
    assert (job_of("eventd-copy-me-dia.service"), job_of("eventd-copy.service"), job_of("x")) == (
        "me-dia",
        "",
        "",
    )


def test_decommissioned_is_said_of_the_old_disk_of_a_migrated_volume() -> None:
    """The volume itself goes on."""
    place = place_of(replace(MEDIA, state=Wanted.DECOMMISSIONED), BIG, there=True)
    assert assess_moved(place, [NEW], MOVED, GONE).usable
