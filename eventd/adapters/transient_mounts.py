"""Mount units made at run time: the port `core.storage_ports.Mounts` over the system's manager.

The daemon lives in a mount namespace of its own, so it asks process 1 to mount: StartTransientUnit, as systemd-mount(1)
does. Such a unit is a file in /run/systemd/transient that systemd writes and removes itself: no file of ours in /etc
or /run, no daemon-reload (which runs every generator and costs a busy host seconds), and it is there for as long as the
file system is mounted, whether or not this daemon lives. Mounting is all it does; whether what was mounted is the right
thing is the handler's question.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from eventd.core.boot_facts import unit_of_path
from eventd.core.errors import EventdError, PermanentError
from eventd.core.facts import UnitState
from eventd.core.ports import JobResult, Verb

TRANSIENT = "/run/systemd/transient/"
_DETACH = "/usr/bin/umount"


class Manager(Protocol):
    """What `eventd.sources.systemd.SystemSource` is."""

    async def job(self, verb: Verb, unit: str, *, timeout: float) -> JobResult:
        """See `core.ports.Manager`."""
        ...

    async def read_unit(self, name: str) -> UnitState:
        """See `core.ports.Manager`."""
        ...

    async def reset_failed(self, unit: str) -> None:
        """See `core.ports.Manager`."""
        ...

    async def start_transient(
        self, unit: str, properties: Sequence[tuple[str, str, Any]], *, timeout: float
    ) -> JobResult:
        """See `adapters.systemd1.SystemdManager`."""
        ...


class TransientMounts:
    """The port."""

    def __init__(self, system: Manager) -> None:
        self._system = system

    async def mount(
        self,
        what: str,
        where: str,
        options: tuple[str, ...],
        *,
        description: str,
        before: tuple[str, ...],
        timeout: float,
    ) -> JobResult:
        """Mount; see the port."""
        unit = unit_of_path(where, "mount")
        properties: list[tuple[str, str, Any]] = [
            ("Description", "s", description),
            ("What", "s", what),
            ("Where", "s", where),
            ("Options", "s", ",".join(options)),
            # mount(8) is killed after this: a disk that does not answer must not keep the job for ever.
            ("TimeoutUSec", "t", int(timeout * 0.8 * 1e6)),
            # Forgotten when it ends, also badly: the next attempt makes it anew.
            ("CollectMode", "s", "inactive-or-failed"),
        ]
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

    async def unmount(self, where: str, *, lazy: bool, timeout: float) -> JobResult:
        """Unmount; see the port."""
        unit = unit_of_path(where, "mount")
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
