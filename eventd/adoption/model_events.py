"""Events about accounts that are handed over."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind


class AdoptionEvent(EventKind):
    """Events about accounts that are handed over."""

    ADOPTED = "adopted"
    """Root has handed an account over, or taken it back. Attributes `uid`, `by` (who asked), `given`."""
