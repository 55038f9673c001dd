"""Events about the health of workloads, and their origin."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind, Origin


class HealthOrigin(Origin):
    """Where events about health come from."""

    PODMAN = "podman"
    """A workload's podman events."""


class HealthEvent(EventKind):
    """Events about the health of workloads."""

    HEALTH = "health"
    """podman reported a container's health, or that the container is gone."""
    CRASHED = "crashed"
    """A unit of a workload crashed. Attributes `unit`, `result`, `status`, `times` (within ten minutes)."""
    UNHEALTHY = "unhealthy"
    """A verified workload no longer meets its expectations. Attributes `message`, `times`."""
    AT_RISK = "at-risk"
    """A workload runs, but would not start again. Attribute `message`."""
    HEALED = "healed"
    """A workload meets its expectations again."""
