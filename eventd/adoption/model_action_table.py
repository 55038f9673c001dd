"""The actions on an adopted account: how each is settled in the journal, and what it means for data."""

from __future__ import annotations

from eventd.adoption.model_actions import AdoptAccount, InspectStore
from eventd.kernel.model.action_table import ActionRow
from eventd.kernel.model.journal import PLAN, Ending
from eventd.kernel.model.reversibility import benign

ACTIONS = (
    ActionRow(AdoptAccount, Ending(PLAN, "eventctl disown gives it back"), benign),
    ActionRow(InspectStore, Ending(PLAN, "nothing to undo: it only reads"), benign),
)
"""The action rows of this domain."""
