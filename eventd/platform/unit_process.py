"""Commands with another user's rights: each in a transient unit of systemd, and never a child of the daemon's.

A process is at the mercy of everybody with its uid: they may signal it, trace it, and read what it has in /proc. Were
it a child of the daemon's, so would a part of eventd.service be: its cgroup, its mount namespace, its descriptors. And
what it leaves behind would be the daemon's. So the daemon asks for a unit (StartTransientUnit), hands over nothing but
three pipes, and systemd ends the whole cgroup with the command, at the deadline, or when the daemon says so.

This is the only module that may name a user for a command; `eventd.platform.process` runs the daemon's own (and git,
as an account of the system's). A run has a connection of its own: it is the one that may carry descriptors, and the
unit, which it holds loaded (`AddRef`), is let go of with it. Costs some ms of systemd's time, about ten times a plain
process: nothing that a push, a start or a look at facts does by itself may need one per workload.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, TypeAlias

import anyio

from eventd.kernel.model.errors import DeadlineError, DisconnectedError, EventdError, PermanentError
from eventd.platform import process
from eventd.platform.dbus.connection import (
    PROPERTIES,
    SYSTEM_LIMITS,
    USER_LIMITS,
    Bus,
    Signal,
    system_bus_address,
)
from eventd.platform.model_facts import Account
from eventd.platform.process import OUTPUT_LIMIT, Completed
from eventd.platform.systemd.adapter_systemd1 import SYSTEMD, UNIT, SystemdManager, type_interface, unit_path
from eventd.platform.unit_pipes import Pipes

Property: TypeAlias = tuple[str, str, Any]
"""Name, D-Bus signature and value of org.freedesktop.systemd1(5)."""

USER_BUS = "unix:path=/run/user/{uid}/bus"
_STOP_SECONDS = 5.0
_SPARE_SECONDS = 10.0
"""How much later than the daemon systemd ends the unit: for when the daemon does not live to do it."""
_SETUP = range(200, 246)
"""Exit statuses of systemd's own, for a command that it could not start (systemd.exec(5), "Process exit codes")."""
_NO_EXEC = 203
_EXITED = 1
"""CLD_EXITED of waitid(2); all others are signals."""
_CAP_SETUID = 7
_KEPT = frozenset(
    {"ActiveState", "InactiveEnterTimestampMonotonic", "ExecMainCode", "ExecMainStatus", "Result"}
)
_SHORT = 100
"""Characters."""

_ALL: tuple[Property, ...] = (
    ("Type", "s", "exec"),
    ("KillMode", "s", "control-group"),
    ("CollectMode", "s", "inactive-or-failed"),
    ("AddRef", "b", True),
    ("LimitCORE", "t", 0),
    # An exit status is the caller's to judge: no unit of these counts as failed, and with it the host as degraded.
    ("SuccessExitStatus", "(aiai)", [list(range(1, _SETUP.start)), []]),
    # What systemd says of its start and end is ours to tell.
    ("LogLevelMax", "i", 4),
)
_IN_SYSTEM: tuple[Property, ...] = (
    ("KillSignal", "i", 9),
    ("NoNewPrivileges", "b", True),
    ("UMask", "u", 0o022),
    ("TasksMax", "t", 64),
    ("MemoryMax", "t", 1 << 30),
)
_IN_MANAGER: tuple[Property, ...] = (
    # No limits but the user's slice's, and set-uid programs: rootless podman needs newuidmap(1), and a moment to let
    # go of its locks.
    ("KillSignal", "i", 15),
    ("TimeoutStopUSec", "t", 3_000_000),
)
_CONFINED: tuple[Property, ...] = (
    ("ProtectHome", "s", "read-only"),
    ("PrivateDevices", "b", True),
    ("ProtectProc", "s", "invisible"),
    ("ProtectControlGroups", "b", True),
    ("ProtectKernelTunables", "b", True),
    ("ProtectKernelModules", "b", True),
    ("ProtectKernelLogs", "b", True),
    ("ProtectClock", "b", True),
    ("ProtectHostname", "b", True),
    ("LockPersonality", "b", True),
    ("MemoryDenyWriteExecute", "b", True),
    ("RestrictRealtime", "b", True),
    ("RestrictNamespaces", "t", 0),
    ("CapabilityBoundingSet", "t", 0),
    ("SystemCallArchitectures", "as", ["native"]),
    ("SystemCallFilter", "(bas)", [True, ["@system-service"]]),
)
_NOBODY: tuple[Property, ...] = (
    *_CONFINED,
    ("DynamicUser", "b", True),
    ("PrivateUsers", "b", True),
    ("InaccessiblePaths", "as", ["-/var/lib/eventd", "-/var/lib/eventd-git", "-/run/eventd", "-/etc/eventd"]),
)
_SECRETS = ["-/var/lib/eventd", "-/etc/eventd", "-/etc/credstore", "-/etc/credstore.encrypted"]
NETWORK = ("AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK")
"""The network, and what name resolution asks: services of the host, and the kernel for addresses."""


