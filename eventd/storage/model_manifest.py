"""The volumes declared in `storage.toml`, as values. `eventd.storage.model_file` parses them.

Pure. `eventd.storage.model_volume` has the actual state of a volume on a host.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from eventd.kernel.model.diagnostics import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE_SYSTEMS = ("ext4", "xfs", "btrfs", "ext3", "ext2", "f2fs")
"""Accepted by default, without `fstype`: file systems with owners and modes."""
ALWAYS = ("nosuid", "nodev")
"""A disk must not bring in set-id programs or device nodes."""


class IdKind(StrEnum):
    """The durable id of a volume. `/dev/sdX` is none: the kernel assigns it at each attach."""

    UUID = "uuid"
    """Of the file system."""
    PARTUUID = "partuuid"
    """Of the partition, in the partition table."""
    BY_ID = "by_id"
    """The disk's own name in `/dev/disk/by-id/`: maker, model, serial number."""


_LINKS = {
    IdKind.UUID: "/dev/disk/by-uuid/",
    IdKind.PARTUUID: "/dev/disk/by-partuuid/",
    IdKind.BY_ID: "/dev/disk/by-id/",
}


class Wanted(StrEnum):
    """The desired state of a volume."""

    ATTACHED = "attached"
    DECOMMISSIONED = "decommissioned"


class Backup(StrEnum):
    """Whether a backup of a workload includes its data on the volume."""

    INCLUDE = "include"
    EXCLUDE = "exclude"


@dataclass(frozen=True, slots=True)
class Volume:
    """One volume, as declared in the repository."""

    name: str
    id_kind: IdKind
    id: str
    path: str
    """Where it is mounted."""
    label: str = ""
    """The label for people. A file system with this label but another id is reported as the wrong disk."""
    options: tuple[str, ...] = ()
    """Mount options besides `nosuid,nodev`."""
    fstypes: tuple[str, ...] = FILE_SYSTEMS
    """File systems that are accepted."""
    default: bool = False
    """New bulk data goes here by default."""
    schedulable: bool = True
    """Whether it accepts workloads that have no folder on it yet."""
    backup: Backup = Backup.INCLUDE
    state: Wanted = Wanted.ATTACHED
    migrated_to: str = ""
    """The volume to which its data was moved."""

    @property
    def link(self) -> str:
        """The symlink of udev to the device. This is what is mounted."""
        return _LINKS[self.id_kind] + self.id

    @property
    def mount_options(self) -> tuple[str, ...]:
        """All mount options. `nofail`: no boot waits for it (systemd.mount(5))."""
        return tuple(dict.fromkeys((*ALWAYS, *self.options, "nofail")))

    @property
    def read_only(self) -> bool:
        """Whether it is mounted read-only."""
        return "ro" in self.options

    def folder(self, workload: str) -> str:
        """Return the folder of a workload on it."""
        return f"{self.path}/{workload}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """All volumes of this host."""

    volumes: Mapping[str, Volume] = field(default_factory=dict)
    """Name -> volume, sorted."""
    elsewhere: frozenset[str] = frozenset()
    """Names of volumes that are for other hosts."""
    broken: tuple[Diagnostic, ...] = ()
    """Errors: if there are any, the manifest must not be used."""
    present: bool = False
    """Whether there is a `storage.toml`."""
    strict: bool = False
    """Data outside of volumes is an error, not just a warning."""

    def at(self, path: str) -> Volume | None:
        """Return the volume that a path of the host lies on."""
        for volume in self.volumes.values():
            if path == volume.path or path.startswith(volume.path + "/"):
                return volume
        return None

    @property
    def default(self) -> Volume | None:
        """The default volume."""
        return next((volume for volume in self.volumes.values() if volume.default), None)


NOTHING = Manifest()
