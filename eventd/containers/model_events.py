"""Events about the podman stores of accounts."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind


class ContainerEvent(EventKind):
    """Events about the podman stores of accounts."""

    STORE_DAMAGED = "store-damaged"
    """An account's podman cannot read its store, or can read it again. Attributes `damaged`, `path`."""
