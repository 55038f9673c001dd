"""The actions on images: how each ends in the journal, and what it means for data."""

from __future__ import annotations

from eventd.core.actions import PullImages, TagImages
from eventd.core.journal import PLAN, Ending
from eventd.kernel.action_table import ActionRow
from eventd.kernel.reversibility import benign, compensated

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
