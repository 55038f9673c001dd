"""The desired state: what one commit says this host should be, as values.

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
from eventd.storage.model_manifest import NOTHING, Manifest


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A blob of the repository."""

    path: str
    """Relative, with `/`."""
    content: bytes
    executable: bool = False


@dataclass(frozen=True, slots=True)
class Tree:
    """The files of one commit. Symlinks and submodules are not in `files`, they are named in `refused`."""

    commit: str
    """Full object id; `""` for a plain directory."""
    files: Mapping[str, TreeFile]
    refused: Mapping[str, str] = field(default_factory=dict)
    """Path -> why ("symlink", "submodule", "larger than 1 MiB", …)."""


class FileRole(StrEnum):
    """Where an installed file belongs and who reads it."""

    QUADLET = "quadlet"
    """`*.container`, `*.pod`, …, and drop-ins of them: the quadlet folder of the uid, read by podman's generator."""
    COMPANION = "companion"
    """`*.service`, `*.timer`, …, and drop-ins of them: the unit folder of the uid, read by eventd's user generator."""
    STACK = "stack"
    """`compose.yaml` and everything beside it: the stack folder of the uid, read by the compose provider."""
    DATA = "data"
    """Anything else beside them: the quadlet folder, so that relative paths in Quadlet files resolve."""


@dataclass(frozen=True, slots=True)
class InstallFile:
    """One file as it has to stand on the host, root-owned, mode 0644 (0755 if executable)."""

    role: FileRole
    name: str
    """Path below the folder of its role, with `/`."""
    content: bytes
    origin: str
    """Path in the repository it comes from, or `eventd` for what eventd adds (drop-ins)."""
    executable: bool = False

    @property
    def digest(self) -> str:
        """sha256 of the content in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


class UnitRole(StrEnum):
    """What eventd wants of a unit."""

    RUNNING = "running"
    """Started by eventd, and active from then on."""
    ONESHOT = "oneshot"
    """Started by eventd once per change; a success may leave it inactive."""
    ON_DEMAND = "on-demand"
    """Loaded; started by something else (a timer, a socket, another unit, a person)."""


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file of the host that a unit uses at its start, and that the repository only names."""

    path: str
    """As it is written, normalised: absolute, or below `%h`; with specifiers of systemd.unit(5)."""
    file: str
    """Where it is written, as `line` and `key`."""
    line: int
    key: str
    required: bool = True
    """Without it the unit does not start."""
    content: bool = True
    """What is in it is read at the start: another content is used only after a restart."""
    bound: bool = False
    """It is mounted into a container, and need not be a file, nor readable to the account itself."""


class OnChange(StrEnum):
    """What to do when a file that a workload names has another content."""

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
    """Over everything whose change means that the unit must be restarted: its file, drop-ins, the Quadlet files and
    data it refers to."""
    after: tuple[str, ...] = ()
    """Units of the same workload that have to be started before it."""
    notify_healthy: bool = False
    """`Notify=healthy`: the start job ends only when the container's health check passes."""
    named: tuple[NamedFile, ...] = ()
    """Files of the host that it uses at its start. They are not in the digest: their content is a fact."""
    container: str = ""
    """What podman calls its container; empty where the unit runs none, or several."""
    checked: bool = False
    """Its file has a health check for the container (an image may bring one of its own)."""


class OnFailure(StrEnum):
    """What to do when a new revision does not become healthy by its deadline."""

    ROLLBACK = "rollback"
    KEEP = "keep"


class OnUnhealthy(StrEnum):
    """What to do when a workload that was verified is not healthy any more."""

    REPORT = "report"
    RESTART = "restart"
    ROLLBACK = "rollback"


