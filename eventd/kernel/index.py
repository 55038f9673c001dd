"""The index from facts to subjects: which subjects does a changed fact concern? A dictionary look-up, not a scan.

Owns the facts that subjects wait for. The domains say which subject a fact belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from eventd.kernel.model.facts import FactKey, Facts


@dataclass(slots=True)
class Index:
    """Kept current by watching all facts."""

    facts: Facts
    subject_of: Callable[[FactKey], str | None]
    """Returns the subject that a fact belongs to. Called once for each change, before any watcher."""
    _wakes: dict[FactKey, set[str]] = field(default_factory=dict)
    _expected: Mapping[FactKey, Iterable[str]] = field(default_factory=dict)

    def start(self, changed: Callable[[str], None], woken: Callable[[str], None]) -> None:
        """Start watching all facts.

        Calls `changed` with each subject that a changed fact concerns, and `woken` with each that waits for the fact.
        """

        def take_in(key: FactKey) -> None:
            name = self.subject_of(key)
            if name is not None:
                changed(name)
            for expecting in self._expected.get(key, ()):
                if expecting != name:
                    changed(expecting)
            for waiting in tuple(self._wakes.get(key, ())):
                woken(waiting)

        self.facts.watch_all(take_in)

    def attend(self, concerns: Mapping[FactKey, Iterable[str]]) -> None:
        """Set which subjects a change of each fact makes dirty. Replaces the previous mapping."""
        self._expected = concerns

    def wake_on(self, name: str, keys: Iterable[FactKey]) -> None:
        """Make `name` dirty when one of `keys` changes, besides its own facts. Replaces its previous keys."""
        for waiting in self._wakes.values():
            waiting.discard(name)
        for key in keys:
            self._wakes.setdefault(key, set()).add(name)
        self._wakes = {key: names for key, names in self._wakes.items() if names}
