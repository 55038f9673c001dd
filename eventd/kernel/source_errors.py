"""What is wrong with sources now: kept from their SOURCE facts, for status and for what a run says of the host.

A host with a source that cannot be read is not called converged: nobody would notice a change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.facts import FactKey, Facts, KernelFact, SourceTrouble
from eventd.kernel.model.source_state import error_of


@dataclass(slots=True)
class SourceErrors:
    """See the module. `changed`: called when a source has come into trouble, or out of it."""

    facts: Facts
    changed: Callable[[], None]
    rows: dict[str, EventdError] = field(default_factory=dict)
    passing: set[str] = field(default_factory=set)
    """Those that end by themselves."""

    def __post_init__(self) -> None:
        """Begin to listen; sources speak before anything else does."""
        self.facts.watch_all(self._look)

    def __iter__(self) -> Iterator[tuple[str, EventdError]]:
        """Yield each source that is in trouble, with its error."""
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
