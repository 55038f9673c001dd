"""systemd and logind, as the runtime sees them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from eventd.platform.model_facts import Account, UnitState


class Verb(StrEnum):
    """A call of org.freedesktop.systemd1.Manager that creates a job, in the mode `replace`.

    The value is the method's name.
    """

    START = "StartUnit"
    STOP = "StopUnit"
    RESTART = "RestartUnit"


@dataclass(frozen=True, slots=True)
class JobResult:
    """`JobRemoved`: result is done, canceled, timeout, failed, dependency, skipped, invalid, …."""

    unit: str
    result: str

    @property
    def done(self) -> bool:
        """The job succeeded (a start is skipped if the unit is already active, or a condition failed)."""
        return self.result in ("done", "skipped")


class Manager(Protocol):
    """A systemd manager: the system's, or one user's (org.freedesktop.systemd1.Manager)."""

    @property
    def scope(self) -> str:
        """`""` for the system's, else the user's name."""
        ...

    async def read_unit(self, name: str) -> UnitState:
        """Return the unit as it is now (LoadUnit and GetAll); LoadState not-found is a value, not an error."""
        ...

    async def job(self, verb: Verb, unit: str, *, timeout: float) -> JobResult:
        """Create the job and await its JobRemoved, subscribed to before the call.

        Raises PermanentError(reason="no-such-unit" | "unit-masked" | …) when the manager refuses to make the job.
        """
        ...

    async def reload(self, *, timeout: float) -> None:
        """Reload unit files, and return when the manager has finished (Reloading(false))."""
        ...

    async def reset_failed(self, unit: str) -> None:
        """Forget the unit's failure and its start-limit counter; a unit that is not loaded is no error."""
        ...


class UserManagers(Protocol):
    """The managers of the workloads' users. Facts about their units are kept current by signals while connected."""

    async def connect(self, account: Account, *, timeout: float) -> Manager:
        """Return the connected manager: subscribed, its watched units read, the MANAGER fact `up`. Idempotent.

        Raises TemporaryError(reason="user-manager-unavailable").
        """
        ...

    def watch(self, user: str, units: frozenset[str]) -> None:
        """Set whose full `UnitState` is kept as a fact (others may be partial). Takes effect at once if connected."""
        ...

    async def refresh(self, user: str) -> None:
        """Read all watched units of a connected user afresh; does nothing where there is no connection."""
        ...

    async def disconnect(self, user: str) -> None:
        """Close the connection and forget the user's unit facts."""
        ...

    async def replace(self, account: Account) -> None:
        """Close a connection to the manager of a former account of this name, and forget its facts.

        That manager has another uid, and may run on: what it says is not about the account that is there now. What is
        watched stays watched.
        """
        ...


class Logins(Protocol):
    """logind (org.freedesktop.login1.Manager)."""

    async def set_linger(self, user: Account, enable: bool, *, timeout: float) -> None:  # noqa: FBT001
        """SetUserLinger; returns when logind has answered and the LINGER fact is set."""
        ...
