"""Events about volumes."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind


class StorageEvent(EventKind):
    """Events about volumes."""

    EJECT = "eject"
    """An operator ejects a volume."""
    ATTACH = "attach"
    """An operator attaches a volume again."""
    DECOMMISSION = "decommission"
    """An operator takes a volume out of service."""
    MIGRATE = "migrate"
    """An operator moves a volume to another disk, aborts that, or requests that the old data be deleted.
    Attributes `to`, `abort`."""
    VOLUME_CHANGED = "volume-changed"
    """A volume became usable or unusable. Attribute `attached`. For a workload: `stopped`, how many of its units
    wait for a volume."""
