"""Events about images."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind


class UpdateEvent(EventKind):
    """Events about images."""

    UPDATE = "update"
    """An update of images is requested. Attribute `by`."""
    IMAGE_CHANGED = "image-changed"
    """An image that a workload names is gone from its account's store, or is back. Attribute `there`."""
