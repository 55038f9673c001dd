"""Actions: the steps of a plan. Each is a value that names what it changes and why.

A handler (`eventd_handlers`) carries one out; the journal stores its `describe()`; a policy gives a verdict on it.
"""

from __future__ import annotations

from dataclasses import dataclass

from eventd.desired.model import InstallFile

STOP_TIMEOUT = 100.0
"""Seconds to wait for a stop job: systemd kills after DefaultTimeoutStopSec, 90 s by default."""


class OnUser:
    """Changes the workload's user."""

    __slots__ = ()
    workload: str

    @property
    def target(self) -> str:
        """The user name."""
        return self.workload


class OnUnit:
    """Changes a unit."""

    __slots__ = ()
    unit: str

    @property
    def target(self) -> str:
        """The unit."""
        return self.unit


@dataclass(frozen=True, slots=True)
class PutFile:
    """Write one file; its folder depends on the uid, which a new account gets only when it is created."""

    workload: str
    file: InstallFile
    why: str
    verb = "put-file"

    @property
    def target(self) -> str:
        """The name below the folder of its role."""
        return f"{self.file.role}:{self.file.name}"


@dataclass(frozen=True, slots=True)
class RemoveFile:
    """Remove a file that eventd wrote."""

    workload: str
    path: str
    why: str
    verb = "remove-file"

    @property
    def target(self) -> str:
        """The absolute path."""
        return self.path


@dataclass(frozen=True, slots=True)
class EnableLinger(OnUser):
    """SetUserLinger(true): the user's manager runs from boot on, without a login."""

    workload: str
    why: str = "the user does not linger"
    verb = "enable-linger"


@dataclass(frozen=True, slots=True)
class DisableLinger(OnUser):
    """SetUserLinger(false)."""

    workload: str
    why: str
    verb = "disable-linger"


@dataclass(frozen=True, slots=True)
class StartManager(OnUser):
    """Start `user@UID.service` and connect to its bus."""

    workload: str
    why: str = "the user's manager is not up"
    verb = "start-manager"


@dataclass(frozen=True, slots=True)
class StopManager(OnUser):
    """Stop `user@UID.service`."""

    workload: str
    why: str
    verb = "stop-manager"


@dataclass(frozen=True, slots=True)
class Reload(OnUser):
    """Reload the user's manager (daemon-reload); not needed if the manager started after the last file was written."""

    workload: str
    why: str
    verb = "reload"


@dataclass(frozen=True, slots=True)
class StopUnit(OnUnit):
    """Stop a unit that is no longer wanted."""

    workload: str
    unit: str
    why: str
    timeout: float
    verb = "stop-unit"


@dataclass(frozen=True, slots=True)
class StartUnit(OnUnit):
    """Start a unit and await its job."""

    workload: str
    unit: str
    digest: str
    why: str
    timeout: float
    named: tuple[str, ...] = ()
    """The host's files that it reads at start, by their paths as written."""
    reset: bool = False
    """Reset its failure first, so that systemd's start limit does not refuse a changed or requested start."""
    verb = "start-unit"


@dataclass(frozen=True, slots=True)
class StartAgain(StartUnit):
    """Start a unit that was stopped because a volume was detached, and clear that note."""


@dataclass(frozen=True, slots=True)
class RestartUnit(OnUnit):
    """Restart a unit whose content changed, unless it has been started since the reload."""

    workload: str
    unit: str
    digest: str
    why: str
    timeout: float
    named: tuple[str, ...] = ()
    """As in StartUnit."""
    verb = "restart-unit"


@dataclass(frozen=True, slots=True)
class RecordFiles(OnUnit):
    """Record the contents of the host's files for a unit that eventd did not start, or started without knowing them."""

    workload: str
    unit: str
    files: tuple[tuple[str, str], ...]
    """Path and keyed digest."""
    why: str
    verb = "record-files"


STARTS = (StartUnit, RestartUnit)
