"""Readiness: what a running workload would lack if it had to start now, for instance at the next boot.

Pure, over facts: the gate, and what the start needs from the host (images, secrets, files). Only what is known to be
missing counts. Next: `eventd.health.controller_wellbeing` reports it as the state `at-risk`.
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
"""The reason of a workload that runs, but would not start again."""
_MISSING: Mapping[FactKind, str] = {
    UpdateFact.IMAGE: "the image {} is not in its store, so a start would have to pull it"
}
"""The sentence for a false fact, by kind."""
TOLD = 4
"""How many missing things one sentence names."""


def needs_of(workload: Workload) -> frozenset[FactKey]:
    """Return the facts that a workload's start needs from its account: its images."""
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
    """Return whether a condition matters for a later start.

    Other workloads and sessions change by then, and probes run only while something waits for them.
    """
    return not any(isinstance(atom, WorkloadIs | SessionOf) or atom.probe is not None for atom in atoms(part))
