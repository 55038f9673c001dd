"""The persisted records of volumes: one document per volume, and one per workload that was stopped.

The repository says what a volume should be (`model_manifest`); a record is what was last seen on this host. It survives
a restart of the daemon, a reboot, and a broken manifest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from eventd.storage.model_manifest import Volume


class VolumeState(StrEnum):
    """The state of a volume on this host."""

    ATTACHED = "attached"
    """Mounted, and found to be the right file system."""
    DEGRADED = "degraded"
    """Mounted read-only, although that is not configured: the kernel found errors, or a person remounted it."""
    FOUND = "found"
    """The device is there, and about to be mounted."""
    LOST = "lost"
    """Mounted still, but its device is gone."""
    DISCONNECTED = "disconnected"
    """The device is not there."""
    REFUSED = "refused"
    """Something is there that must not be used: see the reason."""
    EJECTING = "ejecting"
    """About to be ejected: it is unmounted as soon as nothing uses it."""
    MIGRATING = "migrating"
    """What is on it is being moved to another disk; nothing may use it meanwhile."""
    EJECTED = "ejected"
    """Ejected by an operator, until it is attached again."""
    DECOMMISSIONED = "decommissioned"
    """Out of service for good."""


@dataclass(frozen=True, slots=True)
class VolumeRecord:
    """One volume."""

    volume: Volume
    """As the last good manifest had it."""
    state: VolumeState = VolumeState.DISCONNECTED
    since: float = 0.0
    """Seconds since the epoch, when it came into this state."""
    reason: str = ""
    added: float = 0.0
    """Seconds since the epoch, when it was first declared on this host."""
    node: str = ""
    """The device it was last seen on, `/dev/sdb1`: for people, never an identity."""
    number: str = ""
    """`major:minor` of that: tells a mount of ours whose device is gone from somebody else's mount."""
    mounting: bool = False
    """It is about to be mounted, or was when the daemon died: what is mounted there is eventd's, whatever it is."""
    seen: float = 0.0
    """Seconds since the epoch, when it was last attached."""
    ejected: bool = False
    """An operator has put it away."""
    released: bool = False
    """It was put away and unmounted, and no process had the file system open any more: it is safe to remove."""
    decommissioned: float = 0.0
    """Seconds since the epoch, when an operator took it out of service; 0: they did not."""
    migrated_from: str = ""
    """`uuid …` of the disk that its data was on before that."""
    unsealed: bool = False
    """It left the manifest, and its mount point was taken away."""
    migrated_to: str = ""
    """Where its data was moved by `eventctl storage migrate`."""


@dataclass(frozen=True, slots=True)
class StoppedUnits:
    """What was running of a workload when a volume went away: just that is started again."""

    units: tuple[str, ...]
    why: str
    since: float
    """Seconds since the epoch."""


def set_away(
    volume: Volume, now: float, record: VolumeRecord | None, *, away: bool, decommissioned: bool
) -> VolumeRecord:
    """Return the record of a volume that an operator puts away, or takes back."""
    record = record or VolumeRecord(volume, added=now)
    when = (record.decommissioned or now) if decommissioned else 0.0
    if away and record.ejected:
        return replace(record, decommissioned=when or record.decommissioned)
    return replace(record, ejected=away, released=False, decommissioned=when)
