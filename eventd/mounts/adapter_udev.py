"""udev: which block devices carry which file system, now (`blocks`) and as it changes (`receive`).

Owns pyudev, and with it libudev.so.1: the only module that imports either, when a monitor is made, so that a
host without them runs all the same. Emits nothing; `eventd.mounts.source_devices` makes facts of it.

The monitor is udev's own netlink group: the kernel's tells of a device before anybody has looked what is on
it. What it carries was sent by root (libudev checks the sender), and is read from the message: no node in
`/dev` is opened, and the daemon's private `/dev` has none.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from eventd.kernel.model.errors import PermanentError, TemporaryError

CONTROL = "/run/udev/control"
"""udevd's socket. Without udevd libudev makes a monitor that never tells anything."""
_BATCH = 256


@dataclass(frozen=True, slots=True)
class Block:
    """A block device, as udev's database has it."""

    path: str
    """In /sys: what a device is called from its first event to its last."""
    node: str
    """`/dev/sda1`."""
    uuid: str
    """`ID_FS_UUID` of blkid; empty: there is no file system with one on it, or it is not ready."""
    label: str
    fstype: str
    number: str = ""
    """`major:minor`."""
    links: frozenset[str] = frozenset()
    """The symlinks in /dev that udev made for it."""
    member: str = ""
    """`ID_FS_UUID_SUB`: which of the devices of one file system it is (btrfs)."""


class BlockMonitor:
    """udev's events about block devices, from now on. `buffer`: bytes of the socket's, None for its default.

    Raises PermanentError(reason="no-libudev" | "no-udev"), TemporaryError(reason="udev-failed").
    """

    def __init__(self, *, buffer: int | None = None, control: str = CONTROL) -> None:
        try:
            import pyudev  # noqa: PLC0415  libudev.so.1 is loaded here, and may not be there
        except ImportError as error:
            raise _no_libudev(error) from error
        if not os.path.exists(control):  # noqa: PTH110  one stat(2) of /run
            raise PermanentError(
                f"udevd does not run here: there is no {control}",
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
        except ImportError as error:  # pyudev looks for the library when it makes its first context
            raise _no_libudev(error) from error
        except OSError as error:
            raise TemporaryError(f"cannot listen to udev: {error}", reason="udev-failed") from error

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when there is something to receive."""
        return int(self._monitor.fileno())

    def receive(self) -> list[tuple[str, Block]]:
        """Return what has come in, each with its action, without waiting; at most 256 in one call.

        Raises TemporaryError(reason="udev-lost") when the kernel dropped some (ENOBUFS): make a new monitor
        and read all devices afresh.
        """
        received: list[tuple[str, Block]] = []
        try:
            while len(received) < _BATCH and (device := self._monitor.poll(timeout=0)) is not None:
                received.append((str(device.action or ""), _block(device)))
        except OSError as error:
            raise TemporaryError(f"events of udev were lost: {error}", reason="udev-lost") from error
        return received

    def blocks(self) -> list[Block]:
        """Return all block devices there are. Reads /sys and udev's database: for a thread.

        Raises TemporaryError(reason="udev-failed").
        """
        try:
            return [_block(device) for device in self._context.list_devices(subsystem="block")]
        except OSError as error:
            raise TemporaryError(f"cannot list the block devices: {error}", reason="udev-failed") from error


def _no_libudev(error: ImportError) -> PermanentError:
    return PermanentError(
        f"devices cannot be watched: {error}",
        reason="no-libudev",
        hint="install libudev1; until then device: predicates never hold",
    )


def _block(device: Any) -> Block:
    properties = device.properties
    # SYSTEMD_READY=0: a rule says that the device is not to be used yet (systemd.device(5)), as those for an
    # LVM or multipath device under construction and for a loop device with nothing in it.
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
