"""Facts: the current value per subject, and nothing about how it came to be.

Sources fold events into facts and read them afresh after a gap. Plans, gates and status are functions
of them. A fact that was never read is *unknown* (absent), which is not the same as false.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeAlias


class FactKind(StrEnum):
    """A family of facts. Each domain subclasses it with its own, beside the types of their values."""


class KernelFact(FactKind):
    """Facts that the kernel keeps itself."""

    SOURCE = "source"  # name: of the source; value: True (its facts are current) or SourceTrouble, absent: being read


class FactKey(NamedTuple):
    """What a fact is about. A tuple, since it is hashed for every signal."""

    kind: FactKind
    name: str = ""
    scope: str = ""

    def __str__(self) -> str:
        scope = f"{self.scope}/" if self.scope else ""
        return f"{self.kind}:{scope}{self.name}"


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


FactValue: TypeAlias = object
"""A frozen dataclass, a string, a bool, …: whatever the kind says. None: unknown, or gone."""
Watcher: TypeAlias = Callable[[FactKey], None]


class Facts:
    """A dictionary that tells who asked when a value changes. Not thread-safe: the loop's thread only."""

    def __init__(self, failed: Callable[[Watcher, Exception], None] | None = None) -> None:
        """`failed`: told of a watcher that raised, and of what; the others are called. None: it is raised."""
        self._failed = failed
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
            try:
                watcher(key)
            except Exception as error:
                if self._failed is None:
                    raise
                self._failed(watcher, error)
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
