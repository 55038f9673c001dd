"""Deleting: while a workload's account is being deleted, nothing else is done for the workload.

A deletion that has begun cannot be undone. A workload that returns to the repository meanwhile waits for its end, and
then gets a new account.
"""

from __future__ import annotations

from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.verdicts import ALLOW, Hold, Verdict
from eventd.removal.model_actions import DeleteAccount
from eventd.removal.model_facts import RemovalFact
from eventd.workloads.model_case import Case


def deleting(case: Case) -> Verdict:
    """Hold everything for a workload whose deletion has begun."""
    fact = FactKey(RemovalFact.DELETION, case.action.workload)
    if isinstance(case.action, DeleteAccount) or case.facts.get(fact) is not True:
        return ALLOW
    return Hold(
        "being-deleted",
        f"the account {case.action.workload} is being deleted, as it was approved",
        wakes_on=frozenset({fact}),
        waits_for=("the end of its deletion",),
    )
