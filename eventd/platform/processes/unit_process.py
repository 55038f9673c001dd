"""Runs commands with another user's rights, each in a transient systemd unit, never as a child of the daemon.

A process is at the mercy of everybody with its uid: they may signal it, trace it, and read what it has in /proc. Were
it a child of the daemon's, so would a part of eventd.service be: its cgroup, its mount namespace, its descriptors. And
what it leaves behind would be the daemon's. So the daemon asks for a unit (StartTransientUnit), hands over nothing but
three pipes, and systemd ends the whole cgroup with the command, at the deadline, or when the daemon says so.

With `unit_rights`, which says who may do what, this is the only module that may name a user for a command;
`eventd.platform.processes.process` runs the daemon's own (and git, as an account of the system's). `transient_unit` has
the unit's life. Costs some ms of systemd's time, about ten times a plain process: nothing that a push, a start or a
look at facts does by itself may need one per workload.
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
from eventd.platform.processes.transient_unit import TransientUnit, judged
from eventd.platform.processes.unit_pipes import Pipes
from eventd.platform.processes.unit_rights import InManager, Property, RunAs, is_ours, rights

USER_BUS = "unix:path=/run/user/{uid}/bus"
_SPARE_SECONDS = 10.0
"""How much later than the daemon systemd ends the unit: for when the daemon does not live to do it."""


class Processes:
    """See the module. `system`, `user`: addresses of the buses; `{uid}` in the latter."""

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
        """Run `argv` to its end, as `process.run` does: with the same results, limits and errors.

        `called`: what messages call it, its name otherwise.

        The environment is readable by everybody on the host (systemctl show): no secret belongs in it, nor in `argv`.
        Where the command's user is who we are already, it is a plain process of ours.

        Raises what `process.run` does, PermanentError(reason="not-permitted") where systemd cannot give the command
        these rights, and what a lost or refused connection to systemd raises. However it ends, the unit has been told
        to end with it.
        """
        name = called or PurePath(argv[0]).name
        if is_ours(who):
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
            # Also of a cancelled task: nothing of the command's may go on for somebody who has gone.
            with anyio.CancelScope(shield=True):
                await unit.close()
            pipes.close()
        if pipes.overflow.done():
            raise PermanentError(f"{name} wrote more than {output_limit} bytes", reason="output-limit")
        return Completed(name, judged(name, unit.end.result()), bytes(pipes.stdout), bytes(pipes.stderr))

    def unit(
        self, who: RunAs, argv: Sequence[str], environment: Mapping[str, str], *, until: float | None
    ) -> TransientUnit:
        """Return a unit that is not started yet. `until`: seconds; None: it runs until it ends or is closed."""
        path = process.find(argv[0])
        label = _label(argv)
        properties: list[Property] = [
            ("Description", "s", f"{label} for eventd"),
            # Not ExecStart=, which takes $NAME in an argument for a variable.
            ("ExecStartEx", "a(sasas)", [[path, [path, *argv[1:]], ["no-env-expand"]]]),
            ("StandardInputFileDescriptor", "h", 0),
            ("StandardOutputFileDescriptor", "h", 1),
            ("StandardErrorFileDescriptor", "h", 2),
            *rights(who),
        ]
        if until is not None:
            properties.append(("RuntimeMaxUSec", "t", int((until + _SPARE_SECONDS) * 1e6)))
        if isinstance(who, InManager):
            # Beside the manager's own environment, which is the session's.
            address, uid = self._user.format(uid=who.account.uid), who.account.uid
        else:
            address, uid = self._system, None
            environment = {"PATH": process.SEARCH_PATH, "LC_ALL": "C.UTF-8", **environment}
        properties.append(("Environment", "as", [f"{key}={value}" for key, value in environment.items()]))
        return TransientUnit(
            address, uid, f"eventd-{label}-{secrets.token_hex(6)}.service", tuple(properties)
        )


def _label(argv: Sequence[str]) -> str:
    """Return what a unit is called after: the command, or the module of Python's that it is."""
    words = list(argv)
    name = words[words.index("-m") + 1] if "-m" in words[1:3] else PurePath(words[0]).name
    return "".join(
        c if c.isascii() and c.isalnum() else "-" for c in name.rpartition(".")[2].removeprefix("process_")
    )[:40]
