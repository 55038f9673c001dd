"""What the model emits: the signals of systemd and logind, and changes of files, as values.

`scope` is `""` for the system manager, else the user name. Values are those of the moment of sending.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from eventd.platform.model_facts import UnitState


class Timer(Protocol):
    """A pending call (asyncio.TimerHandle)."""

    def cancel(self) -> None:
        """Cancel the call."""
        ...


class Clock(Protocol):
    """What the model needs of an event loop: asyncio's is one, virtual or not."""

    def time(self) -> float:
        """Return seconds on a monotonic clock."""
        ...

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Timer:
        """Call `callback` after `delay` seconds; equal times run in the order they were asked for."""
        ...


@dataclass(frozen=True, slots=True)
class JobNew:
    """Manager.JobNew."""

    scope: str
    id: int
    unit: str


@dataclass(frozen=True, slots=True)
class JobRemoved:
    """Manager.JobRemoved."""

    scope: str
    id: int
    unit: str
    result: str


@dataclass(frozen=True, slots=True)
class UnitNew:
    """Manager.UnitNew: the unit is loaded now."""

    scope: str
    unit: str


@dataclass(frozen=True, slots=True)
class UnitRemoved:
    """Manager.UnitRemoved: the unit is not loaded any more."""

    scope: str
    unit: str


@dataclass(frozen=True, slots=True)
class UnitChanged:
    """Properties.PropertiesChanged of a unit."""

    scope: str
    unit: str
    state: UnitState


@dataclass(frozen=True, slots=True)
class Reloading:
    """Manager.Reloading."""

    scope: str
    active: bool


@dataclass(frozen=True, slots=True)
class BusUp:
    """A manager can be reached on its bus from now on."""

    scope: str


@dataclass(frozen=True, slots=True)
class BusDown:
    """The bus of a manager went away, and every connection to it."""

    scope: str


@dataclass(frozen=True, slots=True)
class Reexecuted:
    """The manager left its bus name and took it again (daemon-reexec); connections to the bus stay."""

    scope: str


@dataclass(frozen=True, slots=True)
class UserNew:
    """logind: UserNew."""

    uid: int
    name: str


@dataclass(frozen=True, slots=True)
class UserRemoved:
    """logind: UserRemoved."""

    uid: int
    name: str


@dataclass(frozen=True, slots=True)
class SessionNew:
    """logind: SessionNew."""

    id: str
    user: str


@dataclass(frozen=True, slots=True)
class SessionRemoved:
    """logind: SessionRemoved."""

    id: str
    user: str


@dataclass(frozen=True, slots=True)
class PrepareForShutdown:
    """logind: PrepareForShutdown."""

    active: bool


@dataclass(frozen=True, slots=True)
class FileChanged:
    """Something happened to a path (inotify)."""

    path: str


@dataclass(frozen=True, slots=True)
class AccountChanged:
    """passwd changed."""

    name: str


Signal: TypeAlias = (
    JobNew
    | JobRemoved
    | UnitNew
    | UnitRemoved
    | UnitChanged
    | Reloading
    | BusUp
    | BusDown
    | Reexecuted
    | UserNew
    | UserRemoved
    | SessionNew
    | SessionRemoved
    | PrepareForShutdown
    | FileChanged
    | AccountChanged
)
Listener: TypeAlias = Callable[[Signal], None]


class Hub:
    """Passes signals to the listeners, at once and in order."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener(signal)` from now on; the result ends that."""
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    def send(self, signal: Signal) -> None:
        """Call every listener."""
        for listener in tuple(self._listeners):
            listener(signal)
