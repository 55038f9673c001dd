"""Facts: the current value per subject, and nothing about how it came to be.

Sources fold events into facts and read them afresh after a gap. Plans, gates and status are functions
of them. A fact that was never read is *unknown* (absent), which is not the same as false.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from eventd.core.podman_damage import Damage


class FactKind(StrEnum):
    """The families of facts; the comment of each says what scope, name and value are."""

    UNIT = "unit"  # scope: "" or workload; name: unit; value: UnitState
    MANAGER = "manager"  # name: user; value: ManagerState
    ACCOUNT = "account"  # name: user; value: Account, absent fact: not read, None is "gone"
    LINGER = "linger"  # name: user; value: bool
    FILE = "file"  # name: absolute path; value: FileState
    NAMED = "named"  # scope: workload, "" for the host; name: path as it is written; value: NamedState
    STORE = "store"  # name: workload; value: StoreState, absent: not looked at
    FOREIGN = "foreign"  # name: workload; value: Foreign, absent: not looked at
    SESSIONS = "sessions"  # name: user; value: frozenset of session ids with a person behind them
    MOUNT = "mount"  # name: mount point; value: MountState
    DEVICE = "device"  # name: filesystem UUID; value: DeviceState
    WORKLOAD = "workload"  # name: workload; value: str, "active", "healthy" (implies active), or how it is
    CONTAINER = "container"  # scope: workload; name: container; value: str, its health as podman says
    IMAGE = "image"  # scope: workload; name: reference; value: bool, in the store of its account
    DAMAGE = "damage"  # name: workload; value: Damage of its account's podman store, absent: none is known
    VOLUME = "volume"  # name: of storage.toml; value: bool, mounted and found to be the right one
    STOPPED = (
        "stopped"  # name: workload; value: frozenset of units that a lost volume stopped, to be started again
    )
    PROBE = "probe"  # name: a tcp:, dns:, http: predicate's text; value: bool
    REVISION = "revision"  # name: ""; value: the commit that is wanted
    FETCH = "fetch"  # name: ""; value: FetchFailure
    SHUTDOWN = "shutdown"  # name: ""; value: bool, logind's PrepareForShutdown
    SUSPENSION = "suspension"  # name: workload, "" for all; value: str, who suspended it and why
    RELOADING = "reloading"  # scope: "" or workload; value: bool
    APPROVAL = "approval"  # name: `approvals.Draft.key`; value: ApprovalState, absent: nobody has been asked
    RENAME = "rename"  # name: workload; value: RenameState, absent: it is none, or it is done
    SOURCE = "source"  # name: of the source; value: True (its facts are current) or SourceTrouble, absent: being read
    DELETION = "deletion"  # name: workload; value: bool, the deletion of its account has begun


class FactKey(NamedTuple):
    """What a fact is about. A tuple, since it is hashed for every signal."""

    kind: FactKind
    name: str = ""
    scope: str = ""

    def __str__(self) -> str:
        scope = f"{self.scope}/" if self.scope else ""
        return f"{self.kind}:{scope}{self.name}"


class ActiveState(StrEnum):
    """`ActiveState` of org.freedesktop.systemd1.Unit (org.freedesktop.systemd1(5))."""

    ACTIVE = "active"
    RELOADING = "reloading"
    REFRESHING = "refreshing"
    INACTIVE = "inactive"
    FAILED = "failed"
    ACTIVATING = "activating"
    DEACTIVATING = "deactivating"
    MAINTENANCE = "maintenance"


class LoadState(StrEnum):
    """`LoadState` of org.freedesktop.systemd1.Unit."""

    STUB = "stub"
    LOADED = "loaded"
    NOT_FOUND = "not-found"
    BAD_SETTING = "bad-setting"
    ERROR = "error"
    MERGED = "merged"
    MASKED = "masked"


@dataclass(frozen=True, slots=True)
class UnitState:
    """What a systemd manager says of one unit (interfaces org.freedesktop.systemd1.Unit and .Service)."""

    name: str
    load: LoadState = LoadState.NOT_FOUND
    active: ActiveState = ActiveState.INACTIVE
    sub: str = "dead"
    result: str = "success"
    """`Result` of the Service (Socket, Timer, …) interface: success, exit-code, timeout, start-limit-hit, …"""
    fragment_path: str = ""
    source_path: str = ""
    drop_ins: tuple[str, ...] = ()
    needs_reload: bool = False
    file_state: str = ""
    """`UnitFileState`: generated, enabled, static, masked, …"""
    invocation: str = ""
    """`InvocationID` in hexadecimal; empty if it has not run since it was loaded."""
    restarts: int = 0
    """`NRestarts`: automatic restarts since the last start by a job."""
    main_pid: int = 0
    job: int = 0
    """Id of the queued job, 0 if none."""
    since: int = 0
    """`StateChangeTimestampMonotonic`, microseconds of CLOCK_MONOTONIC."""
    began: int = 0
    """`InactiveExitTimestampMonotonic`: when its last start began."""
    exec_status: int = 0
    """`ExecMainStatus`: exit status or signal of the last main process."""
    said: str = field(default="", compare=False)
    """`StatusText` (sd_notify(3)), on one line and cut short. What a service says of itself is no change of state."""

    @property
    def quoted(self) -> str:
        """What it said, as the end of a sentence about its failure; empty if it said nothing."""
        return f"; it said: {self.said}" if self.said else ""

    @property
    def up(self) -> bool:
        """Active, also while it reloads its configuration."""
        return self.active in (ActiveState.ACTIVE, ActiveState.RELOADING, ActiveState.REFRESHING)

    @property
    def auto_restarting(self) -> bool:
        """Between two automatic restarts: a bad unit with `Restart=always` is here, and never rests in `failed`.

        On its way it passes through states whose ActiveState reads inactive or failed for a moment (systemd 254 on).
        """
        return self.sub in (
            "auto-restart",
            "auto-restart-queued",
            "dead-before-auto-restart",
            "failed-before-auto-restart",
        )


class ManagerState(StrEnum):
    """A user's systemd manager, as eventd can use it."""

    DOWN = "down"
    STARTING = "starting"
    UP = "up"
    """Its bus answers and its units have been read."""
    UNREACHABLE = "unreachable"
    """`user@UID.service` is active, but its bus cannot be used."""