class RemoveData(StrEnum):
    """What becomes of account and data when the workload leaves the repository."""

    KEEP = "keep"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Located:
    """A text with the place it was written in, for errors."""

    text: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class WorkloadOptions:
    """`workload.toml`, with its defaults filled in. Times are in seconds."""

    transform: str | None = None
    """None: by the folder's rule; `""`: transform-less."""
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
    """No image of it is updated, whoever asks."""
    remove_data: RemoveData = RemoveData.KEEP
    compose_env_files: tuple[Located, ...] = ()
    """Files of the host with `KEY=value` lines for the variables of a compose file."""
    compose_project: str = ""
    """The name of the stack's project, which its containers and volumes begin with; empty: the workload's."""
    compose_timeout: float = 120.0
    """How long a compose stack may take to come up."""
    renamed_from: Located | None = None
    """The name that this workload had before, whose account and data it takes over; `""`: it is a new one."""
    manual: frozenset[str] = frozenset()
    """Units that eventd must not start by itself."""
    volumes: tuple[Located, ...] = ()
    """Volumes that it uses besides those that its bind mounts lie on."""
    volume_deadline: float | None = None
    """How long its volumes may be away before that is a failure; None: for ever."""
    bulk: frozenset[str] = frozenset()
    """Names of podman volumes that would hold bulk data, and so must not be any."""
    place: OptionsPlace = field(default=OptionsPlace(), compare=False)
    """Where they are written, for messages."""
    on_change: OnChange = OnChange.RESTART
    """What to do when a file of the host that it names changes."""


@dataclass(frozen=True, slots=True)
class HostPort:
    """Ports of the host that one line of a workload takes."""

    address: str
    """Empty: all addresses."""
    first: int
    last: int
    protocol: str
    """`tcp`, `udp` or `sctp`."""
    unit: str
    """Who opens them."""
    place: Located

    @property
    def ports(self) -> range:
        """Each of them."""
        return range(self.first, self.last + 1)


@dataclass(frozen=True, slots=True)
class VolumeUse:
    """A volume that a workload uses: it waits for it, is stopped when it goes, and has a folder on it."""

    volume: str
    mount: str
    """Where the volume is mounted."""
    paths: tuple[str, ...] = ()
    """What its bind mounts name of it."""
    schedulable: bool = True
    """Whether a folder may be made for it, if it has none there yet."""

    def folder(self, workload: str) -> str:
        """Return the folder of the workload on the volume."""
        return f"{self.mount}/{workload}"


@dataclass(frozen=True, slots=True)
class NamedVolume:
    """A podman volume that a workload's files make, unless it is there."""

    key: str
    """As the files call it."""
    name: str
    """As podman calls it."""
    file: str
    stack: bool = False
    """Of a compose file; else of a `.volume` file."""
    chosen: bool = False
    """Somebody wrote down what the name is, or begins with."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One workload: its name is its directory and its Linux user."""

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
    """Of the host."""
    stores: tuple[NamedVolume, ...] = ()
    """Podman's volumes that its files make."""

    @property
    def digest(self) -> str:
        """Identifies the whole content, for records and status."""
        total = hashlib.sha256()
        for file in self.files:
            total.update(f"{file.role}\0{file.name}\0{file.digest}\0{file.executable}\n".encode())
        for unit in self.units:
            total.update(f"{unit.name}\0{unit.role}\0{unit.digest}\n".encode())
        return total.hexdigest()


@dataclass(frozen=True, slots=True)
class Desired:
    """Everything one commit says of this host."""

    commit: str
    workloads: Mapping[str, Workload]
    """The accepted ones, by name, sorted."""
    refused: Mapping[str, tuple[Diagnostic, ...]] = field(default_factory=dict)
    """Workloads that are in the repository and have errors: left exactly as they are on the host."""
    diagnostics: tuple[Diagnostic, ...] = ()
    """Findings about no single workload, and warnings. An error here fails the run."""
    storage: Manifest = NOTHING
    """The volumes of this host."""
    partial: bool = False
    """A part of the repository that may define workloads could not be read (a symlink or submodule in its place):
    a workload that is missing here may still be in it, so none may be removed on account of this."""
