"""The persisted records of volumes: one document per volume, and one per workload that was stopped.

The repository says what a volume should be (`model_manifest`); a record is what was last observed on this host. It
survives a restart of the daemon, a reboot, and a broken manifest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from eventd.storage.model_manifest import Volume


class VolumeState(StrEnum):
    """The state of a volume on this host."""

    ATTACHED = "attached"
    """Mounted, and checked to be the right file system."""
    DEGRADED = "degraded"
    """Mounted read-only although that is not configured: the kernel found errors, or somebody remounted it."""
    FOUND = "found"
    """The device is attached and about to be mounted."""
    LOST = "lost"
    """Still mounted, but the device is gone."""
    DISCONNECTED = "disconnected"
    """The device is not attached."""
    REFUSED = "refused"
    """What is attached or mounted must not be used: see the reason."""
    EJECTING = "ejecting"
    """Being ejected: it is unmounted as soon as nothing uses it."""
    MIGRATING = "migrating"
    """Its data is being moved to another disk. Nothing may use it meanwhile."""
    EJECTED = "ejected"
    """Ejected by an operator, until it is attached again."""
    DECOMMISSIONED = "decommissioned"
    """Out of service for good."""


@dataclass(frozen=True, slots=True)
class VolumeRecord:
    """The record of one volume."""

    volume: Volume
    """Its declaration in the last good manifest."""
    state: VolumeState = VolumeState.DISCONNECTED
    since: float = 0.0
    """Seconds since the epoch, when this state began."""
    reason: str = ""
    added: float = 0.0
    """Seconds since the epoch, when it was first declared on this host."""
    node: str = ""
    """The device that it was last on, such as `/dev/sdb1`. For people only."""
    number: str = ""
    """`major:minor` of that device. It shows whether a mount without a device is ours."""
    mounting: bool = False
    """eventd is mounting it, or was when the daemon died: whatever is mounted at its path is from eventd."""
    seen: float = 0.0
    """Seconds since the epoch, when it was last attached."""
    ejected: bool = False
    """An operator has ejected it."""
    released: bool = False
    """It was ejected and unmounted, and nothing had the file system open any more: it is safe to remove."""
    decommissioned: float = 0.0
    """Seconds since the epoch, when an operator decommissioned it; 0: never."""
    migrated_from: str = ""
    """`uuid …` of its former disk."""
    unsealed: bool = False
    """It left the manifest, and its mount point was removed."""
    migrated_to: str = ""
    """The volume to which `eventctl storage migrate` moved its data."""


@dataclass(frozen=True, slots=True)
class StoppedUnits:
    """The units of a workload that ran when a volume was lost. Only these are started again."""

    units: tuple[str, ...]
    why: str
    since: float
    """Seconds since the epoch."""


def set_away(
    volume: Volume, now: float, record: VolumeRecord | None, *, away: bool, decommissioned: bool
) -> VolumeRecord:
    """Return the record of a volume that an operator ejects or attaches."""
    record = record or VolumeRecord(volume, added=now)
    when = (record.decommissioned or now) if decommissioned else 0.0
    if away and record.ejected:
        return replace(record, decommissioned=when or record.decommissioned)
    return replace(record, ejected=away, released=False, decommissioned=when)
