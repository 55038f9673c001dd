"""The index from facts to gates: a changed fact re-evaluates the gates that mention it, and no other.

Owns which gates there are and whether each holds. It is a cache and no more: what it says is at all times
what evaluating every gate would say. The runtime feeds it by `changed`; `Facts.watch_all` is made for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from eventd.core.facts import FactKey, Facts
from eventd.core.predicates import Predicate

_NONE: frozenset[str] = frozenset()


@dataclass(slots=True)
class GateIndex:
    """Gates by name. Not thread-safe: the loop's thread only."""

    facts: Facts
    evaluations: int = 0
    """How often a predicate was evaluated, for metrics and tests."""
    _gates: dict[str, Predicate] = field(default_factory=dict)
    _holds: dict[str, bool] = field(default_factory=dict)
    _by_key: dict[FactKey, set[str]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all gates."""
        return iter(self._gates)

    def put(self, gate: str, predicate: Predicate) -> bool:
        """Add or replace a gate; return whether it holds now."""
        self.drop(gate)
        self._gates[gate] = predicate
        for key in predicate.keys():  # noqa: SIM118  not a mapping
            self._by_key.setdefault(key, set()).add(gate)
        return self._evaluate(gate)

    def drop(self, gate: str) -> None:
        """Forget a gate; one that is not there is no error."""
        predicate = self._gates.pop(gate, None)
        if predicate is None:
            return
        del self._holds[gate]
        for key in predicate.keys():  # noqa: SIM118  not a mapping
            names = self._by_key[key]
            names.discard(gate)
            if not names:
                del self._by_key[key]

    def replace(self, gates: Mapping[str, Predicate]) -> None:
        """Have exactly these gates; those that are the same are not looked at again."""
        for gate in [name for name in self._gates if name not in gates]:
            self.drop(gate)
        for gate, predicate in gates.items():
            if self._gates.get(gate) != predicate:
                self.put(gate, predicate)

    def changed(self, key: FactKey) -> tuple[str, ...]:
        """Evaluate what mentions a changed fact; return the gates that opened or closed by it, sorted."""
        turned: list[str] = []
        for gate in sorted(self._by_key.get(key, _NONE)):
            before = self._holds[gate]
            if self._evaluate(gate) != before:
                turned.append(gate)
        return tuple(turned)

    def holds(self, gate: str) -> bool:
        """Tell whether a gate holds; KeyError if there is none of that name."""
        return self._holds[gate]

    def predicate(self, gate: str) -> Predicate:
        """Return a gate's predicate; KeyError if there is none of that name."""
        return self._gates[gate]

    def mentioning(self, key: FactKey) -> frozenset[str]:
        """Return the gates that mention a fact."""
        return frozenset(self._by_key.get(key, _NONE))

    def keys(self) -> Iterable[FactKey]:
        """Return all facts that any gate mentions: what sources have to keep current."""
        return self._by_key.keys()

    def _evaluate(self, gate: str) -> bool:
        self.evaluations += 1
        holds = self._holds[gate] = self._gates[gate].holds(self.facts)
        return holds
