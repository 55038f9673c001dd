"""Actions on units, and what all actions on a workload's account share."""

from __future__ import annotations

from dataclasses import dataclass

STOP_TIMEOUT = 100.0
"""Seconds to wait for a stop job: systemd kills after DefaultTimeoutStopSec, 90 s by default."""


@dataclass(frozen=True, slots=True)
class OnUser:
    """Changes the workload's user."""

    workload: str

    @property
    def target(self) -> str:
        """The user name."""
        return self.workload


@dataclass(frozen=True, slots=True)
class OnUnit:
    """Changes a unit."""

    workload: str
    unit: str

    @property
    def target(self) -> str:
        """The unit."""
        return self.unit


@dataclass(frozen=True, slots=True)
class StopUnit(OnUnit):
    """Stop a unit that is no longer wanted."""

    why: str
    timeout: float
    verb = "stop-unit"


@dataclass(frozen=True, slots=True)
class StartUnit(OnUnit):
    """Start a unit and await its job."""

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

    digest: str
    why: str
    timeout: float
    named: tuple[str, ...] = ()
    """As in StartUnit."""
    verb = "restart-unit"


@dataclass(frozen=True, slots=True)
class RecordFiles(OnUnit):
    """Record the contents of the host's files for a unit that eventd did not start, or started without knowing them."""

    files: tuple[tuple[str, str], ...]
    """Path and keyed digest."""
    why: str
    verb = "record-files"


STARTS = (StartUnit, RestartUnit)