@dataclass(frozen=True, slots=True)
class AsUser:
    """With an account's ids, in a unit of the system's."""

    account: Account
    gentle: bool = False
    """At the lowest priority, for the processor and for disks."""


@dataclass(frozen=True, slots=True)
class InManager:
    """In a unit of the user's own manager: what needs the user's session, as podman does.

    That manager is the user's to replace: what it says is believed as much as the command's output is.
    """

    account: Account
    after: tuple[str, ...] = ()
    """Units of that manager that are wanted first."""


@dataclass(frozen=True, slots=True)
class AsNobody:
    """With a uid that is nobody else's, made up by systemd for as long as the unit runs (`DynamicUser=`)."""

    families: tuple[str, ...] = ()
    """Families of addresses that sockets may be made for, like "AF_INET"."""


@dataclass(frozen=True, slots=True)
class AsService:
    """As an account of eventd's own that asks the network, and writes below one folder."""

    account: process.ServiceAccount
    writes: str
    environment_file: str
    """Variables that nobody else may see: root's file, read when the unit starts (systemd.exec(5))."""
    file_limit: int
    """Largest file that it may write, in bytes."""


@dataclass(frozen=True, slots=True)
class AsRoot:
    """As root with the one right to take another uid: the command takes those that it is told to, each for a moment."""


Who: TypeAlias = AsUser | InManager | AsNobody | AsService | AsRoot


