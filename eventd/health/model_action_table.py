"""The action that verifies a workload: how it ends in the journal, and what it means for data."""

from __future__ import annotations

from eventd.health.model_actions import Verify
from eventd.kernel.model.action_table import ActionRow
from eventd.kernel.model.journal import Ending
from eventd.kernel.model.reversibility import benign

ACTIONS = (ActionRow(Verify, Ending("it is verified again", "nothing to undo"), benign),)
"""The rows of the domain."""
