"""Suspended: while an operator has a workload (or the whole host) suspended, nothing of it is touched.

Whatever would be done is held, be it a repair; what happens is seen all the same, and acted on when it is resumed.
"""

from __future__ import annotations

from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.verdicts import ALLOW, Hold, Verdict
from eventd.overrides.model_facts import OverrideFact
from eventd.workloads.model_case import Case

REASON = "suspended"


def suspended(case: Case) -> Verdict:
    """Hold every action on what is suspended."""
    for name in dict.fromkeys((case.action.workload, "")):
        key = FactKey(OverrideFact.SUSPENSION, name)
        sentence = case.facts.get(key)
        if sentence is not None:
            return Hold(
                REASON,
                str(sentence),
                wakes_on=frozenset({key}),
                waits_for=(f"eventctl resume {name}".strip(),),
            )
    return ALLOW
