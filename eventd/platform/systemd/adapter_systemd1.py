"""A systemd manager over a bus: org.freedesktop.systemd1, the system's or a user's.

A veneer: it knows names of methods, signals and properties, and how they become `UnitState`. It implements
the port
`ports.Manager`. It keeps no facts: `eventd.platform.systemd.source_manager_feed` does, from the same connection.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from eventd.kernel.model.errors import DeadlineError, DisconnectedError, EventdError
from eventd.kernel.model.names import loaded_unit_is_valid
from eventd.kernel.model.text import printable
from eventd.platform.dbus.connection import CALL_TIMEOUT, BadReplyError, Variant
from eventd.platform.model_facts import ActiveState, LoadState, UnitState
from eventd.platform.systemd.model_times import Startup, UnitTimes
from eventd.platform.systemd.ports import JobResult, Verb

if TYPE_CHECKING:
    from eventd.platform.dbus.connection import Bus, Signal

SYSTEMD = "org.freedesktop.systemd1"
PATH = "/org/freedesktop/systemd1"
MANAGER = "org.freedesktop.systemd1.Manager"
UNIT = "org.freedesktop.systemd1.Unit"
_UNITS = f"{PATH}/unit/"
_ESCAPED = re.compile(r"_([0-9a-f]{2})")
_WORD = re.compile(r"[a-z0-9-]{0,64}")
_LONGEST_PATH = 4096
"""PATH_MAX of limits.h."""
_MOST_PATHS = 128
_MOST_JOBS = 256
"""Ends of jobs that are kept while the number of our own is still to come."""
_TYPES_WITH_RESULT = frozenset({"service", "socket", "timer", "path", "mount", "automount", "swap", "scope"})

MATCHES = (
    f"type='signal',sender='{SYSTEMD}',path='{PATH}',interface='{MANAGER}'",
    # One rule for all units. The bus filters by sender and path; unit paths have no children.
    f"type='signal',sender='{SYSTEMD}',path_namespace='{PATH}/unit',"
    "interface='org.freedesktop.DBus.Properties',member='PropertiesChanged'",
)

UNITS = "a(ssssssouso)"
"""Signature of a list of units."""
SIGNALS = {"UnitNew": "so", "UnitRemoved": "so", "JobNew": "uos", "JobRemoved": "uoss", "Reloading": "b"}
"""Signatures of the manager's signals that are listened to."""

Properties: TypeAlias = Mapping[str, Any]
Fold: TypeAlias = Callable[[str, str, Properties], None]


def unit_path(name: str) -> str:
    """Object path of a unit: all but ASCII letters and digits as `_xx` (sd_bus_path_encode(3))."""
    escaped = "".join(
        char
        if char.isascii() and char.isalnum() and not (i == 0 and char.isdigit())
        else "".join(f"_{byte:02x}" for byte in char.encode())
        for i, char in enumerate(name)
    )
    return _UNITS + (escaped or "_")


def unit_name(path: str) -> str:
    """Name of the unit at an object path; empty for another object's path."""
    if not path.startswith(_UNITS):
        return ""
    return unit_of(_ESCAPED.sub(lambda match: chr(int(match[1], 16)), path[len(_UNITS) :]))


def unit_of(value: str) -> str:
    """Return a unit's name. Raises BadReplyError if it is none: it becomes a fact, an event, a part of a sentence."""
    if not loaded_unit_is_valid(value):
        raise BadReplyError(f"the name of a unit that is none, {printable(value, 64)!r}")
    return value


def word_of(value: Any) -> str:
    """Return a word of systemd's own, as those for states and results are. Raises BadReplyError if it is none."""
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise BadReplyError(f"a value that systemd has not, {printable(str(value)[:64], 64)!r}")
    return value


