"""Events about mounts and block devices, and their origins."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind, Origin


class MountOrigin(Origin):
    """Origins of events about mounts and block devices."""

    UDEV = "udev"
    """udev."""
    KERNEL = "kernel"
    """The kernel, for mounts."""


class MountEvent(EventKind):
    """Events about mounts and block devices."""

    DEVICE = "device"
    """A file system was attached or detached; the subject is its UUID. Attributes `action`, `node`, `attached`."""
    MOUNT = "mount"
    """A file system was mounted or unmounted. Attributes `mounted`, `source`."""
