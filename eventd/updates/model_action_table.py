"""The actions on images: how each ends in the journal, and what it means for data."""

from __future__ import annotations

from eventd.kernel.model.action_table import ActionRow
from eventd.kernel.model.journal import PLAN, Ending
from eventd.kernel.model.reversibility import benign, compensated
from eventd.updates.model_actions import PullImages, TagImages

ACTIONS = (
    ActionRow(
        PullImages,
        Ending(
            "an interrupted update continues at the start: units with an old image are restarted and verified",
            "the previous images are tagged again if the new ones do not become healthy",
        ),
        benign,
    ),
    ActionRow(TagImages, Ending("its update continues at the start", PLAN), compensated),
)
"""The rows of the domain."""
