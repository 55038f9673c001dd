"""Readiness to start again: what a workload that runs would lack if it had to start now, at the next boot say.

Pure, over facts: the gate, and what its start takes from the host (images, secrets, files). Only what is known to be
missing counts. Next: `eventd.health.controller_wellbeing` says it, as the state `at-risk`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from eventd.desired.model import Workload
from eventd.gates.model import WorkloadGates
from eventd.gates.model_predicate_atoms import SessionOf, WorkloadIs
from eventd.gates.model_predicates import All, Predicate, atoms
from eventd.kernel.model.facts import FactKey, FactKind, Facts
from eventd.updates.model_facts import UpdateFact
from eventd.updates.model_images import VARIABLE, images_of

WOULD_NOT_START = "would-not-start"
"""The reason of a workload that runs, and would not come up again."""
_MISSING: Mapping[FactKind, str] = {
    UpdateFact.IMAGE: "the image {} is not in its store, so a start would have to pull it"
}
"""What a fact that is false says, by its kind."""
TOLD = 4
"""What is missing, at the most, in one sentence."""


def needs_of(workload: Workload) -> frozenset[FactKey]:
    """Return the facts of what a workload's start takes from its account: its images."""
    return frozenset(
        FactKey(UpdateFact.IMAGE, use.reference, workload.name)
        for use in images_of(workload)
        if use.fixed not in ("built", VARIABLE)
    )


def lacks(needs: Iterable[FactKey], gates: WorkloadGates, facts: Facts) -> tuple[str, ...]:
    """Return what a start would lack, each as a sentence; empty if nothing is known to be missing."""
    found = [
        part.sentence(facts)
        for part in _parts(gates.requires)
        if _counts(part) and part.value(facts) is False
    ]
    missing = sorted(key for key in needs if facts.get(key) is False)
    return (*found, *(_MISSING[key.kind].format(key.name) for key in missing))


def sentence(found: tuple[str, ...]) -> str:
    """Return it as a sentence."""
    more = f"; and {len(found) - TOLD} more" if len(found) > TOLD else ""
    return f"it runs, but would not start again: {'; '.join(found[:TOLD])}{more}"


def _parts(predicate: Predicate | None) -> tuple[Predicate, ...]:
    match predicate:
        case None:
            return ()
        case All(members):
            return tuple(part for member in members for part in _parts(member))
        case _:
            return (predicate,)


def _counts(part: Predicate) -> bool:
    """Tell whether a condition says something of a start that is not now.

    Other workloads have states of their own, and people come and go; what is probed is asked only while somebody waits.
    """
    return not any(isinstance(atom, WorkloadIs | SessionOf) or atom.probe is not None for atom in atoms(part))
