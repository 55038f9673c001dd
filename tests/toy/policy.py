"""The policy: no barrier is moved where a ship is."""

from __future__ import annotations

from eventd.kernel.model.verdicts import ALLOW, Hold, Verdict
from eventd.workloads.model_case import Case
from tests.toy.model_action_table import MoveBarrier
from tests.toy.model_facts import SHIP


def clear_of_ships(case: Case) -> Verdict:
    """Hold a move until the ship has left."""
    if isinstance(case.action, MoveBarrier) and case.facts.get(SHIP) is True:
        return Hold("ship-in-the-way", "a ship is in the way", frozenset({SHIP}), ("no ship",))
    return ALLOW
