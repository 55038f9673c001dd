"""Facts: the current values of what was observed, without history.

Sources set them with their events, and read them again after a gap. Plans, gates and status are functions of facts. A
fact that was never read is *unknown* (absent), which is not the same as false.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias


class FactKind(StrEnum):
    """A kind of fact. Each domain defines its own subclass, beside the types of the values."""


class KernelFact(FactKind):
    """The kernel's facts."""

    SOURCE = "source"  # name: of the source; value: True (its facts are current) or SourceTrouble, absent: being read


class FactKey(NamedTuple):
    """The key of a fact. A tuple, because it is hashed for every signal."""

    kind: FactKind
    name: str = ""
    scope: str = ""

    def __str__(self) -> str:
        scope = f"{self.scope}/" if self.scope else ""
        return f"{self.kind}:{scope}{self.name}"


@dataclass(frozen=True, slots=True)
class SourceTrouble:
    """A source cannot read its facts, or cannot keep them current."""

    reason: str
    message: str
    hint: str = ""
    known: bool = False
    """It has read them before: the facts are outdated, not missing."""
    optional: bool = False
    """Only what needs it is affected; the host may count as converged."""
    passing: bool = False
    """It ends by itself: the peer is still starting, as during a boot. No run fails because of it."""


FactValue: TypeAlias = object
"""A frozen dataclass, a string, a bool, …, according to the kind. None: unknown, or gone."""
Watcher: TypeAlias = Callable[[FactKey], None]


class Facts:
    """A dictionary that calls watchers when a value changes. Not thread-safe: for the loop's thread only."""

    def __init__(self, failed: Callable[[Watcher, Exception], None] | None = None) -> None:
        """`failed`: called with a watcher that raised, and the error. The others are still called. None: raise it."""
        self._failed = failed
        self._values: dict[FactKey, FactValue] = {}
        self._watchers: dict[FactKey, list[Watcher]] = {}
        self._all: list[Watcher] = []

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: FactKey) -> bool:
        return key in self._values

    def get(self, key: FactKey) -> FactValue:
        """Return the value; None if it is unknown or gone."""
        return self._values.get(key)

    def items(self, kind: FactKind, scope: str | None = None) -> Iterator[tuple[FactKey, FactValue]]:
        """Yield the facts of a kind (and scope). A scan: for status and re-reads only."""
        for key, value in self._values.items():
            if key.kind is kind and (scope is None or key.scope == scope):
                yield key, value

    def set(self, key: FactKey, value: FactValue) -> bool:
        """Set a fact (None: forget it). If it changed, call its watchers and return True."""
        if value is None:
            if self._values.pop(key, None) is None:
                return False
        elif self._values.get(key) == value:
            return False
        else:
            self._values[key] = value
        for watcher in (*self._watchers.get(key, ()), *self._all):
            try:
                watcher(key)
            except Exception as error:
                if self._failed is None:
                    raise
                self._failed(watcher, error)
        return True

    def watch(self, keys: Iterable[FactKey], watcher: Watcher) -> Callable[[], None]:
        """Call `watcher(key)` after each change of one of `keys`. Return a function that unsubscribes."""
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
        """Call `watcher(key)` after every change."""
        self._all.append(watcher)
