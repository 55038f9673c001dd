"""Events about workloads and their accounts."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind


class WorkloadEvent(EventKind):
    """Events about workloads and their accounts."""

    CONNECTED = "connected"
    """eventd is connected to a workload's manager."""
    RESTART = "restart"
    """A restart of a workload is requested, by root or by itself. Attributes `wait`, `uid`."""
    WORKLOAD_CHANGED = "workload-changed"
    """A workload became active, healthy, or neither, which gates of other workloads may wait for.
    Attribute `state`."""

    @property
    def is_cause(self) -> bool:
        """See `EventKind`."""
        return self is WorkloadEvent.RESTART
