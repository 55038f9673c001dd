"""Predicates: conditions that can be written down, tested and explained. Pure functions over facts.

Owns what a predicate is and when it holds. It does not parse (`eventd.gates.model_predicate_parse`), wait or probe. A
fact that is not set is *unknown*: neither a predicate nor its negation holds for it. Next:
`eventd.workloads.controller_index` finds the gates that a changed fact concerns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from eventd.gates.model_predicate_atoms import Atom, Probe
from eventd.kernel.model.facts import FactKey, Facts

__all__ = ["All", "Any", "Atom", "Missing", "Not", "Predicate", "Probe", "all_of", "atoms", "probes"]


@dataclass(frozen=True, slots=True)
class Missing:
    """A part of a predicate that does not hold, and has to for the whole to hold."""

    text: str
    """As written."""
    sentence: str
    """The actual state: `mount /srv/photos is not mounted`."""
    keys: frozenset[FactKey]
    """The facts whose change may make it hold."""
    atoms: tuple[Atom, ...]


@dataclass(frozen=True, slots=True)
class All:
    """Holds if every member does, and if there is none."""

    members: tuple[Predicate, ...]

    @property
    def text(self) -> str:
        """As it is written."""
        return f"all({', '.join(_quoted(member) for member in self.members)})"

    def keys(self) -> frozenset[FactKey]:
        """Return the facts it mentions."""
        return frozenset().union(*(member.keys() for member in self.members))

    def value(self, facts: Facts) -> bool | None:
        """Return whether it holds, None if that is not known."""
        values = [member.value(facts) for member in self.members]
        return False if False in values else None if None in values else True

    def holds(self, facts: Facts) -> bool:
        """Return whether it is known to hold."""
        return self.value(facts) is True

    def sentence(self, facts: Facts) -> str:
        """Describe the current state."""
        return ", and ".join(member.sentence(facts) for member in self.members)


@dataclass(frozen=True, slots=True)
class Any:
    """Holds if one member does."""

    members: tuple[Predicate, ...]

    @property
    def text(self) -> str:
        """As it is written."""
        return f"any({', '.join(_quoted(member) for member in self.members)})"

    def keys(self) -> frozenset[FactKey]:
        """Return the facts it mentions."""
        return frozenset().union(*(member.keys() for member in self.members))

    def value(self, facts: Facts) -> bool | None:
        """Return whether it holds, None if that is not known."""
        values = [member.value(facts) for member in self.members]
        return True if True in values else None if None in values else False

    def holds(self, facts: Facts) -> bool:
        """Return whether it is known to hold."""
        return self.value(facts) is True

    def sentence(self, facts: Facts) -> str:
        """Describe the current state."""
        return ", and ".join(member.sentence(facts) for member in self.members)


@dataclass(frozen=True, slots=True)
class Not:
    """Holds if its member is known not to hold."""

    member: Predicate

    @property
    def text(self) -> str:
        """As it is written."""
        return f"not({_quoted(self.member)})"

    def keys(self) -> frozenset[FactKey]:
        """Return the facts it mentions."""
        return self.member.keys()

    def value(self, facts: Facts) -> bool | None:
        """Return whether it holds, None if that is not known."""
        value = self.member.value(facts)
        return None if value is None else not value

    def holds(self, facts: Facts) -> bool:
        """Return whether it is known to hold."""
        return self.value(facts) is True

    def sentence(self, facts: Facts) -> str:
        """Describe the current state."""
        return self.member.sentence(facts)


Predicate: TypeAlias = All | Any | Not | Atom


def all_of(*predicates: Predicate) -> Predicate:
    """Return the conjunction: a single predicate as it is, none as `All(())`."""
    return predicates[0] if len(predicates) == 1 else All(predicates)


def atoms(predicate: Predicate) -> Iterator[Atom]:
    """Yield its atoms, in the order of the text."""
    match predicate:
        case All(members) | Any(members):
            for member in members:
                yield from atoms(member)
        case Not(member):
            yield from atoms(member)
        case _:
            yield predicate


def probes(predicate: Predicate, facts: Facts) -> tuple[Probe, ...]:
    """Return the probes that decide whether it holds; none if local facts decide it already.

    So nothing remote is probed while a local fact that is needed too is missing, or if an alternative holds.
    """
    outcomes = _outcomes(predicate, facts)
    if 2 not in outcomes or len(outcomes) == 1:
        return ()
    found = (atom.probe for atom in atoms(predicate) if atom.probe is not None)
    return tuple(dict.fromkeys(found))


def missing(predicate: Predicate, facts: Facts) -> tuple[Missing, ...]:
    """Return the parts that keep it from holding; empty if it holds.

    An `any` or a `not` is one part, since no single atom in it has to change.
    """
    if predicate.holds(facts):
        return ()
    match predicate:
        case All(members):
            return tuple(part for member in members for part in missing(member, facts))
        case Any(members) if len(members) == 1:
            return missing(members[0], facts)
        case _:
            sentence = predicate.sentence(facts)
            return (Missing(predicate.text, sentence, predicate.keys(), tuple(atoms(predicate))),)


def _outcomes(predicate: Predicate, facts: Facts) -> frozenset[int]:
    """Return the possible results over all answers of the probes: 0 fails, 1 is unknown, 2 holds."""
    match predicate:
        case All(members) | Any(members):
            fold, found = (min, {2}) if isinstance(predicate, All) else (max, {0})
            for member in members:
                others = _outcomes(member, facts)
                found = {fold(one, other) for one in found for other in others}
            return frozenset(found)
        case Not(member):
            return frozenset(2 - outcome for outcome in _outcomes(member, facts))
        case _ if predicate.probe is not None:
            return frozenset({0, 2})
        case _:
            value = predicate.value(facts)
            return frozenset({1 if value is None else 2 * value})


def _quoted(predicate: Predicate) -> str:
    """Return the text of a member, quoted if its end would be ambiguous."""
    text = predicate.text
    plain = not isinstance(predicate, Atom) or ("," not in text and text.count("(") == text.count(")"))
    return text if plain else f"'{text}'"
