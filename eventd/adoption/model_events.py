"""Events about adopted accounts."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind


class AdoptionEvent(EventKind):
    """Events about adopted accounts."""

    ADOPTED = "adopted"
    """Root has handed an account over to eventd, or taken it back. Attributes `uid`, `by` (who asked), `given`."""
