"""Events about images."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind


class UpdateEvent(EventKind):
    """Events about images."""

    UPDATE = "update"
    """Somebody asks for newer images. Attribute `by`."""
    IMAGE_CHANGED = "image-changed"
    """An image that a workload names is gone from its account's store, or there again. Attribute `there`."""