def _path(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_PATH or "\0" in value:
        raise BadReplyError("a path of a unit's file that is none")
    return value


def _paths(value: Any) -> tuple[str, ...]:
    paths = tuple(map(_path, value)) if isinstance(value, list) else None
    if paths is None or len(paths) > _MOST_PATHS or sum(map(len, paths)) > _MOST_PATHS * 256:
        raise BadReplyError(f"more drop-ins of a unit than {_MOST_PATHS}, or longer paths of them")
    return paths


def _number(value: Any) -> int:
    if not isinstance(value, int):
        raise BadReplyError("a number that is none")
    return int(value)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadReplyError("a truth that is neither true nor false")
    return value


def _job(value: Any) -> int:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise BadReplyError("a job that is none")
    return _number(value[0])


def _said(value: Any) -> str:
    if not isinstance(value, str):
        raise BadReplyError("a text that is none")
    return printable(" ".join(value[: _SAID * 4].split())[:_SAID])


def type_interface(name: str) -> str | None:
    """Interface of the unit's type that has `Result` and its like, or None for a type that has none."""
    suffix = name.rpartition(".")[2]
    return f"{SYSTEMD}.{suffix.capitalize()}" if suffix in _TYPES_WITH_RESULT else None


def _active(value: Any) -> ActiveState:
    try:
        return ActiveState(word_of(value))
    except ValueError:
        return ActiveState.MAINTENANCE  # of a systemd newer than us: neither up nor down


def _load(value: Any) -> LoadState:
    try:
        return LoadState(word_of(value))
    except ValueError:
        return LoadState.ERROR


def _invocation(value: Any) -> str:
    if not isinstance(value, bytes | bytearray | list) or len(value) > 16:
        raise BadReplyError("an id of an invocation that is none")
    text = bytes(value).hex()
    return text if text.strip("0") else ""


def _moment(properties: Properties, name: str) -> float | None:
    """Return a timestamp, which is in microseconds, and 0 for never."""
    value = int(properties.get(name, 0))
    return value / 1e6 if value else None


_SAID = 300
"""Characters that are kept of a status text: a service may send any."""
_FIELDS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    # org.freedesktop.systemd1.Unit
    "LoadState": ("load", _load),
    "ActiveState": ("active", _active),
    "SubState": ("sub", word_of),
    "FragmentPath": ("fragment_path", _path),
    "SourcePath": ("source_path", _path),
    "DropInPaths": ("drop_ins", _paths),
    "NeedDaemonReload": ("needs_reload", _truth),
    "UnitFileState": ("file_state", word_of),
    "InvocationID": ("invocation", _invocation),
    "Job": ("job", _job),
    "StateChangeTimestampMonotonic": ("since", _number),
    "InactiveExitTimestampMonotonic": ("began", _number),
    # of the type
    "Result": ("result", word_of),
    "NRestarts": ("restarts", _number),
    "MainPID": ("main_pid", _number),
    "ExecMainStatus": ("exec_status", _number),
    "StatusText": ("said", _said),
}
FIELDS = frozenset(_FIELDS) - {"StatusText"}
"""The properties whose change is one of a `UnitState`."""


def known(properties: Properties) -> Properties:
    """Return those properties that a `UnitState` has a place for: nothing else that a manager says is kept."""
    return {name: properties[name] for name in _FIELDS if name in properties}


def fold(state: UnitState, properties: Properties) -> UnitState:
    """Return the state with those properties that it has a place for.

    Raises BadReplyError for a value of another type than the property has, or larger than it can be.
    """
    changes = {
        field: convert(properties[name]) for name, (field, convert) in _FIELDS.items() if name in properties
    }
    return replace(state, **changes) if changes else state


@dataclass(frozen=True, slots=True)
class ListedUnit:
    """A row of ListUnits: what a manager says of every unit that it has loaded."""

    name: str
    load: LoadState
    active: ActiveState
    sub: str
    job: int

    @classmethod
    def of(cls, row: Sequence[Any]) -> ListedUnit:
        """From `(ssssssouso)`."""
        return cls(unit_of(row[0]), _load(row[2]), _active(row[3]), word_of(row[4]), int(row[7]))


def listed(body: Sequence[Any]) -> list[ListedUnit]:
    """Return the rows of a reply with the signature `UNITS`."""
    return [ListedUnit.of(row) for row in body[0]]


