"""Events about how well workloads are: what they are, and who says so."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind, Origin


class HealthOrigin(Origin):
    """Who tells of how well workloads are."""

    PODMAN = "podman"
    """Podman's event stream of a workload."""


class HealthEvent(EventKind):
    """Events about how well workloads are."""

    HEALTH = "health"
    """Podman told a container's health, or that the container is gone."""
    CRASHED = "crashed"
    """A unit of a workload ended by itself. Attributes `unit`, `result`, `status`, `times` (within ten minutes)."""
    UNHEALTHY = "unhealthy"
    """A workload that was verified is not what it expects any more. Attributes `message`, `times`."""
    AT_RISK = "at-risk"
    """A workload runs, and would not start again. Attribute `message`."""
    HEALED = "healed"
    """It is again what it expects."""
