"""The actions on images: how each ends in the journal, and what it means for data."""

from __future__ import annotations

from eventd.kernel.model.action_table import ActionRow
from eventd.kernel.model.journal import PLAN, Ending
from eventd.kernel.model.reversibility import benign, compensated
from eventd.workloads.model_actions import PullImages, TagImages

ACTIONS = (
    ActionRow(
        PullImages,
        Ending(
            "an update that was cut off goes on at the start: what runs an old image is restarted and verified",
            "the images of before are tagged back, if what they are replaced by does not hold",
        ),
        benign,
    ),
    ActionRow(TagImages, Ending("the update that it belongs to goes on at the start", PLAN), compensated),
)
"""The rows of the domain."""