class SystemdManager:
    """`ports.Manager` over one connection; of no more use once that is lost."""

    def __init__(self, bus: Bus, scope: str = "") -> None:
        self._bus = bus
        self._scope = scope
        self._attached = False
        self._ended: set[Callable[[EventdError], None]] = set()

    @property
    def scope(self) -> str:
        """`""` for the system's, else the user's name."""
        return self._scope

    @property
    def bus(self) -> Bus:
        """The connection."""
        return self._bus

    @property
    def present(self) -> bool:
        """Whether systemd owns its name on this bus at the moment."""
        return bool(self._bus.owner(SYSTEMD))

    async def attach(self, changed: Callable[[str], None] | None = None) -> None:
        """Ask the bus for the manager's signals and follow the owner of its name. Before anything else; once.

        `changed(owner)` tells that the manager left the bus (`""`) or came (back): after daemon-reexec, or
        after a restart of the bus that the manager survives.
        """
        if self._attached:
            return
        self._attached = True

        def owner_changed(owner: str) -> None:
            # PID 1 sends no signal while it has no connection, so a JobRemoved may be lost for good.
            gone = DisconnectedError("the systemd manager left the bus, it is being re-executed or stopped")
            for end in tuple(self._ended):
                end(gone)
            if changed is not None:
                changed(owner)

        await self._bus.track(SYSTEMD, owner_changed)
        for rule in MATCHES:
            await self._bus.add_match(rule)

    async def subscribe(self) -> None:
        """Subscribe(): without a subscriber the manager sends hardly any signal. Again for each new owner."""
        try:
            await self._call("Subscribe")
        except EventdError as error:
            if error.reason != "already-subscribed":
                raise

    async def list_units(
        self, *, apply: Callable[[list[ListedUnit]], None] | None = None
    ) -> list[ListedUnit]:
        """Return all loaded units. `apply`: see `Bus.call`."""
        rows: list[ListedUnit] = []

        def take(body: Sequence[Any]) -> None:
            nonlocal rows
            rows = listed(body)
            if apply is not None:
                apply(rows)

        await self._call("ListUnits", reply=UNITS, apply=take)
        return rows

    async def list_named(self, names: Iterable[str], *, apply: Callable[[list[ListedUnit]], None]) -> None:
        """Apply the rows of those of `names` that are loaded, without loading any (ListUnitsByPatterns).

        LoadUnit and ListUnitsByNames load what is not loaded; systemd then announces UnitNew and soon
        UnitRemoved, and who answers UnitNew with one of them never comes to rest.
        """
        patterns = [name.replace("\\", "\\\\") for name in names]  # fnmatch(3)
        await self._call(
            "ListUnitsByPatterns",
            "asas",
            [[], patterns],
            reply=UNITS,
            apply=lambda body: apply(listed(body)),
        )

    async def read_unit(self, name: str) -> UnitState:
        """Return the unit as it is now (LoadUnit, GetAll of Unit and of its type)."""
        state = UnitState(name)

        def fold_in(_path: str, _interface: str, properties: Properties) -> None:
            nonlocal state
            state = fold(state, properties)

        await self.read_into(name, fold_in)
        return state

    async def read_into(self, name: str, apply: Fold, *, timeout: float = CALL_TIMEOUT) -> None:
        """Read a unit; `apply(path, interface, properties)` gets each reply at its place in the order.

        The type's properties come first and the unit's last, like the signals of a change. `path` is the
        unit's own, which differs from `unit_path(name)` if `name` is an alias.
        """
        path: str = (await self._call("LoadUnit", "s", [name], reply="o", timeout=timeout))[0]
        unit_name(path)
        kinds = [kind for kind in (type_interface(name), UNIT) if kind is not None]
        # Sent without waiting in between: a round trip is saved, and the order is kept.
        replies = await asyncio.gather(
            *(
                self._bus.get_all(
                    SYSTEMD,
                    path,
                    kind,
                    timeout=timeout,
                    apply=lambda body, kind=kind: apply(path, kind, body[0]),  # type: ignore[misc]
                )
                for kind in kinds
            ),
            return_exceptions=True,
        )
        for reply in replies:
            if isinstance(reply, BaseException):
                raise reply

    async def startup(self) -> Startup:
        """Return when the boot went through its phases, and which unit runs this process (GetUnitByPID)."""
        found = await self._bus.get_all(SYSTEMD, PATH, MANAGER)
        try:
            unit = unit_name((await self._call("GetUnitByPID", "u", [0], reply="o"))[0])
        except EventdError as error:
            if error.reason == "disconnected":
                raise
            unit = ""  # run by hand
        return Startup(
            kernel=bool(found.get("KernelTimestamp")),
            initrd=_moment(found, "InitRDTimestampMonotonic"),
            userspace=_moment(found, "UserspaceTimestampMonotonic"),
            finished=_moment(found, "FinishTimestampMonotonic"),
            unit=unit,
        )

    async def unit_times(self, name: str) -> UnitTimes:
        """Return when a unit began to start and when it was active, in seconds of CLOCK_MONOTONIC, and `After=`.

        For units that are loaded: another one would be loaded by this.
        """
        found = await self._bus.get_all(SYSTEMD, unit_path(name), UNIT)
        return UnitTimes(
            name,
            _moment(found, "InactiveExitTimestampMonotonic"),
            _moment(found, "ActiveEnterTimestampMonotonic"),
            tuple(str(each) for each in found.get("After", ())),
        )

    async def job(self, verb: Verb, unit: str, *, timeout: float) -> JobResult:
        """Create a job with mode `replace` and await its JobRemoved, for at most `timeout` seconds in all.

        Raises PermanentError with the reason of systemd's refusal (`no-such-unit`, `unit-masked`,
        `load-failed`,
        `job-type-not-applicable`, …), DeadlineError (the job goes on), and DisconnectedError if the
        connection or the manager is lost meanwhile (what became of the job is then to be read from the unit).
        """
        return await self._job(verb.value, "ss", [unit, "replace"], unit, timeout=timeout)

    async def start_transient(
        self, unit: str, properties: Sequence[tuple[str, str, Any]], *, timeout: float
    ) -> JobResult:
        """Make a unit of `properties` (name, D-Bus signature, value) at run time, start it, and await its job.

        Raises what `job` does, and PermanentError(reason="unit-exists").
        """
        values = [[name, Variant(signature, value)] for name, signature, value in properties]
        body = [unit, "fail", values, []]
        return await self._job("StartTransientUnit", "ssa(sv)a(sa(sv))", body, unit, timeout=timeout)

    async def begin_transient(
        self, unit: str, properties: Sequence[tuple[str, str, Any]], *, fds: Sequence[int]
    ) -> None:
        """Make a unit and have it started, without waiting for its job. `fds`: what values of type `h` index."""
        values = [[name, Variant(signature, value)] for name, signature, value in properties]
        await self._call(
            "StartTransientUnit", "ssa(sv)a(sa(sv))", [unit, "fail", values, []], reply="o", fds=fds
        )

    async def stop(self, unit: str, *, timeout: float) -> None:
        """Have a unit stopped, without waiting for its job."""
        await self._call("StopUnit", "ss", [unit, "replace"], reply="o", timeout=timeout)

    async def _job(
        self, method: str, signature: str, body: Sequence[Any], unit: str, *, timeout: float
    ) -> JobResult:
        await self.attach()
        loop = asyncio.get_running_loop()
        removed: asyncio.Future[JobResult] = loop.create_future()
        seen: dict[str, JobResult] = {}
        mine = ""

        def job_removed(signal: Signal) -> None:
            _, path, name, result = signal.body[:4]
            if mine == "":
                # The answer with our path is still to come; a job that had nothing to do may end before it.
                seen[path] = JobResult(unit_of(name), word_of(result))
                if len(seen) > _MOST_JOBS:
                    del seen[next(iter(seen))]
            elif path == mine and not removed.done():
                removed.set_result(JobResult(unit_of(name), word_of(result)))

        def created(body: Sequence[Any]) -> None:
            nonlocal mine
            mine = body[0]
            if mine in seen and not removed.done():
                removed.set_result(seen[mine])

        def ended(error: EventdError) -> None:
            if not removed.done():
                removed.set_exception(error)

        def lost() -> None:
            ended(DisconnectedError(f"the connection was lost during {method} {unit}"))

        forget = self._bus.on(SYSTEMD, MANAGER, "JobRemoved", SIGNALS["JobRemoved"], job_removed)
        self._ended.add(ended)
        try:
            async with asyncio.timeout(timeout):
                await self._call(method, signature, body, reply="o", timeout=timeout, apply=created)
                self._bus.on_closed(lost)
                return await removed
        except TimeoutError as error:
            raise DeadlineError(f"{method} {unit}: the job had not ended after {timeout:g} s") from error
        finally:
            forget()
            self._ended.discard(ended)
            if removed.done() and not removed.cancelled():
                removed.exception()  # the call's own error was raised instead

    async def reload(self, *, timeout: float) -> None:
        """Reload unit files (daemon-reload). systemd answers only when it has finished and announced it."""
        await self._call("Reload", timeout=timeout)

    async def reset_failed(self, unit: str) -> None:
        """Forget the unit's failure and its start-limit counter; a unit that is not loaded is no error."""
        try:
            await self._call("ResetFailedUnit", "s", [unit])
        except EventdError as error:
            if error.reason not in ("no-such-unit", "unit-not-loaded"):
                raise

    async def _call(
        self,
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
        *,
        reply: str = "",
        timeout: float = CALL_TIMEOUT,
        apply: Callable[[Sequence[Any]], None] | None = None,
        fds: Sequence[int] = (),
    ) -> Sequence[Any]:
        return await self._bus.call(
            SYSTEMD,
            PATH,
            MANAGER,
            member,
            signature,
            body,
            reply=reply,
            timeout=timeout,
            apply=apply,
            fds=fds,
        )
