"""Actions on storage: what is done to volumes, and to workloads because of them.

`workload` of a volume's action is the subject's name, `volume:media`.
"""

from __future__ import annotations

from dataclasses import dataclass

from eventd.storage.model_manifest import Volume
from eventd.storage.model_records import VolumeRecord
from eventd.storage.plan_migration import Step


class _OnVolume:
    """What it changes is a volume."""

    __slots__ = ()
    workload: str

    @property
    def target(self) -> str:
        """The volume."""
        return self.workload.partition(":")[2]


@dataclass(frozen=True, slots=True)
class SealMountPoint(_OnVolume):
    """Make the mount point if it is missing, and so that nothing can be written into it while the disk is away."""

    workload: str
    path: str
    why: str = "nothing must be written there while the disk is away"
    verb = "seal-mount-point"


@dataclass(frozen=True, slots=True)
class UnsealMountPoint(_OnVolume):
    """Take a sealed mount point away: its volume left the manifest, and nothing is mounted there."""

    workload: str
    path: str
    why: str = "its volume left storage.toml"
    verb = "unseal-mount-point"


@dataclass(frozen=True, slots=True)
class MountVolume(_OnVolume):
    """Mount the device by a mount unit, then see that it is the right one."""

    workload: str
    volume: Volume
    uids: tuple[int, ...]
    """Users that use it: their managers stop before it is unmounted at shutdown."""
    why: str
    source: str = ""
    """The folder on another volume that is mounted (by a bind mount); empty: the volume's own device."""
    verb = "mount-volume"


@dataclass(frozen=True, slots=True)
class UnmountVolume(_OnVolume):
    """Stop the mount unit."""

    workload: str
    path: str
    lazy: bool
    """Take it out of the tree even though it is in use: for a disk that is dead. Else it fails when in use."""
    why: str
    verb = "unmount-volume"


@dataclass(frozen=True, slots=True)
class ReleaseVolume(_OnVolume):
    """See that the file system, which is not mounted here any more, is open nowhere: then the disk may be removed."""

    workload: str
    nodes: tuple[str, ...]
    numbers: tuple[str, ...]
    """`major:minor` of each."""
    why: str
    verb = "release-volume"


@dataclass(frozen=True, slots=True)
class NoteVolume(_OnVolume):
    """Remember how the volume is, since when."""

    workload: str
    record: VolumeRecord
    why: str
    verb = "note-volume"


@dataclass(frozen=True, slots=True)
class MakeFolder:
    """Make the folder of a workload on a volume; one of another owner is refused."""

    workload: str
    volume: str
    mount: str
    """Where the volume is mounted."""
    allowed: bool
    """Whether the volume takes a workload that has no folder on it yet (`schedulable`)."""
    why: str
    verb = "make-folder"

    @property
    def target(self) -> str:
        """Its path."""
        return f"{self.mount}/{self.workload}"


@dataclass(frozen=True, slots=True)
class StopForVolume:
    """Stop units because a volume that the workload uses is not there, and remember them."""

    workload: str
    units: tuple[str, ...]
    why: str
    timeout: float
    """Seconds for each."""
    verb = "stop-for-volume"

    @property
    def target(self) -> str:
        """The units."""
        return " ".join(self.units)


@dataclass(frozen=True, slots=True)
class MigrateVolume(_OnVolume):
    """One step of moving what is on a volume to another disk."""

    workload: str
    to: str
    step: Step
    why: str
    verb = "migrate-volume"

    @property
    def target(self) -> str:
        """The volume, where to, and which step."""
        return f"{self.workload.partition(':')[2]} to {self.to}: {self.step}"


@dataclass(frozen=True, slots=True)
class ForgetData(_OnVolume):
    """Delete what is on the disk that a volume was before it was migrated, or before it was decommissioned."""

    workload: str
    id: str
    """`uuid …` of the disk."""
    since: float
    """Seconds since the epoch, when the disk went out of service: the same disk, later, is another matter."""
    why: str
    verb = "forget-data"
