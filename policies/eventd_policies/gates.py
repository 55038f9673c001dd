"""Gates: nothing of a workload starts before what it requires holds. Everything else of it may go on.

The account, the files and the manager are made ready meanwhile, so that the start is all that is left when the gate
opens. A hold names what is missing, and the facts whose change is a reason to look again.
"""

from __future__ import annotations

from eventd.core.actions import PullImages, RestartUnit, StartUnit
from eventd.core.predicates import missing
from eventd.core.verdicts import ALLOW, Case, Hold, Verdict


def gates(case: Case) -> Verdict:
    """Hold a start whose workload's `requires` does not hold, and a pull for one."""
    if not isinstance(case.action, (StartUnit, RestartUnit, PullImages)) or case.gates.requires is None:
        return ALLOW
    parts = missing(case.gates.requires, case.facts)
    if not parts:
        return ALLOW
    return Hold(
        "gate",
        "; ".join(part.sentence for part in parts),
        wakes_on=case.gates.requires.keys(),
        waits_for=tuple(part.text for part in parts),
    )
