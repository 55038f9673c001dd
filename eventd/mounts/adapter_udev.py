"""udev: the block devices and their file systems, now (`blocks`) and as they change (`receive`).

The only module that imports pyudev, and with it libudev.so.1; it does so when a monitor is created, so that eventd also
runs without them. Emits nothing; `eventd.mounts.source_devices` turns it into facts.

The monitor listens to udev's own netlink group: the kernel's group announces a device before its content has been
probed. Its messages were sent by root (libudev checks the sender) and contain everything needed: no node in `/dev` is
opened, and the daemon's private `/dev` has none.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from eventd.kernel.model.errors import PermanentError, TemporaryError

CONTROL = "/run/udev/control"
"""udevd's socket. Without udevd, libudev creates a monitor that never receives anything."""
_BATCH = 256


@dataclass(frozen=True, slots=True)
class Block:
    """A block device in udev's database."""

    path: str
    """Its path in /sys, which identifies it from its first event to its last."""
    node: str
    """`/dev/sda1`."""
    uuid: str
    """`ID_FS_UUID` from blkid; empty: it has no file system with a UUID, or is not ready."""
    label: str
    fstype: str
    number: str = ""
    """`major:minor`."""
    links: frozenset[str] = frozenset()
    """The symlinks in /dev that udev created for it."""
    member: str = ""
    """`ID_FS_UUID_SUB`: which device of a multi-device file system it is (btrfs)."""


class BlockMonitor:
    """udev's events about block devices, from now on. `buffer`: size of the socket buffer; None: the default.

    Raises PermanentError(reason="no-libudev" | "no-udev"), TemporaryError(reason="udev-failed").
    """

    def __init__(self, *, buffer: int | None = None, control: str = CONTROL) -> None:
        try:
            import pyudev  # noqa: PLC0415  libudev.so.1 is loaded here, and may not be there
        except ImportError as error:
            raise _no_libudev(error) from error
        if not os.path.exists(control):  # noqa: PTH110  one stat(2) of /run
            raise PermanentError(
                f"udevd is not running: {control} does not exist",
                reason="no-udev",
                hint="device: predicates never hold on this host",
            )
        try:
            self._context: Any = pyudev.Context()
            self._monitor: Any = pyudev.Monitor.from_netlink(self._context, source="udev")
            self._monitor.filter_by("block")
            if buffer is not None:
                self._monitor.set_receive_buffer_size(buffer)
            self._monitor.start()
        except ImportError as error:  # pyudev loads the library when it creates its first context
            raise _no_libudev(error) from error
        except OSError as error:
            raise TemporaryError(f"cannot listen to udev: {error}", reason="udev-failed") from error

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when there are events to receive."""
        return int(self._monitor.fileno())

    def receive(self) -> list[tuple[str, Block]]:
        """Return the received events, each with its action, without waiting; at most 256 per call.

        Raises TemporaryError(reason="udev-lost") if the kernel dropped some (ENOBUFS): then create a new monitor and
        read all devices again.
        """
        received: list[tuple[str, Block]] = []
        try:
            while len(received) < _BATCH and (device := self._monitor.poll(timeout=0)) is not None:
                received.append((str(device.action or ""), _block(device)))
        except OSError as error:
            raise TemporaryError(f"udev events were lost: {error}", reason="udev-lost") from error
        return received

    def blocks(self) -> list[Block]:
        """Return all block devices. Reads /sys and udev's database, so call it in a thread.

        Raises TemporaryError(reason="udev-failed").
        """
        try:
            return [_block(device) for device in self._context.list_devices(subsystem="block")]
        except OSError as error:
            raise TemporaryError(f"cannot list the block devices: {error}", reason="udev-failed") from error


def _no_libudev(error: ImportError) -> PermanentError:
    return PermanentError(
        f"cannot watch devices: {error}",
        reason="no-libudev",
        hint="install libudev1; until then device: predicates never hold",
    )


def _block(device: Any) -> Block:
    properties = device.properties
    # SYSTEMD_READY=0: a udev rule says that the device must not be used yet (systemd.device(5)), such as an LVM or
    # multipath device under construction, or an empty loop device.
    ready = properties.get("SYSTEMD_READY") != "0"
    return Block(
        path=str(device.device_path),
        node=str(device.device_node or ""),
        uuid=str(properties.get("ID_FS_UUID", "")) if ready else "",
        label=str(properties.get("ID_FS_LABEL", "")),
        fstype=str(properties.get("ID_FS_TYPE", "")),
        number=f"{properties.get('MAJOR', '')}:{properties.get('MINOR', '')}",
        links=frozenset(str(properties.get("DEVLINKS", "")).split()),
        member=str(properties.get("ID_FS_UUID_SUB", "")),
    )
