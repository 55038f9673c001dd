"""Renames: a workload that may be another one under a new name is held until it is decided whose data it gets.

Otherwise there could silently be two databases: one with the data under the old name, and an empty one under the new.
"""

from __future__ import annotations

from eventd.desired.model_options_place import ANYWHERE
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.verdicts import ALLOW, Hold, Verdict
from eventd.removal.model_actions import RenameAccount
from eventd.removal.model_facts import RemovalFact, RenameState
from eventd.workloads.model_case import Case


def renames(case: Case) -> Verdict:
    """Hold everything for a workload whose rename is not finished, or not decided."""
    name = case.action.workload
    fact = FactKey(RemovalFact.RENAME, name)
    state = case.facts.get(fact)
    if isinstance(case.action, RenameAccount) or not isinstance(state, RenameState):
        return ALLOW
    old = " or ".join(state.old)
    place = case.workload.options.place if case.workload is not None else ANYWHERE
    if state.problem:
        message, hint = state.problem, f"correct {place.key('renamed_from')}"
    elif state.declared:
        message, hint = f"it waits for {old} to stop, whose account it takes over", ""
    else:
        message = f"it has the content of {old}, which left the repository: is it the same workload under a new name?"
        hint = (
            f'write renamed_from = "{state.old[0]}" to take over its account and data, or renamed_from = "" to'
            f" start empty: {place.key('renamed_from')}"
        )
    return Hold(
        "renamed", message, wakes_on=frozenset({fact}), waits_for=(f"renamed_from {old}", message), hint=hint
    )
