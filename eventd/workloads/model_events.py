"""Events about workloads and their accounts: what they are, and who says so."""

from __future__ import annotations

from eventd.core.events import EventKind, Origin


class WorkloadOrigin(Origin):
    """Who tells of workloads and their accounts."""

    USER_MANAGER = "user-manager"
    """A workload's own manager, `user@UID.service`."""
    PODMAN = "podman"
    """Podman's event stream of a workload."""


class WorkloadEvent(EventKind):
    """Events about workloads and their accounts."""

    FOREIGN = "foreign-files"
    """Something of others stands where a workload's manager would load it. Attributes `files`, `problem`."""
    LEFT_BEHIND = "left-behind"
    """An account was deleted, and something that it owned stays. Attributes `uid`, `stays` (paths, each with why)."""
    HEALTH = "health"
    """Podman told a container's health, or that the container is gone."""
    CONNECTED = "connected"
    """A workload's manager is reached."""
    ADOPTED = "adopted"
    """Root has handed an account over, or taken it back. Attributes `uid`, `by` (who asked), `given`."""
    RESTART = "restart"
    """Somebody asks for a restart of a workload, which the workload may itself. Attributes `wait`, `uid`."""
    STORE_DAMAGED = "store-damaged"
    """An account's podman cannot read its store, or can again. Attributes `damaged`, `path`."""
    CRASHED = "crashed"
    """A unit of a workload ended by itself. Attributes `unit`, `result`, `status`, `times` (within ten minutes)."""
    UNHEALTHY = "unhealthy"
    """A workload that was verified is not what it expects any more. Attributes `message`, `times`."""
    AT_RISK = "at-risk"
    """A workload runs, and would not start again. Attribute `message`."""
    HEALED = "healed"
    """It is again what it expects."""
    WORKLOAD_CHANGED = "workload-changed"
    """A workload became active, healthy, or neither: what other workloads' gates may wait for."""
