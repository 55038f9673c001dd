"""The index from facts to subjects: which subject does a fact concern? A dictionary look-up, not a scan.

Owns what subjects wait for. Which subject a fact belongs to by itself, its domain says.
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
    """Returns the subject that a fact belongs to; called once for each change, before anybody hears of it."""
    _wakes: dict[FactKey, set[str]] = field(default_factory=dict)
    _expected: Mapping[FactKey, Iterable[str]] = field(default_factory=dict)

    def start(self, changed: Callable[[str], None], woken: Callable[[str], None]) -> None:
        """Begin to watch.

        `changed` is called with each subject that a changed fact concerns, `woken` with each that asked for it.
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
        """Let a change of a fact make the subjects dirty that expect something of it; replaces what was set before."""
        self._expected = concerns

    def wake_on(self, name: str, keys: Iterable[FactKey]) -> None:
        """Mark `name` dirty when one of `keys` changes, besides its own facts; replaces what was set before."""
        for waiting in self._wakes.values():
            waiting.discard(name)
        for key in keys:
            self._wakes.setdefault(key, set()).add(name)
        self._wakes = {key: names for key, names in self._wakes.items() if names}
