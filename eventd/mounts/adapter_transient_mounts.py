"""Mount units made at run time: the port `storage.model_ports.Mounts` over the system's manager.

The daemon lives in a mount namespace of its own, so it asks process 1 to mount: StartTransientUnit, as systemd-mount(1)
does. Such a unit is a file in /run/systemd/transient that systemd writes and removes itself: no file of ours in /etc
or /run, no daemon-reload (which runs every generator and costs a busy host seconds), and it is there for as long as the
file system is mounted, whether or not this daemon lives. Mounting is all it does; whether what was mounted is the right
thing is the handler's question.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Any, Protocol

import anyio.to_thread

from eventd.boot.model_facts import unit_of_path
from eventd.kernel.model.errors import EventdError, PermanentError
from eventd.platform.file_state import translate
from eventd.platform.model_facts import ActiveState
from eventd.platform.systemd import ports
from eventd.platform.systemd.ports import JobResult, Verb

TRANSIENT = "/run/systemd/transient/"
_DETACH = "/usr/bin/umount"


class Manager(ports.Manager, Protocol):
    """What `eventd.platform.systemd.source.SystemSource` is."""

    async def start_transient(
        self, unit: str, properties: Sequence[tuple[str, str, Any]], *, timeout: float
    ) -> JobResult:
        """See `platform.systemd.adapter_systemd1.SystemdManager`."""
        ...


class TransientMounts:
    """The port. `folder`: where symlinks to devices are kept, root's alone.

    `What=` is such a symlink, and not the one in /dev: for a path in /dev systemd first waits for its own device
    unit, and where process 1 gets no events of udev (in a container) that wait never ends. That the device is there
    is known by then. Once it is mounted, systemd ties the mount to the device all the same, by mountinfo.
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
        """Mount; see the port."""
        unit = unit_of_path(where, "mount")
        properties: list[tuple[str, str, Any]] = [
            ("Description", "s", description),
            ("What", "s", await self._alias(what, unit)),
            ("Where", "s", where),
            ("Options", "s", ",".join(options)),
            # mount(8) is killed after this: a disk that does not answer must not keep the job for ever.
            ("TimeoutUSec", "t", int(timeout * 0.8 * 1e6)),
            # Forgotten when it ends, also badly: the next attempt makes it anew.
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
                    f"there is a unit {unit} already, from {state.source_path or state.fragment_path or 'elsewhere'}",
                    reason="unit-exists",
                    hint=f"remove it (a line of /etc/fstab?), or mount {where} by it: what is mounted is used",
                ) from error
            # The one before has not been collected yet. What comes of it is checked after the mount like any other.
            return await self._system.job(Verb.START, unit, timeout=timeout)

    async def _alias(self, what: str, unit: str) -> str:
        """Have a symlink outside of /dev that leads to `what`."""
        path = f"{self._folder}/{unit.removesuffix('.mount')}"
        try:
            await anyio.to_thread.run_sync(_link, what, path)
        except OSError as error:
            raise translate(error, "make", path) from error
        return path

    async def unmount(self, where: str, *, lazy: bool, timeout: float) -> JobResult:
        """Unmount; see the port."""
        unit = unit_of_path(where, "mount")
        state = await self._system.read_unit(unit)
        if state.active is ActiveState.INACTIVE:
            # Unmounted by somebody else in the meantime (systemd, which stops the mount of a device that is gone):
            # the unit has ended, and is forgotten with its file. What the kernel shows is what counts.
            return JobResult(unit, "done")
        if not state.fragment_path.startswith(TRANSIENT):
            raise PermanentError(
                f"{where} was not mounted by eventd, which leaves it mounted",
                reason="not-ours",
                hint=f"umount {where}",
            )
        if not lazy:
            return await self._system.job(Verb.STOP, unit, timeout=timeout)
        # umount(2) with MNT_DETACH, in the host's namespace. The mount unit then ends by itself.
        return await self._system.start_transient(
            f"eventd-detach-{unit.removesuffix('.mount')}.service",
            [
                ("Description", "s", f"Take {where} out of the tree"),
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
