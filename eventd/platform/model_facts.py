"""Facts about units, managers, sessions, accounts and files: their kinds, and what their values are."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from eventd.kernel.model.facts import FactKind, FactValue


class PlatformFact(FactKind):
    """Facts about units, managers, sessions, accounts and files; the comments give scope, name and value."""

    UNIT = "unit"  # scope: "" or workload; name: unit; value: UnitState
    RELOADING = "reloading"  # scope: "" or workload; value: bool
    ACCOUNT = "account"  # name: user; value: Account, absent fact: not read, None is "gone"
    LINGER = "linger"  # name: user; value: bool
    SESSIONS = "sessions"  # name: user; value: frozenset of session ids with a person behind them
    SHUTDOWN = "shutdown"  # name: ""; value: bool, logind's PrepareForShutdown
    FILE = "file"  # name: absolute path; value: FileState


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
    """The state of one unit (interfaces org.freedesktop.systemd1.Unit and .Service)."""

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
    status_text: str = field(default="", compare=False)
    """`StatusText` (sd_notify(3)), on one line and truncated. A new text alone does not make a state differ."""

    @property
    def status_suffix(self) -> str:
        """The status text as the end of a sentence about a failure; empty if there is none."""
        return f"; it said: {self.status_text}" if self.status_text else ""

    @property
    def up(self) -> bool:
        """Whether it is active, including while it reloads its configuration."""
        return self.active in (ActiveState.ACTIVE, ActiveState.RELOADING, ActiveState.REFRESHING)

    @property
    def auto_restarting(self) -> bool:
        """Whether it waits for an automatic restart. A failing unit with `Restart=always` never stays in `failed`.

        Since systemd 254, ActiveState is `inactive` or `failed` for a moment before the wait.
        """
        return self.sub in (
            "auto-restart",
            "auto-restart-queued",
            "dead-before-auto-restart",
            "failed-before-auto-restart",
        )


@dataclass(frozen=True, slots=True)
class Account:
    """A row of passwd (getpwnam(3)) with its subordinate id ranges (subuid(5))."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str = ""
    subuid: tuple[int, int] | None = None
    """First id and count; None if it has no range."""
    subgid: tuple[int, int] | None = None
    comment: str = ""
    """The GECOS field."""


class FileKind(StrEnum):
    """What is at a path; a symlink is not followed."""

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


def unit(value: FactValue) -> UnitState | None:
    """Narrow a value of kind UNIT."""
    return value if isinstance(value, UnitState) else None
