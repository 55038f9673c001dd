"""What can be done about the sea: how it ends in the journal, and what it means for data."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.kernel.model.action_table import ActionRow
from eventd.kernel.model.journal import PLAN, Ending
from eventd.kernel.model.reversibility import benign


@dataclass(frozen=True, slots=True)
class MoveBarrier:
    """Close or open the barrier."""

    workload: str
    closed: bool
    why: str
    verb = "move-barrier"

    @property
    def target(self) -> str:
        """Where it goes."""
        return "closed" if self.closed else "open"


ACTIONS = (ActionRow(MoveBarrier, Ending(PLAN, "moved back when the sea says so"), benign),)
