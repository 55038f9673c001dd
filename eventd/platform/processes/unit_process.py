"""Runs commands with another user's rights, each in a transient systemd unit, never as a child of the daemon.

A process is exposed to every process with its uid: they may signal it, trace it, and read its /proc. A child of the
daemon would expose a part of eventd.service: its cgroup, its mount namespace, its descriptors. And its leftover
processes would stay in the daemon's cgroup. So the daemon starts a unit (StartTransientUnit) and passes it three pipes
only. systemd kills the whole cgroup when the command ends, at the deadline, or when the daemon stops the unit.

This module and `unit_rights` are the only ones that may name a user for a command. `eventd.platform.processes.process`
runs the daemon's own commands, and git with a system account. `transient_unit` has the life of a unit. One costs some
milliseconds of systemd's time, about ten times a plain process: a push, a start or a read of facts must not need one
per workload.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import anyio

from eventd.kernel.model.errors import DeadlineError, PermanentError
from eventd.platform.dbus.connection import system_bus_address
from eventd.platform.processes import process
from eventd.platform.processes.process import OUTPUT_LIMIT, Completed
from eventd.platform.processes.transient_unit import TransientUnit, exit_status
from eventd.platform.processes.unit_pipes import Pipes
from eventd.platform.processes.unit_rights import InManager, Property, RunAs, is_own_identity, rights

USER_BUS = "unix:path=/run/user/{uid}/bus"
_SPARE_SECONDS = 10.0
"""How much later than the daemon systemd ends the unit, in case the daemon is not there to do it."""


class Processes:
    """Starts the units. `system`, `user`: addresses of the buses, the latter with `{uid}`."""

    def __init__(self, *, system: str | None = None, user: str = USER_BUS) -> None:
        self._system = system or system_bus_address()
        self._user = user

    async def run(
        self,
        who: RunAs,
        argv: Sequence[str],
        *,
        timeout: float,
        environment: Mapping[str, str] | None = None,
        output_limit: int = OUTPUT_LIMIT,
        called: str = "",
    ) -> Completed:
        """Run `argv` to its end, with the results, limits and errors of `process.run`.

        `called`: the command's name in messages; default: the name of its program. Everybody on the host can read the
        environment and the arguments (systemctl show): they must not hold a secret. If the daemon has the wanted rights
        itself, the command is a plain child process.

        Raises what `process.run` does, PermanentError(reason="not-permitted") if systemd cannot give the command these
        rights, and what a lost or refused connection to systemd raises. In every case the unit has been stopped.
        """
        name = called or PurePath(argv[0]).name
        if is_own_identity(who):
            return await process.run(
                argv, timeout=timeout, environment=environment, output_limit=output_limit, called=called
            )
        pipes = Pipes(output_limit)
        unit = self.unit(who, argv, environment or {}, until=timeout)
        try:
            async with asyncio.timeout(timeout):
                await unit.start(pipes.theirs)
                pipes.close_theirs()
                either: set[asyncio.Future[Any]] = {unit.end, pipes.overflow}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise DeadlineError(f"{name} did not end within {timeout:g} s") from None
        finally:
            # Also when the task is cancelled: the command must not run on without its caller.
            with anyio.CancelScope(shield=True):
                await unit.close()
            pipes.close()
        if pipes.overflow.done():
            raise PermanentError(f"{name} wrote more than {output_limit} bytes", reason="output-limit")
        return Completed(name, exit_status(name, unit.end.result()), bytes(pipes.stdout), bytes(pipes.stderr))

    def unit(
        self, who: RunAs, argv: Sequence[str], environment: Mapping[str, str], *, until: float | None
    ) -> TransientUnit:
        """Return a unit that is not started yet. `until`: its deadline in seconds; None: it has none."""
        path = process.find_command(argv[0])
        label = _label(argv)
        properties: list[Property] = [
            ("Description", "s", f"{label} for eventd"),
            # Not ExecStart=, which would expand $NAME in an argument.
            ("ExecStartEx", "a(sasas)", [[path, [path, *argv[1:]], ["no-env-expand"]]]),
            ("StandardInputFileDescriptor", "h", 0),
            ("StandardOutputFileDescriptor", "h", 1),
            ("StandardErrorFileDescriptor", "h", 2),
            *rights(who),
        ]
        if until is not None:
            properties.append(("RuntimeMaxUSec", "t", int((until + _SPARE_SECONDS) * 1e6)))
        if isinstance(who, InManager):
            # In addition to the manager's own environment, which is the session's.
            address, uid = self._user.format(uid=who.account.uid), who.account.uid
        else:
            address, uid = self._system, None
            environment = {"PATH": process.SEARCH_PATH, "LC_ALL": "C.UTF-8", **environment}
        properties.append(("Environment", "as", [f"{key}={value}" for key, value in environment.items()]))
        return TransientUnit(
            address, uid, f"eventd-{label}-{secrets.token_hex(6)}.service", tuple(properties)
        )


def _label(argv: Sequence[str]) -> str:
    """Return the label in a unit's name: the command, or the Python module that it runs."""
    words = list(argv)
    name = words[words.index("-m") + 1] if "-m" in words[1:3] else PurePath(words[0]).name
    return "".join(
        c if c.isascii() and c.isalnum() else "-" for c in name.rpartition(".")[2].removeprefix("process_")
    )[:40]
