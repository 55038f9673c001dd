"""Transient mount units: the port `storage.model_ports.Mounts`, using the system manager.

The daemon runs in a mount namespace of its own, so it asks process 1 to mount: StartTransientUnit, as systemd-mount(1)
does. systemd writes and removes such a unit's file in /run/systemd/transient itself. So no file of ours is needed in
/etc or /run, and no daemon-reload (which runs every generator and takes seconds on a busy host); and the unit exists
for as long as the file system is mounted, whether or not this daemon runs. This module only mounts; the handler checks
that the right file system was mounted.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Any, Protocol

import anyio.to_thread

from eventd.boot.model_facts import unit_of_path
from eventd.kernel.model.errors import EventdError, PermanentError
from eventd.platform.file_state import file_error
from eventd.platform.model_facts import ActiveState
from eventd.platform.systemd import ports
from eventd.platform.systemd.ports import JobResult, Verb

TRANSIENT = "/run/systemd/transient/"
_DETACH = "/usr/bin/umount"


class Manager(ports.Manager, Protocol):
    """The interface of `eventd.platform.systemd.source.SystemSource`."""

    async def start_transient(
        self, unit: str, properties: Sequence[tuple[str, str, Any]], *, timeout: float
    ) -> JobResult:
        """See `platform.systemd.adapter_systemd1.SystemdManager`."""
        ...


class TransientMounts:
    """The port. `folder`: holds symlinks to devices; only root can write it.

    `What=` is such a symlink instead of the one in /dev: for a path in /dev, systemd first waits for its device unit,
    and if process 1 gets no udev events (in a container), it waits for ever. At this point the device is known to
    exist. Once it is mounted, systemd ties the mount to the device anyway, through mountinfo.
    """

    def __init__(self, system: Manager, folder: str) -> None:
        self._system = system
        self._folder = folder

    async def mount(
        self,
        what: str,
        where: str,
        options: tuple[str, ...],
        *,
        description: str,
        before: tuple[str, ...],
        timeout: float,
        private: bool = False,
    ) -> JobResult:
        """Mount a file system; see the port."""
        unit = unit_of_path(where, "mount")
        properties: list[tuple[str, str, Any]] = [
            ("Description", "s", description),
            ("What", "s", await self._alias(what, unit)),
            ("Where", "s", where),
            ("Options", "s", ",".join(options)),
            # mount(8) is killed after this time: a disk that does not answer must not block the job for ever.
            ("TimeoutUSec", "t", int(timeout * 0.8 * 1e6)),
            # systemd forgets the unit when it ends, even after a failure: the next attempt creates it again.
            ("CollectMode", "s", "inactive-or-failed"),
        ]
        if private:
            properties.append(("DirectoryMode", "u", 0o700))
        if before:
            properties.append(("Before", "as", list(before)))
        await self._system.reset_failed(unit)
        try:
            return await self._system.start_transient(unit, properties, timeout=timeout)
        except EventdError as error:
            if error.reason != "unit-exists":
                raise
            state = await self._system.read_unit(unit)
            if not state.fragment_path.startswith(TRANSIENT):
                raise PermanentError(
                    f"the unit {unit} already exists, from {state.source_path or state.fragment_path or 'elsewhere'}",
                    reason="unit-exists",
                    hint=f"remove it (a line of /etc/fstab?), or mount {where} with it, and eventd will use it",
                ) from error
            # The previous unit has not been collected yet. The result is checked after the mount like any other.
            return await self._system.job(Verb.START, unit, timeout=timeout)

    async def _alias(self, what: str, unit: str) -> str:
        """Create a symlink to `what` outside /dev, and return it."""
        path = f"{self._folder}/{unit.removesuffix('.mount')}"
        try:
            await anyio.to_thread.run_sync(_link, what, path)
        except OSError as error:
            raise file_error(error, "make", path) from error
        return path

    async def unmount(self, where: str, *, lazy: bool, timeout: float) -> JobResult:
        """Unmount a file system; see the port."""
        unit = unit_of_path(where, "mount")
        state = await self._system.read_unit(unit)
        if state.active is ActiveState.INACTIVE:
            # Unmounted by somebody else meanwhile (systemd stops the mount of a device that is gone): the unit has
            # ended and is gone. The kernel's mount table is authoritative.
            return JobResult(unit, "done")
        if not state.fragment_path.startswith(TRANSIENT):
            raise PermanentError(
                f"{where} was not mounted by eventd, so it stays mounted",
                reason="not-ours",
                hint=f"umount {where}",
            )
        if not lazy:
            return await self._system.job(Verb.STOP, unit, timeout=timeout)
        # umount(2) with MNT_DETACH, in the host's namespace. The mount unit then ends by itself.
        return await self._system.start_transient(
            f"eventd-detach-{unit.removesuffix('.mount')}.service",
            [
                ("Description", "s", f"Detach {where} lazily"),
                ("Type", "s", "oneshot"),
                ("ExecStart", "a(sasb)", [[_DETACH, [_DETACH, "--lazy", "--no-canonicalize", where], False]]),
                ("TimeoutStartUSec", "t", int(timeout * 0.8 * 1e6)),
                ("CollectMode", "s", "inactive-or-failed"),
            ],
            timeout=timeout,
        )


def _link(target: str, path: str) -> None:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120  plain os, as all here
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108
    os.symlink(target, path)  # noqa: PTH211
