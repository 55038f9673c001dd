"""The desired state: what one commit says this host should be, as plain values.

Made by `eventd.desired.model_assembly` (parsing, transforms, validation) from a `Tree`; compared with facts by
`eventd.workloads.plan`. Nothing here touches the world.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from eventd.desired.model_options_place import OptionsPlace
from eventd.kernel.model.diagnostics import Diagnostic
from eventd.kernel.model.located import Located
from eventd.storage.model_manifest import NOTHING, Manifest


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A file of the repository."""

    path: str
    """Relative, with `/`."""
    content: bytes
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Tree:
    """The files of one commit. Symlinks and submodules are in `refused` instead of `files`."""

    commit: str
    """The full object id; `""` for a plain directory."""
    files: Mapping[str, TreeFile]
    refused: Mapping[str, str] = field(default_factory=dict)
    """Path -> why ("symlink", "submodule", "larger than 1 MiB", …)."""


class FileRole(StrEnum):
    """Where a file is installed, and who reads it."""

    QUADLET = "quadlet"
    """`*.container`, `*.pod`, …, and drop-ins of them: the quadlet folder of the uid, read by podman's generator."""
    COMPANION = "companion"
    """`*.service`, `*.timer`, …, and drop-ins of them: the unit folder of the uid, read by eventd's user generator."""
    STACK = "stack"
    """`compose.yaml` and everything beside it: the stack folder of the uid, read by the compose provider."""
    DATA = "data"
    """Anything else: in the quadlet folder too, so that relative paths in Quadlet files resolve."""


@dataclass(frozen=True, slots=True)
class InstallFile:
    """One file as it is installed: owned by root, mode 0644 (0755 if executable)."""

    role: FileRole
    name: str
    """Path below the folder of its role, with `/`."""
    content: bytes
    origin: str
    """Its path in the repository, or `eventd` for what eventd adds (drop-ins)."""
    executable: bool = False

    @property
    def digest(self) -> str:
        """sha256 of the content in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


class UnitRole(StrEnum):
    """What eventd does with a unit."""

    RUNNING = "running"
    """Started by eventd, and kept active."""
    ONESHOT = "oneshot"
    """Started by eventd once per change; it may be inactive after a success."""
    ON_DEMAND = "on-demand"
    """Loaded only; something else starts it (a timer, a socket, another unit, a person)."""


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file of the host that a unit uses when it starts; the repository only names it."""

    path: str
    """As written, normalised: absolute, or below `%h`; may have specifiers of systemd.unit(5)."""
    file: str
    """The repository's file that names it, with `line` and `key`."""
    line: int
    key: str
    required: bool = True
    """The unit does not start without it."""
    content: bool = True
    """It is read at the start: a change takes effect only after a restart."""
    bound: bool = False
    """It is mounted into a container; it may be a folder, and the account itself need not be able to read it."""


class OnChange(StrEnum):
    """What to do when the content of a file that a workload names changes."""

    RESTART = "restart"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class DesiredUnit:
    """A unit of the workload's user manager."""

    name: str
    """As systemd names it: `web.service`, `web-pod.service`, `backup.timer`."""
    role: UnitRole
    file: str
    """`InstallFile.name` of the file that defines it."""
    file_role: FileRole
    digest: str
    """Hash of everything whose change requires a restart of the unit: its file, its drop-ins, and the Quadlet files and
    data that it refers to."""
    after: tuple[str, ...] = ()
    """Units of the same workload that are started before it."""
    notify_healthy: bool = False
    """`Notify=healthy`: the start job ends only when the container's health check passes."""
    named: tuple[NamedFile, ...] = ()
    """Files of the host that it uses at its start. Not in the digest: their content is a fact."""
    container: str = ""
    """Podman's name of its container; empty if the unit runs none, or several."""
    checked: bool = False
    """Its file defines a health check for the container (an image may have its own)."""


class OnFailure(StrEnum):
    """What to do when a new revision is not healthy by its deadline."""

    ROLLBACK = "rollback"
    KEEP = "keep"


class OnUnhealthy(StrEnum):
    """What to do when a verified workload becomes unhealthy."""

    REPORT = "report"
    RESTART = "restart"
    ROLLBACK = "rollback"


