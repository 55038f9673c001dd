"""Events about volumes."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind


class StorageEvent(EventKind):
    """Events about volumes."""

    EJECT = "eject"
    """An operator puts a volume away."""
    ATTACH = "attach"
    """An operator takes a volume back."""
    DECOMMISSION = "decommission"
    """An operator takes a volume out of service."""
    MIGRATE = "migrate"
    """An operator has a volume moved to another disk, ends that, or wants the old data to be deleted.
    Attributes `to`, `abort`."""
    VOLUME_CHANGED = "volume-changed"
    """A volume can be used now, or not any more. Attribute `attached`. Of a workload: `stopped`, how many of its units
    wait for a volume to be started again."""
