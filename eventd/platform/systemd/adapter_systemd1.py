"""A systemd manager over a bus, the system's or a user's: org.freedesktop.systemd1(5).

Implements `ports.Manager`. Knows methods, signals and properties, and how they become a `UnitState`. Keeps no facts:
`eventd.platform.systemd.source_manager_feed` does, over the same connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from eventd.kernel.model.errors import DeadlineError, DisconnectedError, EventdError
from eventd.platform.dbus.connection import CALL_TIMEOUT, Variant
from eventd.platform.model_facts import UnitState
from eventd.platform.systemd.adapter_unit_values import (
    MANAGER,
    PATH,
    SIGNALS,
    SYSTEMD,
    UNIT,
    UNITS,
    ListedUnit,
    Properties,
    fold,
    listed,
    moment,
    type_interface,
    unit_name,
    unit_of,
    unit_path,
    word_of,
)
from eventd.platform.systemd.model_times import Startup, UnitTimes
from eventd.platform.systemd.ports import JobResult, Verb

if TYPE_CHECKING:
    from eventd.platform.dbus.connection import Bus, Signal

_MOST_JOBS = 256
"""How many results of jobs are kept until the path of our own job is known."""

MATCHES = (
    f"type='signal',sender='{SYSTEMD}',path='{PATH}',interface='{MANAGER}'",
    # One rule for all units. The bus filters by sender and path; unit paths have no children.
    f"type='signal',sender='{SYSTEMD}',path_namespace='{PATH}/unit',"
    "interface='org.freedesktop.DBus.Properties',member='PropertiesChanged'",
)


Fold: TypeAlias = Callable[[str, str, Properties], None]


class SystemdManager:
    """`ports.Manager` over one connection; unusable once that is lost."""

    def __init__(self, bus: Bus, scope: str = "") -> None:
        self._bus = bus
        self._scope = scope
        self._attached = False
        self._ended: set[Callable[[EventdError], None]] = set()

    @property
    def scope(self) -> str:
        """`""` for the system manager, else the user's name."""
        return self._scope

    @property
    def bus(self) -> Bus:
        """The connection."""
        return self._bus

    @property
    def present(self) -> bool:
        """Whether systemd owns its name on this bus now."""
        return bool(self._bus.owner(SYSTEMD))

    async def attach(self, changed: Callable[[str], None] | None = None) -> None:
        """Request the manager's signals, and follow the owner of its name. Called first; later calls do nothing.

        `changed(owner)` is called when the manager leaves the bus (`""`), and when it is back: after daemon-reexec, or
        after a restart of the bus that the manager survived.
        """
        if self._attached:
            return
        self._attached = True

        def owner_changed(owner: str) -> None:
            # PID 1 sends no signals while it is not connected, so a JobRemoved may be lost.
            gone = DisconnectedError("the systemd manager left the bus: it is being re-executed or stopped")
            for end in tuple(self._ended):
                end(gone)
            if changed is not None:
                changed(owner)

        await self._bus.track(SYSTEMD, owner_changed)
        for rule in MATCHES:
            await self._bus.add_match(rule)

    async def subscribe(self) -> None:
        """Call Subscribe: without subscribers the manager sends hardly any signals. Repeat for each new owner."""
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
        """Call `apply` with the rows of those `names` that are loaded, without loading any (ListUnitsByPatterns).

        LoadUnit and ListUnitsByNames load a unit that is not loaded. systemd then announces UnitNew, and soon
        UnitRemoved. Calling them on UnitNew would never end.
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
        """Read a unit; call `apply(path, interface, properties)` for each reply, in order as in `Bus.call`.

        The properties of its type come first and those of Unit last, as in the signals of a change. `path` is the
        unit's own, which differs from `unit_path(name)` if `name` is an alias.
        """
        path: str = (await self._call("LoadUnit", "s", [name], reply="o", timeout=timeout))[0]
        unit_name(path)
        kinds = [kind for kind in (type_interface(name), UNIT) if kind is not None]
        # Sent together: that saves a round trip, and the replies come in order.
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
        """Return the times of the boot's phases, and the unit of this process (GetUnitByPID)."""
        found = await self._bus.get_all(SYSTEMD, PATH, MANAGER)
        try:
            unit = unit_name((await self._call("GetUnitByPID", "u", [0], reply="o"))[0])
        except EventdError as error:
            if error.reason == "disconnected":
                raise
            unit = ""  # not run by systemd
        return Startup(
            kernel=bool(found.get("KernelTimestamp")),
            initrd=moment(found, "InitRDTimestampMonotonic"),
            userspace=moment(found, "UserspaceTimestampMonotonic"),
            finished=moment(found, "FinishTimestampMonotonic"),
            unit=unit,
        )

    async def unit_times(self, name: str) -> UnitTimes:
        """Return when a unit began to start and became active (seconds of CLOCK_MONOTONIC), and its `After=`.

        Only for units that are loaded: this loads a unit that is not.
        """
        found = await self._bus.get_all(SYSTEMD, unit_path(name), UNIT)
        return UnitTimes(
            name,
            moment(found, "InactiveExitTimestampMonotonic"),
            moment(found, "ActiveEnterTimestampMonotonic"),
            tuple(str(each) for each in found.get("After", ())),
        )

    async def job(self, verb: Verb, unit: str, *, timeout: float) -> JobResult:
        """Create a job with mode `replace`, and await its JobRemoved for at most `timeout` seconds in all.

        Raises PermanentError with the reason of systemd's refusal (`no-such-unit`, `unit-masked`, `load-failed`,
        `job-type-not-applicable`, …), DeadlineError (the job goes on), and DisconnectedError if the connection or the
        manager is lost meanwhile (the state of the unit then says what became of the job).
        """
        return await self._job(verb.value, "ss", [unit, "replace"], unit, timeout=timeout)

    async def start_transient(
        self, unit: str, properties: Sequence[tuple[str, str, Any]], *, timeout: float
    ) -> JobResult:
        """Create a transient unit from `properties` (name, D-Bus signature, value), start it, and await its job.

        Raises what `job` does, and PermanentError(reason="unit-exists").
        """
        values = [[name, Variant(signature, value)] for name, signature, value in properties]
        body = [unit, "fail", values, []]
        return await self._job("StartTransientUnit", "ssa(sv)a(sa(sv))", body, unit, timeout=timeout)

    async def begin_transient(
        self, unit: str, properties: Sequence[tuple[str, str, Any]], *, fds: Sequence[int]
    ) -> None:
        """Create and start a transient unit, without waiting for its job. Values of type `h` index `fds`."""
        values = [[name, Variant(signature, value)] for name, signature, value in properties]
        await self._call(
            "StartTransientUnit", "ssa(sv)a(sa(sv))", [unit, "fail", values, []], reply="o", fds=fds
        )

    async def stop(self, unit: str, *, timeout: float) -> None:
        """Stop a unit, without waiting for its job."""
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
                # The reply with our job's path is still to come. A job with nothing to do may end before it.
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
            raise DeadlineError(f"{method} {unit}: the job did not end within {timeout:g} s") from error
        finally:
            forget()
            self._ended.discard(ended)
            if removed.done() and not removed.cancelled():
                removed.exception()  # the call's own error was raised instead

    async def reload(self, *, timeout: float) -> None:
        """Reload unit files (daemon-reload). systemd replies when it has finished and announced that."""
        await self._call("Reload", timeout=timeout)

    async def reset_failed(self, unit: str) -> None:
        """Reset the unit's failure and its start-limit counter. It need not be loaded."""
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
