"""Events about workloads and their accounts."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind


class WorkloadEvent(EventKind):
    """Events about workloads and their accounts."""

    LEFT_BEHIND = "left-behind"
    """An account was deleted, and something that it owned stays. Attributes `uid`, `stays` (paths, each with why)."""
    CONNECTED = "connected"
    """A workload's manager is reached."""
    RESTART = "restart"
    """Somebody asks for a restart of a workload, which the workload may itself. Attributes `wait`, `uid`."""
    WORKLOAD_CHANGED = "workload-changed"
    """A workload became active, healthy, or neither: what other workloads' gates may wait for.
    Attribute `state`."""

    @property
    def is_cause(self) -> bool:
        """See `EventKind`."""
        return self is WorkloadEvent.RESTART
