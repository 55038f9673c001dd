"""Suspended: while an operator has suspended a workload, or the whole host, nothing of it is touched.

Every action is held, even a repair. Events are still observed, and acted on after the resume.
"""

from __future__ import annotations

from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.verdicts import ALLOW, Hold, Verdict
from eventd.overrides.model_facts import OverrideFact
from eventd.workloads.model_case import Case

REASON = "suspended"


def suspended(case: Case) -> Verdict:
    """Hold every action on a suspended workload."""
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
