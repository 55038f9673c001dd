"""Events about suspensions and rollbacks."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind


class OverrideEvent(EventKind):
    """Events about suspensions and rollbacks."""

    ROLLBACK = "rollback"
    """A rollback of a workload is requested. Attributes `by`, `to`."""
    SUSPENDED = "suspended"
    """An operator suspended a workload, or the host. Attributes `by`, `why`."""
    RESUMED = "resumed"
    """An operator ended a suspension or a rollback. Attribute `by`."""
    ROLLED_BACK = "rolled-back"
    """A workload was rolled back. Attributes `from`, `to` (commits), `automatic`, `reason`."""
