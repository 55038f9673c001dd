"""Events about workloads that left the repository."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind


class RemovalEvent(EventKind):
    """Events about workloads that left the repository."""

    LEFT_BEHIND = "left-behind"
    """An account was deleted, and files that it owned remain. Attributes `uid`, `stays` (paths, each with why)."""
