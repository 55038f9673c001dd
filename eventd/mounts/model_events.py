"""Events about mounts and block devices: what they are, and who says so."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind, Origin


class MountOrigin(Origin):
    """Who tells of mounts and block devices."""

    UDEV = "udev"
    """udev."""
    KERNEL = "kernel"
    """The kernel, of mounts."""


class MountEvent(EventKind):
    """Events about mounts and block devices."""

    DEVICE = "device"
    """A filesystem came or went; the subject is its UUID. Attributes `action`, `node`, `attached`."""
    MOUNT = "mount"
    """A file system was mounted or unmounted. Attributes `mounted`, `source`."""
