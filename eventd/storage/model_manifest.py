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
"""What is mounted unless `fstype` says otherwise: file systems with owners and modes, which folders of users take."""
ALWAYS = ("nosuid", "nodev")
"""A disk must not bring in set-id programs or device nodes."""


class IdKind(StrEnum):
    """What identifies a volume durably. `/dev/sdX` is no identity: it is given out anew at every attach."""

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
    """What the repository wants of a volume."""

    ATTACHED = "attached"
    DECOMMISSIONED = "decommissioned"


class Backup(StrEnum):
    """Whether a backup of a workload takes what it has on the volume."""

    INCLUDE = "include"
    EXCLUDE = "exclude"


@dataclass(frozen=True, slots=True)
class Volume:
    """One volume, as the repository wants it."""

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
    """The volume that took over what was on this one."""

    @property
    def link(self) -> str:
        """The symlink by which udev shows the device (what is mounted)."""
        return _LINKS[self.id_kind] + self.id

    @property
    def mount_options(self) -> tuple[str, ...]:
        """Everything it is mounted with. `nofail`: no boot waits for it (systemd.mount(5))."""
        return tuple(dict.fromkeys((*ALWAYS, *self.options, "nofail")))

    @property
    def read_only(self) -> bool:
        """Whether it is to be mounted read-only."""
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
    """There is a `storage.toml`."""
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
