"""Events: immutable records that say where to look again, and never what to decide.

Sources make them, the dispatcher numbers them, keeps the latest for `eventctl events`, and folds the
facts that come with them. Duplicates and reordering are harmless, since decisions are taken on facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from eventd.kernel.model.facts import FactKey, FactValue

Attribute = str | int | float | bool
NO_ATTRIBUTES: Mapping[str, Attribute] = MappingProxyType({})


class Origin(StrEnum):
    """Who saw it. Each domain subclasses it with its own."""


class KernelOrigin(Origin):
    """Who says what concerns no domain."""

    DAEMON = "daemon"
    """eventd itself: what it did, or is due to do."""
    REQUEST = "request"
    """An operator, through the socket."""


class EventKind(StrEnum):
    """What was seen. Each domain subclasses it with its own."""

    @property
    def is_cause(self) -> bool:
        """Whether people or the repository did it: a run names such triggers first, and leaves no kind of them out."""
        return False


class KernelEvent(EventKind):
    """What happens in every domain. `GAP`: the source may have missed something and reads all its facts again."""

    GAP = "gap"
    """The source may have missed something and reads all its facts again. Attributes `reason`, and `error` while it
    cannot. To a follower that read too slowly: `missed`, how many events it was not told."""
    READ = "read"
    """Facts read afresh after (re)subscribing. Of a manager: `units`, how many; of what is named: `there`, `problem`;
    of a store: `volumes`."""
    SOURCE = "source"
    """A source has read all of its facts, for the first time or after a gap; the subject is its name."""
    SYNC = "sync"
    """An operator asks for a run. Attributes `fetch`, `wait`."""
    RETRY = "retry"
    """The pause after a failure is over."""
    LOCKED = "locked"
    """Another process holds the lock of this host's runs, and one waits. Attributes `pid`, `command`."""
    BOOT = "boot"
    """The daemon has started. Attribute `interrupted`: steps that its last life left open."""
    RECOVERED = "recovered"
    """A step that the daemon's last life left open is settled. Attributes `run`, `verb`, `target`, `ended`, `note`."""
    CONFIG_CHANGED = "config-changed"
    """The configuration or a transform of the host has changed."""

    @property
    def is_cause(self) -> bool:
        """See `EventKind`."""
        return self in (KernelEvent.SYNC, KernelEvent.BOOT, KernelEvent.CONFIG_CHANGED)


@dataclass(frozen=True, slots=True)
class Event:
    """One record."""

    sequence: int
    """Counted from 1 within one life of the daemon."""
    origin: Origin
    kind: EventKind
    subject: str
    """A unit name, user name, path, repository, …: whatever `kind` is about."""
    monotonic: float
    """Seconds on the event loop's clock."""
    wall: float
    """Seconds since the epoch, for people."""
    scope: str = ""
    """The workload (user) whose manager said it; empty for the system."""
    attributes: Mapping[str, Attribute] = field(default_factory=lambda: NO_ATTRIBUTES)


class Emit(Protocol):
    """How a source hands on what it saw. Synchronous: called from the loop's thread, never blocks."""

    def __call__(
        self,
        origin: Origin,
        kind: EventKind,
        subject: str,
        *,
        scope: str = "",
        attributes: Mapping[str, Attribute] = NO_ATTRIBUTES,
        facts: Iterable[tuple[FactKey, FactValue]] = (),
    ) -> object:
        """Number the event, fold `facts` (None as a value: the fact is gone), wake who watches them."""
        ...
