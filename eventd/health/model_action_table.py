"""The actions that see how a workload is: how each ends in the journal, and what it means for data."""

from __future__ import annotations

from eventd.core.actions import Verify
from eventd.core.journal import Ending
from eventd.kernel.action_table import ActionRow
from eventd.kernel.reversibility import benign

ACTIONS = (ActionRow(Verify, Ending("it is verified again", "nothing to undo"), benign),)
"""The rows of the domain."""
