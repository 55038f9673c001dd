"""Plans the actions on a volume from its state (`model_volume`, `model_moved`), and what to record.

Pure. Next: `eventd.storage.controller`, whose actions `eventd_handlers.storage` carries out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from eventd.kernel.model.action import Action
from eventd.storage.model_actions import (
    MigrateVolume,
    MountVolume,
    NoteVolume,
    ReleaseVolume,
    SealMountPoint,
    UnmountVolume,
)
from eventd.storage.model_manifest import Volume
from eventd.storage.model_moved import Place, settled
from eventd.storage.model_records import VolumeRecord, VolumeState
from eventd.storage.model_volume import VolumeStatus
from eventd.storage.plan_migration import Migration, Step

PREFIX = "volume:"
"""The prefix of the subjects' names."""


@dataclass(frozen=True, slots=True)
class Moving:
    """A running migration, and its next step (None: it waits)."""

    row: Migration
    step: Step | None


def draft(
    volume: Volume,
    seen: VolumeStatus,
    record: VolumeRecord | None,
    *,
    sealed: bool,
    uids: tuple[int, ...],
    now: float,
    forced: bool = False,
    running: bool = False,
    place: Place | None = None,
    moving: Moving | None = None,
) -> tuple[Action, ...]:
    """Return the actions to carry out now, in order. Further ones follow when these are done.

    `sealed`: the mount point is known to be sealed. `uids`: the users of the volume. `forced`: an operator asked.
    `running`: its users still run. `place`: its place if it is not on its own disk. `moving`: the current migration.
    """
    name = PREFIX + volume.name
    actions: list[Action] = []
    mounted = seen.mounted or seen.state in (
        VolumeState.ATTACHED,
        VolumeState.DEGRADED,
        VolumeState.LOST,
    )
    noted = note(volume, seen, record, now, place)
    if record != noted:
        why = f"it is {seen.state}" + (f" ({seen.reason})" if seen.reason else "")
        actions.append(NoteVolume(name, noted, why))
    if seen.state is VolumeState.LOST:
        actions.append(UnmountVolume(name, volume.path, lazy=True, why=seen.message))
    elif seen.state is VolumeState.EJECTING and (seen.mounted or sealed):
        actions += _put_away(volume, seen, running=running)
    elif seen.state is VolumeState.DEGRADED and forced:
        actions.append(UnmountVolume(name, volume.path, lazy=True, why="it is mounted again"))
    elif not mounted and seen.ours and seen.reason != "unsafe-options" and not sealed:
        actions.append(SealMountPoint(name, volume.path))
    elif seen.state is VolumeState.FOUND:
        on, source = (place.volume, place.source) if place is not None else (volume, "")
        actions.append(MountVolume(name, on, uids, f"{seen.node} is attached", source))
    elif moving is not None and seen.state in (VolumeState.ATTACHED, VolumeState.MIGRATING):
        actions += _move(volume, seen, moving, running=running)
    return tuple(actions)


def _move(volume: Volume, seen: VolumeStatus, moving: Moving, *, running: bool) -> list[Action]:
    if moving.step is None:
        return []
    name, row = PREFIX + volume.name, moving.row
    why = row.error if moving.step is Step.UNDO else f"{row.by} moves it to {row.to}"
    if seen.state is VolumeState.MIGRATING and seen.mounted and moving.step is not Step.UNDO:
        return [] if running else [UnmountVolume(name, volume.path, lazy=False, why=why)]
    return [MigrateVolume(name, row.to, moving.step, why)]


def _put_away(volume: Volume, seen: VolumeStatus, *, running: bool) -> list[Action]:
    name = PREFIX + volume.name
    if not seen.mounted:
        return [ReleaseVolume(name, seen.nodes, seen.numbers, "its disk is to be removed")]
    if running:
        return []  # the users are stopped by their own plans, and the end of the last one is the next event
    return [UnmountVolume(name, volume.path, lazy=False, why="its disk is to be removed")]


def note(
    volume: Volume, seen: VolumeStatus, record: VolumeRecord | None, now: float, place: Place | None = None
) -> VolumeRecord:
    """Return the new record; the same object if nothing has changed."""
    base = record or VolumeRecord(volume, since=now, added=now)
    noted = replace(base, volume=volume, unsealed=False)
    if seen.state is VolumeState.FOUND:
        return noted  # a transient state
    if (seen.state, seen.reason) != (base.state, base.reason):
        noted = replace(noted, state=seen.state, reason=seen.reason, since=now)
    if seen.state is VolumeState.ATTACHED and (seen.node, seen.number) != (base.node, base.number):
        noted = replace(noted, node=seen.node, number=seen.number)
    if seen.state is VolumeState.ATTACHED and place is not None:
        noted = settled(noted, volume, place)
    if seen.state in (VolumeState.DISCONNECTED, VolumeState.EJECTED, VolumeState.DECOMMISSIONED):
        noted = replace(noted, mounting=False)
    if noted.state is not base.state and VolumeState.ATTACHED in (noted.state, base.state):
        noted = replace(noted, seen=now)
    return noted