@dataclass(frozen=True, slots=True)
class Account:
    """A row of passwd (getpwnam(3)) with its subordinate id ranges (subuid(5))."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str = ""
    subuid: tuple[int, int] | None = None
    """First id and count, None where there is none."""
    subgid: tuple[int, int] | None = None
    comment: str = ""
    """The GECOS field."""


class FileKind(StrEnum):
    """What stands at a path; a symlink is never followed."""

    REGULAR = "regular"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class FileState:
    """A file as it is on the disk."""

    kind: FileKind
    digest: str
    """sha256 of the content in hexadecimal for a regular file, else empty."""
    mode: int
    """Permission bits."""
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class NamedState:
    """What stands at a path that a workload names, as its account sees it: symlinks are followed."""

    path: str
    """With the specifiers resolved."""
    kind: FileKind | None
    """None: nothing, or nothing that the account may get to."""
    digest: str = ""
    """`KEY:HMAC` of a regular file's content, under a key of this host's; empty where there is none."""
    problem: str = ""
    """Why the account cannot get at it; empty if it can, or if there is nothing."""
    executable: bool = False
    """Somebody may run it."""
    noticed: int = field(default=0, compare=False)
    """When it was first seen to be so: microseconds of CLOCK_MONOTONIC, as systemd's time stamps."""


@dataclass(frozen=True, slots=True)
class StoreVolume:
    """A volume in the podman store of an account."""

    name: str
    project: str = ""
    """The compose project that made it, as its label says."""
    volume: str = ""
    """What that calls it."""


@dataclass(frozen=True, slots=True)
class StoreState:
    """The podman store of an account that was handed over, before a workload is started in it."""

    volumes: tuple[StoreVolume, ...] = ()


@dataclass(frozen=True, slots=True)
class Foreign:
    """What stands on the disk under a name that concerns a workload's units, and is not eventd's."""

    paths: tuple[str, ...] = ()
    """Unit files, Quadlet files and drop-ins, sorted."""
    masks: frozenset[str] = frozenset()
    """Those of them that are links to /dev/null, or empty."""
    folders: tuple[str, ...] = ()
    """Where was looked: what is below one of these and not in `paths` is not there."""
    problem: str = ""
    """Why it is not all known, as a clause; empty if it is."""

    def covers(self, path: str) -> bool:
        """Tell whether a path is where was looked."""
        return any(path.startswith(f"{folder}/") for folder in self.folders)


BRANCH_MISSING = "branch-missing"
"""`FetchFailure.reason` where the remote has no such branch: its hint names those that there are."""


@dataclass(frozen=True, slots=True)
class FetchFailure:
    """The last fetch did not work; gone with the next one that does."""

    reason: str
    message: str
    hint: str
    since: float
    """Seconds since the epoch of the first failure in a row."""


