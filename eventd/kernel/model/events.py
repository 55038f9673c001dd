"""Events: immutable records of what was observed. They never carry a decision.

Sources emit them. The dispatcher numbers them, keeps the latest for `eventctl events`, and folds the facts they carry.
Decisions are made from facts, so duplicate and reordered events are harmless.
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
    """Where an event comes from. Each domain defines its own subclass."""


class KernelOrigin(Origin):
    """The origins of the kernel's events."""

    DAEMON = "daemon"
    """eventd itself."""
    REQUEST = "request"
    """An operator, through the socket."""


class EventKind(StrEnum):
    """What was observed. Each domain defines its own subclass."""

    @property
    def is_cause(self) -> bool:
        """Whether people or the repository caused it. A run names such triggers first."""
        return False


class KernelEvent(EventKind):
    """Events that are common to all domains."""

    GAP = "gap"
    """The source may have missed something and reads all its facts again. Attributes `reason`, and `error` if that
    fails. For a follower that reads too slowly: `missed`, the number of events it did not get."""
    READ = "read"
    """Facts were read again after (re)subscribing. Attributes, of a manager: `units`, how many; of a named file:
    `there`, `problem`; of a store: `volumes`."""
    SOURCE = "source"
    """A source has read all of its facts, for the first time or after a gap. The subject is its name."""
    SYNC = "sync"
    """An operator asked for a run. Attributes `fetch`, `wait`."""
    RETRY = "retry"
    """A retry is due."""
    LOCKED = "locked"
    """A run waits for the host's lock, which another process holds. Attributes `pid`, `command`."""
    BOOT = "boot"
    """The daemon has started. Attribute `interrupted`: steps that the previous process left open."""
    RECOVERED = "recovered"
    """A step that the previous process left open is settled. Attributes `run`, `verb`, `target`, `ended`, `note`."""
    CONFIG_CHANGED = "config-changed"
    """The configuration or a transform of the host has changed."""
    CONFIG_APPLIED = "config-applied"
    """A changed configuration, or changed transforms, are in force."""

    @property
    def is_cause(self) -> bool:
        """See `EventKind`."""
        return self in (
            KernelEvent.SYNC,
            KernelEvent.BOOT,
            KernelEvent.CONFIG_CHANGED,
            KernelEvent.CONFIG_APPLIED,
        )


@dataclass(frozen=True, slots=True)
class Event:
    """One record."""

    sequence: int
    """Counted from 1 since the daemon started."""
    origin: Origin
    kind: EventKind
    subject: str
    """A unit, user, path, repository, …: whatever `kind` is about."""
    monotonic: float
    """Seconds on the event loop's clock."""
    wall: float
    """Seconds since the epoch, for people."""
    scope: str = ""
    """The workload that it concerns; empty for the system."""
    attributes: Mapping[str, Attribute] = field(default_factory=lambda: NO_ATTRIBUTES)


class Emit(Protocol):
    """How a source emits an event. Called from the loop's thread; never blocks."""

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
        """Number the event, fold `facts` (a value of None: the fact is gone), and call their watchers."""
        ...