class Processes:
    """See the module. `system`, `user`: addresses of the buses; `{uid}` in the latter."""

    def __init__(self, *, system: str | None = None, user: str = USER_BUS) -> None:
        self._system = system or system_bus_address()
        self._user = user

    async def run(
        self,
        who: Who,
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
        if _is_ours(who):
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
        self, who: Who, argv: Sequence[str], environment: Mapping[str, str], *, until: float | None
    ) -> TransientUnit:
        """Return a unit that is not started yet. `until`: seconds; None: it runs until it ends or is closed."""
        path = process.find(argv[0])
        label = _label(argv)
        properties: list[Property] = [
            *_ALL,
            *(_IN_MANAGER if isinstance(who, InManager) else _IN_SYSTEM),
            ("Description", "s", f"{label} for eventd"),
            # Not ExecStart=, which takes $NAME in an argument for a variable.
            ("ExecStartEx", "a(sasas)", [[path, [path, *argv[1:]], ["no-env-expand"]]]),
            ("StandardInputFileDescriptor", "h", 0),
            ("StandardOutputFileDescriptor", "h", 1),
            ("StandardErrorFileDescriptor", "h", 2),
            *_rights(who),
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


def _is_ours(who: Who) -> bool:
    """Tell whether the rights asked for are those that this process has, and all that it has."""
    match who:
        case AsUser(account):
            return account.uid == os.geteuid()
        case AsService(account):
            return account.uid == os.geteuid()
        case InManager():
            return False
        case AsNobody() | AsRoot():
            return os.geteuid() != 0


def _rights(who: Who) -> list[Property]:
    match who:
        case AsUser(account, gentle):
            rights: list[Property] = [("User", "s", str(account.uid)), ("Group", "s", str(account.gid))]
            if gentle:
                rights += [("Nice", "i", 19), ("IOSchedulingClass", "i", 3)]
            return rights
        case InManager(_, after):
            return [("Wants", "as", list(after)), ("After", "as", list(after))] if after else []
        case AsNobody(families):
            return [*_NOBODY, ("RestrictAddressFamilies", "(bas)", [True, list(families)])]
        case AsService(account, writes, environment_file, file_limit):
            return [
                *_CONFINED,
                ("User", "s", str(account.uid)),
                ("Group", "s", str(account.gid)),
                ("SupplementaryGroups", "as", [str(gid) for gid in account.groups]),
                ("ProtectSystem", "s", "strict"),
                ("ReadWritePaths", "as", [writes]),
                ("InaccessiblePaths", "as", _SECRETS),
                ("PrivateTmp", "b", True),
                ("RestrictAddressFamilies", "(bas)", [True, list(NETWORK)]),
                ("EnvironmentFiles", "a(sb)", [[environment_file, False]]),
                ("LimitFSIZE", "t", file_limit),
            ]
        case AsRoot():
            return [("CapabilityBoundingSet", "t", 1 << _CAP_SETUID)]


@dataclass(frozen=True, slots=True)
class Exit:
    """How a unit's command ended."""

    code: int
    """CLD_EXITED, CLD_KILLED or CLD_DUMPED; 0: it never ran."""
    status: int
    result: str


def judged(name: str, end: Exit) -> int:
    """Return the exit status as subprocess has it; raise for a command that was not started."""
    if end.code == _EXITED:
        if end.status == _NO_EXEC:
            raise PermanentError(f"cannot run {name}: systemd cannot start it", reason="command-unusable")
        if end.status in _SETUP:
            raise PermanentError(
                f"cannot run {name}: systemd gave up before it started ({end.status})", reason="not-permitted"
            )
        return end.status
    if end.code == 0:
        raise PermanentError(
            f"cannot run {name}: its unit did not start ({end.result})", reason="command-unusable"
        )
    return -end.status


class TransientUnit:
    """One unit, from its start to its end, over a connection of its own."""

    def __init__(self, address: str, uid: int | None, name: str, properties: tuple[Property, ...]) -> None:
        self._address = address
        self._uid = uid
        self._name = name
        self._path = unit_path(name)
        self._kind = type_interface(name) or UNIT
        self._properties = properties
        self._bus: Bus | None = None
        self._asked = False
        self.end: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        """How it ended; DisconnectedError where that cannot be known any more."""
        self.running = asyncio.Event()
        """The command was started."""
        self._known: dict[str, Any] = {}
        self._again: asyncio.Task[None] | None = None

    async def start(self, fds: Sequence[int]) -> None:
        """Start it; `fds`: its standard input, output and errors, which stay the caller's."""
        bus = self._bus = await Bus.connect(
            self._address,
            uid=self._uid,
            limits=SYSTEM_LIMITS if self._uid is None else USER_LIMITS,
            fds=True,
        )
        bus.on_closed(self._lost)
        await bus.track(SYSTEMD, self._owner_changed)
        # Of this unit alone: all others are none of this connection's business.
        rule = f"type='signal',sender='{SYSTEMD}',path='{self._path}',interface='{PROPERTIES}'"
        bus.on(SYSTEMD, PROPERTIES, "PropertiesChanged", "sa{sv}as", self._changed)
        await bus.add_match(rule)
        manager = SystemdManager(bus)
        await manager.subscribe()
        self._asked = True
        await manager.begin_transient(self._name, self._properties, fds=fds)

    async def close(self) -> None:
        """End it if it runs, for which systemd gets five seconds, and let go of it."""
        bus = self._bus
        if self._again is not None:
            self._again.cancel()
        if bus is None:
            return
        if self._asked and not self.end.done():
            try:
                await SystemdManager(bus).stop(self._name, timeout=_STOP_SECONDS)
                await asyncio.wait({self.end}, timeout=_STOP_SECONDS)
            except EventdError:
                pass  # it never was, is gone, or the bus is: then systemd ends it at its RuntimeMaxSec=
        await bus.close()
        if self.end.done() and not self.end.cancelled():
            self.end.exception()

    def _changed(self, signal: Signal) -> None:
        if signal.path != self._path or len(signal.body) < 2 or not isinstance(signal.body[1], dict):
            return
        if signal.body[0] in (UNIT, self._kind):
            self._take(signal.body[1])

    def _take(self, properties: Mapping[str, Any]) -> None:
        """Fold some properties in. The type's come before the unit's, so that all is known when it is inactive.

        A user's manager may say anything, and as often as it likes: nothing is kept but a few short values.
        """
        for name in _KEPT & properties.keys():
            value = properties[name]
            self._known[name] = value if isinstance(value, int) else str(value)[:_SHORT]
        if self._known.get("ActiveState") == "active":
            self.running.set()
        active, entered = self._known.get("ActiveState"), self._known.get("InactiveEnterTimestampMonotonic")
        # A unit is inactive before its start too.
        if self.end.done() or not (active == "failed" or (active == "inactive" and entered)):
            return
        code, status = self._known.get("ExecMainCode", 0), self._known.get("ExecMainStatus", 0)
        if isinstance(code, int) and isinstance(status, int):
            self.end.set_result(Exit(code, status, str(self._known.get("Result", ""))))
        else:
            self.end.set_exception(PermanentError("systemd's answer is not understood", reason="bad-reply"))

    def _owner_changed(self, owner: str) -> None:
        # Re-executed: what it said meanwhile is lost, and this unit is read again.
        if owner and self._asked:
            self._again = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self._bus is not None
        try:
            for kind in (self._kind, UNIT):
                properties = await self._bus.get_all(SYSTEMD, self._path, kind)
                if isinstance(properties, dict):
                    self._take(properties)
        except EventdError as error:
            if not self.end.done():
                self.end.set_exception(error)

    def _lost(self) -> None:
        if not self.end.done():
            self.end.set_exception(
                DisconnectedError(f"the connection to systemd was lost while {self._name} ran")
            )
