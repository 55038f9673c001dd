"""Events about suspensions and rollbacks."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind


class OverrideEvent(EventKind):
    """Events about suspensions and rollbacks."""

    ROLLBACK = "rollback"
    """Somebody asks for an earlier revision of a workload. Attributes `by`, `to`."""
    SUSPENDED = "suspended"
    """An operator has a workload, or the host, left as it is. Attributes `by`, `why`."""
    RESUMED = "resumed"
    """An operator ended a suspension or a rollback. Attribute `by`."""
    ROLLED_BACK = "rolled-back"
    """Another revision is in force. Attributes `from`, `to` (commits), `automatic`, `reason`."""
