"""The actions on an account that is handed over: how each ends in the journal, and what it means for data."""

from __future__ import annotations

from eventd.core.actions import AdoptAccount, InspectStore
from eventd.core.journal import PLAN, Ending
from eventd.kernel.action_table import ActionRow
from eventd.kernel.reversibility import benign

ACTIONS = (
    ActionRow(AdoptAccount, Ending(PLAN, "eventctl disown gives it back"), benign),
    ActionRow(InspectStore, Ending(PLAN, "nothing to undo: it only looks"), benign),
)
"""The rows of the domain."""
