"""What the runtime needs of systemd and logind."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from eventd.platform.model_facts import Account, UnitState


class Verb(StrEnum):
    """A method of org.freedesktop.systemd1.Manager that creates a job. The value is its name."""

    START = "StartUnit"
    STOP = "StopUnit"
    RESTART = "RestartUnit"


@dataclass(frozen=True, slots=True)
class JobResult:
    """What `JobRemoved` reports. `result`: done, canceled, timeout, failed, dependency, skipped, invalid, …."""

    unit: str
    result: str

    @property
    def done(self) -> bool:
        """Whether the job succeeded. A start is `skipped` if the unit is already active, or a condition failed."""
        return self.result in ("done", "skipped")


class Manager(Protocol):
    """A systemd manager: the system's, or one user's (org.freedesktop.systemd1.Manager)."""

    @property
    def scope(self) -> str:
        """`""` for the system manager, else the user's name."""
        ...

    async def read_unit(self, name: str) -> UnitState:
        """Return the unit as it is now (LoadUnit and GetAll). LoadState not-found is a value, not an error."""
        ...

    async def job(self, verb: Verb, unit: str, *, timeout: float) -> JobResult:
        """Create a job, and await its JobRemoved, to which it subscribes first.

        Raises PermanentError(reason="no-such-unit" | "unit-masked" | …) if the manager refuses the job.
        """
        ...

    async def reload(self, *, timeout: float) -> None:
        """Reload unit files; return when the manager has finished (Reloading(false))."""
        ...

    async def reset_failed(self, unit: str) -> None:
        """Reset the unit's failure and its start-limit counter. It need not be loaded."""
        ...


class UserManagers(Protocol):
    """The managers of the workloads' users. While connected, signals keep the facts about their units current."""

    async def connect(self, account: Account, *, timeout: float) -> Manager:
        """Return the manager once it is connected, its watched units are read, and MANAGER is `up`. Idempotent.

        Raises TemporaryError(reason="user-manager-unavailable").
        """
        ...

    def watch(self, user: str, units: frozenset[str]) -> None:
        """Set the units whose full `UnitState` is kept as a fact. Takes effect at once if connected."""
        ...

    async def refresh(self, user: str) -> None:
        """Read all watched units of a connected user again; do nothing without a connection."""
        ...

    async def disconnect(self, user: str) -> None:
        """Close the connection, and remove the user's unit facts."""
        ...

    async def replace(self, account: Account) -> None:
        """Close the connection to the manager of a former account of this name, and remove its facts.

        That manager has another uid, and may still run; it has nothing to do with the present account. The same units
        stay watched.
        """
        ...


class Logins(Protocol):
    """logind (org.freedesktop.login1.Manager)."""

    async def set_linger(self, user: Account, enable: bool, *, timeout: float) -> None:  # noqa: FBT001
        """Switch lingering on or off; return when logind has replied and the LINGER fact is set."""
        ...
