"""The errors of sources, from their SOURCE facts. For the status, and for the result of a run.

A host with a source that cannot be read does not count as converged: a change would go unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.facts import FactKey, Facts, KernelFact, SourceTrouble
from eventd.kernel.model.source_state import error_of


@dataclass(slots=True)
class SourceErrors:
    """See the module. `changed`: called when a source begins to fail, or recovers."""

    facts: Facts
    changed: Callable[[], None]
    rows: dict[str, EventdError] = field(default_factory=dict)
    passing: set[str] = field(default_factory=set)
    """The sources whose trouble ends by itself."""

    def __post_init__(self) -> None:
        """Start listening. Sources start before everything else."""
        self.facts.watch_all(self._look)

    def __iter__(self) -> Iterator[tuple[str, EventdError]]:
        """Yield each failing source with its error."""
        return iter(tuple(self.rows.items()))

    def _look(self, key: FactKey) -> None:
        if key.kind is not KernelFact.SOURCE:
            return
        value, known = self.facts.get(key), key.name in self.rows
        if isinstance(value, SourceTrouble) and not value.optional:
            self.rows[key.name] = error_of(value)
        else:
            self.rows.pop(key.name, None)
        if isinstance(value, SourceTrouble) and value.passing:
            self.passing.add(key.name)
        else:
            self.passing.discard(key.name)
        if known != (key.name in self.rows):
            self.changed()