class RemoveData(StrEnum):
    """What happens to account and data when the workload leaves the repository."""

    KEEP = "keep"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class WorkloadOptions:
    """`workload.toml`, with its defaults filled in. Times are in seconds."""

    transform: str | None = None
    """None: decided by the folder; `""`: no transform."""
    requires: tuple[Located, ...] = ()
    expect: tuple[Located, ...] = ()
    deadline: float = 90.0
    """How long start and health may take."""
    grace: float = 1.0
    """How long a started unit has to stay up before the revision counts as applied."""
    on_failure: OnFailure = OnFailure.KEEP
    on_unhealthy: OnUnhealthy = OnUnhealthy.REPORT
    update_schedule: str | None = None
    update_hold: bool = False
    """Its images are not updated, not even on request."""
    remove_data: RemoveData = RemoveData.KEEP
    compose_env_files: tuple[Located, ...] = ()
    """Files of the host with `KEY=value` lines for the variables of a compose file."""
    compose_project: str = ""
    """The compose project's name, the prefix of its containers and volumes; empty: the workload's name."""
    compose_timeout: float = 120.0
    """How long a compose stack may take to start."""
    renamed_from: Located | None = None
    """The former name of this workload, whose account and data it takes over; `""`: none."""
    manual: frozenset[str] = frozenset()
    """Units that eventd must not start by itself."""
    volumes: tuple[Located, ...] = ()
    """Volumes that it uses, besides those of its bind mounts."""
    volume_deadline: float | None = None
    """How long its volumes may be missing before that is a failure; None: forever."""
    bulk: frozenset[str] = frozenset()
    """Names of volumes for bulk data, which must not be podman volumes."""
    place: OptionsPlace = field(default=OptionsPlace(), compare=False)
    """Where each is written, for messages."""
    on_change: OnChange = OnChange.RESTART
    """What to do when a host file that it names changes."""


@dataclass(frozen=True, slots=True)
class HostPort:
    """Ports of the host that one line of a workload publishes or listens on."""

    address: str
    """The address; empty: all."""
    first: int
    last: int
    protocol: str
    """`tcp`, `udp` or `sctp`."""
    unit: str
    """The unit that opens them."""
    place: Located

    @property
    def ports(self) -> range:
        """All of them."""
        return range(self.first, self.last + 1)


@dataclass(frozen=True, slots=True)
class VolumeUse:
    """A volume that a workload uses: it waits for it, stops when it goes away, and has a folder on it."""

    volume: str
    mount: str
    """Where the volume is mounted."""
    paths: tuple[str, ...] = ()
    """Paths on it that the workload's bind mounts name."""
    schedulable: bool = True
    """A folder may be created for the workload if it has none there."""

    def folder(self, workload: str) -> str:
        """Return the folder of the workload on the volume."""
        return f"{self.mount}/{workload}"


@dataclass(frozen=True, slots=True)
class NamedVolume:
    """A podman volume that a workload's files create if it does not exist."""

    key: str
    """As the files call it."""
    name: str
    """As podman calls it."""
    file: str
    stack: bool = False
    """From a compose file; else from a `.volume` file."""
    chosen: bool = False
    """The name, or its prefix, is written in the files."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One workload. Its name is that of its directory and of its Linux user."""

    name: str
    files: tuple[InstallFile, ...]
    """Sorted by role and name."""
    units: tuple[DesiredUnit, ...]
    """In the order in which they are started."""
    options: WorkloadOptions = WorkloadOptions()
    origin: str = ""
    """Directory or file in the repository."""
    volumes: tuple[VolumeUse, ...] = ()
    """Sorted by name."""
    ports: tuple[HostPort, ...] = ()
    """Ports of the host that it uses."""
    stores: tuple[NamedVolume, ...] = ()
    """Podman volumes that its files create."""

    @property
    def digest(self) -> str:
        """Identifies the whole content, for the records and the status."""
        total = hashlib.sha256()
        for file in self.files:
            total.update(f"{file.role}\0{file.name}\0{file.digest}\0{file.executable}\n".encode())
        for unit in self.units:
            total.update(f"{unit.name}\0{unit.role}\0{unit.digest}\n".encode())
        return total.hexdigest()


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything that one commit says about this host."""

    commit: str
    workloads: Mapping[str, Workload]
    """The accepted workloads, by name, sorted."""
    refused: Mapping[str, tuple[Diagnostic, ...]] = field(default_factory=dict)
    """Workloads with errors: left on the host exactly as they are."""
    diagnostics: tuple[Diagnostic, ...] = ()
    """Findings that belong to no single workload, and all warnings. An error here fails the run."""
    storage: Manifest = NOTHING
    """The volumes declared for this host."""
    partial: bool = False
    """A part of the repository that may define workloads could not be read (it is a symlink or a submodule). A missing
    workload may be in it, so no workload may be removed."""