@dataclass(frozen=True, slots=True)
class MountState:
    """A row of /proc/self/mountinfo (proc_pid_mountinfo(5))."""

    point: str
    source: str
    fstype: str
    options: str
    device: str
    """`major:minor`."""
    root: str = "/"
    """Which folder of the file system: another than `/` for a bind mount."""


@dataclass(frozen=True, slots=True)
class DeviceState:
    """Block devices that carry one filesystem UUID, by udev's database."""

    uuid: str
    nodes: tuple[str, ...]
    label: str
    fstype: str
    numbers: tuple[str, ...] = ()
    """`major:minor` of each node, in the order of `nodes`."""
    links: frozenset[str] = frozenset()
    """The symlinks in /dev that lead to any of them."""
    members: tuple[str, ...] = ()
    """`ID_FS_UUID_SUB` of each node: members of one file system over several devices differ in it, copies do not."""

    @property
    def ambiguous(self) -> bool:
        """Several devices claim to be this file system, and are no members of one."""
        distinct = len({member for member in self.members if member}) == len(self.nodes)
        return len(self.nodes) > 1 and not distinct


@dataclass(frozen=True, slots=True)
class ApprovalState:
    """Where the request for a signature stands."""

    request: str
    """Its id."""
    approved: bool = False
    """Signed, not expired, and not yet used for anything that is finished."""
    rejected: bool = False


@dataclass(frozen=True, slots=True)
class RenameState:
    """A workload that is another one under a new name, or may be."""

    old: tuple[str, ...]
    """Which one; more than one where it is not known."""
    told: bool = False
    """Its workload.toml says so."""
    problem: str = ""
    """Why that cannot be, as a sentence; empty if it can."""


@dataclass(frozen=True, slots=True)
class SourceTrouble:
    """A source cannot read its facts, or not keep them."""

    reason: str
    message: str
    hint: str = ""
    known: bool = False
    """It has read them before: what is known is old, and not nothing."""
    optional: bool = False
    """The host is in order without it, but for what needs it."""
    passing: bool = False
    """It ends by itself: what it comes from is still starting, as at a boot. No run fails for it."""


FactValue: TypeAlias = (
    ApprovalState
    | RenameState
    | SourceTrouble
    | UnitState
    | ManagerState
    | Account
    | FileState
    | NamedState
    | StoreState
    | Foreign
    | FetchFailure
    | MountState
    | DeviceState
    | Damage
    | frozenset[str]
    | str
    | bool
    | None
)
Watcher: TypeAlias = Callable[[FactKey], None]


class Facts:
    """A dictionary that tells who asked when a value changes. Not thread-safe: the loop's thread only."""

    def __init__(self) -> None:
        self._values: dict[FactKey, FactValue] = {}
        self._watchers: dict[FactKey, list[Watcher]] = {}
        self._all: list[Watcher] = []

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: FactKey) -> bool:
        return key in self._values

    def get(self, key: FactKey) -> FactValue:
        """Return the value, or None where it is unknown or gone."""
        return self._values.get(key)

    def items(self, kind: FactKind, scope: str | None = None) -> Iterator[tuple[FactKey, FactValue]]:
        """Yield the facts of a kind (and scope): for status and re-reads, not for hot paths."""
        for key, value in self._values.items():
            if key.kind is kind and (scope is None or key.scope == scope):
                yield key, value

    def set(self, key: FactKey, value: FactValue) -> bool:
        """Set (None: forget) a fact; wake its watchers and return True if that changed it."""
        if value is None:
            if self._values.pop(key, None) is None:
                return False
        elif self._values.get(key) == value:
            return False
        else:
            self._values[key] = value
        for watcher in (*self._watchers.get(key, ()), *self._all):
            watcher(key)
        return True

    def watch(self, keys: Iterable[FactKey], watcher: Watcher) -> Callable[[], None]:
        """Call `watcher(key)` after each change of one of `keys`; the result ends that."""
        mine = tuple(dict.fromkeys(keys))
        for key in mine:
            self._watchers.setdefault(key, []).append(watcher)

        def stop() -> None:
            for key in mine:
                watchers = self._watchers[key]
                watchers.remove(watcher)
                if not watchers:
                    del self._watchers[key]

        return stop

    def watch_all(self, watcher: Watcher) -> None:
        """Call `watcher(key)` after every change, for the one index from facts to workloads."""
        self._all.append(watcher)


def unit(value: FactValue) -> UnitState | None:
    """Narrow a value of kind UNIT."""
    return value if isinstance(value, UnitState) else None
