"""Reads the live part of the wait graph: the units of the system manager, and the owners of open TCP ports.

Uses the connection of `eventd.platform.systemd.source`, and `sock_diag`. Keeps nothing. Next: `eventd.waits`.

It reads the units that gates mention, and all units that those are ordered after or pull in. `After=` of a live unit
includes the `Before=` of others. A unit stays loaded while another loaded one names it, so this loads at most the units
that gates mention.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path

import anyio.to_thread

from eventd.desired.model import Desired
from eventd.gates.model import read_gates
from eventd.gates.model_predicate_atoms import Present, UnitIs
from eventd.gates.model_predicates import atoms
from eventd.kernel.model.errors import DeadlineError, EventdError
from eventd.kernel.model.facts import FactKey, Facts
from eventd.mounts.model_facts import MountFact
from eventd.platform.model_facts import Account, LoadState, PlatformFact, UnitState
from eventd.platform.sock_diag import OpenPort, open_ports
from eventd.platform.systemd.model_live_unit import PULLS, LiveUnit
from eventd.waits.model_build import DAEMON
from eventd.waits.model_units import Listener, LiveGraph, mount_unit

DEADLINE = 5.0
"""Seconds for everything. A host with 250 units takes about 0.1 s."""
MOST = 1000
"""How many units are read at most."""
AT_ONCE = 16
"""How many calls are in flight. systemd answers one after the other."""
HOSTS = "/etc/hosts"
_FOLLOWED = ("After", *(pull for pull in PULLS if pull != "PartOf"))

_log = logging.getLogger(__name__)


class LiveGraphReader:
    """Reads a `LiveGraph` on demand."""

    def __init__(
        self, facts: Facts, read: Callable[[str], Awaitable[LiveUnit]], *, hosts: str = HOSTS
    ) -> None:
        """Take `facts` (loaded units, uids of accounts) and `read`, which reads one unit from systemd."""
        self._facts = facts
        self._read = read
        self._hosts = hosts

    async def read(self, desired: Desired) -> LiveGraph:
        """Read everything that the gates of `desired` need.

        Raises DisconnectedError, DeadlineError. If the ports cannot be read, that is logged, and their owners are
        unknown.
        """
        try:
            async with asyncio.timeout(DEADLINE):
                ports = await self._ports()
                listeners = tuple(self._listeners(ports, desired))
                wanted = dict.fromkeys([DAEMON, *units_in_gates(desired)])
                wanted |= dict.fromkeys(each.unit for each in listeners if not each.scope)
                wanted |= dict.fromkeys(self._sockets())
                units = await self._units(wanted)
                names = await anyio.to_thread.run_sync(hostnames, self._hosts)
        except TimeoutError as error:
            raise DeadlineError(f"cannot read the units of this host within {DEADLINE:g} s") from error
        return LiveGraph(units, listeners, names)

    async def _ports(self) -> tuple[OpenPort, ...]:
        try:
            return await anyio.to_thread.run_sync(open_ports, abandon_on_cancel=True)
        except EventdError as error:
            _log.warning("cannot read the listening sockets of this host: %s", error)
            return ()

    def _listeners(self, ports: Iterable[OpenPort], desired: Desired) -> Iterator[Listener]:
        """Yield the open ports of system units and of workloads. No gate depends on ports of other users."""
        users: dict[int, str] = {}
        for name in desired.workloads:
            account = self._facts.get(FactKey(PlatformFact.ACCOUNT, name))
            if isinstance(account, Account):
                users[account.uid] = name
        for port in ports:
            scope = "" if port.owner.uid is None else users.get(port.owner.uid)
            if scope is not None:
                yield Listener(port.host, port.port, port.owner.unit, scope)

    def _sockets(self) -> Iterator[str]:
        """Yield the system's active socket units."""
        for key, value in self._facts.items(PlatformFact.UNIT, ""):
            if key.name.endswith(".socket") and isinstance(value, UnitState) and value.up:
                yield key.name

    async def _units(self, wanted: Iterable[str]) -> tuple[LiveUnit, ...]:
        """Read units, then the units that these wait for and pull in, and so on."""
        found: dict[str, LiveUnit] = {}
        seen = set(todo := list(wanted))
        limit = asyncio.Semaphore(AT_ONCE)

        async def read(name: str) -> LiveUnit:
            async with limit:
                return await self._read(name)

        while todo:
            replies = await asyncio.gather(*map(read, todo), return_exceptions=True)
            todo = []
            for reply in replies:
                match reply:
                    case LiveUnit():
                        found[reply.name] = reply
                        for kind in _FOLLOWED:
                            todo += [other for other in reply.relations.get(kind, ()) if self._loaded(other)]
                    case EventdError(reason="disconnected" | "deadline"):
                        raise reply
                    case EventdError():
                        pass  # it is not loaded, so it is not in the graph
                    case _:
                        raise reply
            todo = [name for name in dict.fromkeys(todo) if name not in seen]
            if len(seen) + len(todo) > MOST:
                _log.warning(
                    "more than %d units of this host wait for each other: the rest is not read", MOST
                )
                todo = todo[: max(0, MOST - len(seen))]
            seen.update(todo)
        return tuple(found.values())

    def _loaded(self, name: str) -> bool:
        state = self._facts.get(FactKey(PlatformFact.UNIT, name))
        return (
            isinstance(state, UnitState) and state.load is LoadState.LOADED and not name.endswith(".device")
        )


def units_in_gates(desired: Desired) -> Iterator[str]:
    """Yield the system units that gates mention, by name or as a mount."""
    for gates in read_gates(desired)[0].values():
        for predicate in (gates.requires, gates.expect):
            for atom in atoms(predicate) if predicate is not None else ():
                match atom:
                    case UnitIs(name=name, workload=""):
                        yield name
                    case Present(kind=MountFact.MOUNT, name=path):
                        yield mount_unit(path)
                    case _:
                        pass


def hostnames(hosts: str = HOSTS) -> frozenset[str]:
    """Return the names of this host: its hostname, and its aliases in hosts(5). DNS is not used."""
    mine = os.uname().nodename.lower()
    names = {mine, mine.partition(".")[0]}
    try:
        text = Path(hosts).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        _log.info("cannot read %s (%s): the only known name of this host is %s", hosts, error.strerror, mine)
        text = ""
    for line in (line.partition("#")[0].lower().split()[1:] for line in text.splitlines()):
        if mine in line or names & set(line):
            names.update(line)
    return frozenset(names - {"", "localhost"})
