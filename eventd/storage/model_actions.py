"""Actions on volumes, and on workloads because of them.

`workload` of a volume's action is the subject's name, `volume:media`.
"""

from __future__ import annotations

from dataclasses import dataclass

from eventd.storage.model_manifest import Volume
from eventd.storage.model_records import VolumeRecord
from eventd.storage.plan_migration import Step


@dataclass(frozen=True, slots=True)
class _OnVolume:
    """An action on a volume."""

    workload: str

    @property
    def target(self) -> str:
        """The volume."""
        return self.workload.partition(":")[2]


@dataclass(frozen=True, slots=True)
class SealMountPoint(_OnVolume):
    """Create the mount point, sealed so that nothing can be written into it while the disk is away."""

    path: str
    why: str = "nothing must be written there while the disk is away"
    verb = "seal-mount-point"


@dataclass(frozen=True, slots=True)
class UnsealMountPoint(_OnVolume):
    """Remove a sealed mount point: its volume left the manifest, and nothing is mounted there."""

    path: str
    why: str = "its volume left storage.toml"
    verb = "unseal-mount-point"


@dataclass(frozen=True, slots=True)
class MountVolume(_OnVolume):
    """Mount the device by a mount unit, then check that it is the right one."""

    volume: Volume
    uids: tuple[int, ...]
    """Uids of its users: their managers stop before it is unmounted at shutdown."""
    why: str
    source: str = ""
    """The folder on another volume to bind-mount; empty: mount the volume's own device."""
    verb = "mount-volume"


@dataclass(frozen=True, slots=True)
class UnmountVolume(_OnVolume):
    """Stop the mount unit."""

    path: str
    lazy: bool
    """Unmount lazily, for a dead disk. Otherwise unmounting fails while it is in use."""
    why: str
    verb = "unmount-volume"


@dataclass(frozen=True, slots=True)
class ReleaseVolume(_OnVolume):
    """Check that the unmounted file system is open nowhere: then the disk is safe to remove."""

    nodes: tuple[str, ...]
    numbers: tuple[str, ...]
    """`major:minor` of each."""
    why: str
    verb = "release-volume"


@dataclass(frozen=True, slots=True)
class NoteVolume(_OnVolume):
    """Record the state of the volume, and since when."""

    record: VolumeRecord
    why: str
    verb = "note-volume"


@dataclass(frozen=True, slots=True)
class MakeFolder:
    """Create the folder of a workload on a volume. A folder of another owner is refused."""

    workload: str
    volume: str
    mount: str
    """Where the volume is mounted."""
    allowed: bool
    """Whether the volume accepts a workload that has no folder on it yet (`schedulable`)."""
    why: str
    verb = "make-folder"

    @property
    def target(self) -> str:
        """Its path."""
        return f"{self.mount}/{self.workload}"


@dataclass(frozen=True, slots=True)
class StopForVolume:
    """Stop units because a volume of the workload is missing, and record them."""

    workload: str
    units: tuple[str, ...]
    why: str
    timeout: float
    """Seconds for each unit."""
    verb = "stop-for-volume"

    @property
    def target(self) -> str:
        """The units."""
        return " ".join(self.units)


@dataclass(frozen=True, slots=True)
class MigrateVolume(_OnVolume):
    """One step of a migration to another disk."""

    to: str
    step: Step
    why: str
    verb = "migrate-volume"

    @property
    def target(self) -> str:
        """The volume, the target, and the step."""
        return f"{self.workload.partition(':')[2]} to {self.to}: {self.step}"


@dataclass(frozen=True, slots=True)
class ForgetData(_OnVolume):
    """Delete the data on the disk that a volume had before it was migrated or decommissioned."""

    id: str
    """`uuid …` of the disk."""
    since: float
    """Seconds since the epoch, when the disk went out of service. An approval counts for this time only."""
    why: str
    verb = "forget-data"
