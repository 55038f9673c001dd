"""org.freedesktop.systemd1 on a bus: one manager of the model, with the names and signatures of systemd 257.

Signals go out to everybody (the bus filters by match rules) and only while somebody is subscribed, as
org.freedesktop.systemd1(5) says. Properties without change signals there have none here.
"""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Any, Final

from eventd.platform.model_facts import LoadState, UnitState
from eventd_simulators.model import signals
from eventd_simulators.model.manager import RefusedError
from eventd_simulators.wire.dbus_object import PROPERTIES, BusError, Row, Service, reply, variants

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbus_fast import Message

    from eventd_simulators.model.jobs import Job
    from eventd_simulators.model.manager import Manager
    from eventd_simulators.model.unit import Unit

NAME: Final = "org.freedesktop.systemd1"
PATH: Final = "/org/freedesktop/systemd1"
MANAGER: Final = f"{NAME}.Manager"
UNIT: Final = f"{NAME}.Unit"
JOB: Final = f"{NAME}.Job"
UNITS: Final = f"{PATH}/unit/"
JOBS: Final = f"{PATH}/job/"
SILENT: Final = frozenset(
    {
        "Id",
        "Names",
        "Description",
        "LoadState",
        "LoadError",
        "FragmentPath",
        "SourcePath",
        "DropInPaths",
        "UnitFileState",
        "NeedDaemonReload",
        "Requires",
        "Wants",
        "BindsTo",
        "After",
        "WantedBy",
        "Type",
        "Restart",
    }
)
"""Properties that PropertiesChanged never carries."""
_WITH_RESULT: Final = ("service", "socket", "timer", "path", "mount")


def escape(name: str) -> str:
    """Encode a unit name as an element of an object path (sd_bus_path_encode(3))."""
    if not name:
        return "_"
    return "".join(
        char if char.isascii() and char.isalnum() and not (at == 0 and char.isdigit()) else _hexadecimal(char)
        for at, char in enumerate(name)
    )


def _hexadecimal(char: str) -> str:
    return "".join(f"_{byte:02x}" for byte in char.encode())


def unescape(element: str) -> str:
    """Decode it."""
    raw = bytearray()
    at = 0
    while at < len(element):
        if element[at] == "_" and at + 2 < len(element):
            raw.append(int(element[at + 1 : at + 3], 16))
            at += 3
        else:
            raw += element[at].encode()
            at += 1
    return raw.decode(errors="replace")


def unit_properties(unit: Unit) -> Row:
    """Return org.freedesktop.systemd1.Unit."""
    state, definition = unit.state, unit.definition
    found = definition.load is not LoadState.NOT_FOUND
    error = ("", "") if found else (f"{NAME}.NoSuchUnit", f"Unit {unit.name} not found.")
    return {
        "Id": ("s", unit.name),
        "Names": ("as", [unit.name]),
        "Description": ("s", definition.description or unit.name),
        "LoadState": ("s", str(state.load)),
        "LoadError": ("(ss)", list(error)),
        "ActiveState": ("s", str(state.active)),
        "SubState": ("s", state.sub),
        "FragmentPath": ("s", state.fragment_path),
        "SourcePath": ("s", state.source_path),
        "DropInPaths": ("as", list(state.drop_ins)),
        "UnitFileState": ("s", state.file_state),
        "NeedDaemonReload": ("b", state.needs_reload),
        "InvocationID": ("ay", bytes.fromhex(state.invocation)),
        "Job": ("(uo)", [state.job, f"{JOBS}{state.job}" if state.job else "/"]),
        "StateChangeTimestampMonotonic": ("t", state.since),
        "Requires": ("as", list(definition.requires)),
        "Wants": ("as", list(definition.wants)),
        "BindsTo": ("as", list(definition.binds_to)),
        "After": ("as", list(definition.after)),
        "WantedBy": ("as", list(definition.wanted_by)),
    }


def type_properties(unit: Unit) -> Row:
    """Return the interface of the unit's type."""
    state = unit.state
    if unit.suffix != "service":
        return {"Result": ("s", state.result)} if unit.suffix in _WITH_RESULT else {}
    return {
        "Type": ("s", unit.definition.type),
        "Restart": ("s", unit.definition.restart),
        "Result": ("s", state.result),
        "NRestarts": ("u", state.restarts),
        "MainPID": ("u", state.main_pid),
        "ExecMainPID": ("u", state.main_pid),
        "ExecMainStatus": ("i", state.exec_status),
    }


def type_interface(unit: Unit) -> str:
    """Return `org.freedesktop.systemd1.Service` and so on."""
    return f"{NAME}.{unit.suffix.capitalize()}"


class SystemdService(Service):
    """One manager on one bus."""

    def __init__(self, manager: Manager, hub: signals.Hub) -> None:
        super().__init__(NAME)
        self._manager = manager
        self._subscribers: set[str] = set()
        self._stop_listening = hub.listen(self._on_signal)
        for member, method in (
            ("Subscribe", self._subscribe),
            ("Unsubscribe", self._unsubscribe),
            ("GetUnit", self._get_unit),
            ("LoadUnit", self._load_unit),
            ("ListUnits", lambda m: self._list(m, lambda _unit: True)),
            ("ListUnitsByNames", self._list_by_names),
            ("ListUnitsByPatterns", self._list_by_patterns),
            ("StartUnit", lambda m: self._job(m, self._manager.start)),
            ("StopUnit", lambda m: self._job(m, self._manager.stop)),
            ("RestartUnit", lambda m: self._job(m, self._manager.restart)),
            ("ResetFailedUnit", self._reset_failed),
            ("Reload", self._reload),
            ("Reexecute", self._reexecute),
            ("GetJob", self._get_job),
            ("ListJobs", self._list_jobs),
        ):
            self.methods[MANAGER, member] = method

    async def stop(self) -> None:
        """Leave the bus."""
        self._stop_listening()
        await super().stop()

    def get_all(self, path: str, interface: str) -> Row | None:
        """Return properties; a unit that is not loaded is loaded for it, as systemd does."""
        if path == PATH:
            return {
                "Version": ("s", "257 (simulated)"),
                "NNames": ("u", len(self._manager.units)),
                "NJobs": ("u", len(self._manager.jobs.all())),
                "SystemState": ("s", "running"),
            }
        if path.startswith(UNITS):
            unit = self._manager.load(unescape(path.removeprefix(UNITS)))
            if interface == UNIT:
                return unit_properties(unit)
            if interface == type_interface(unit):
                return type_properties(unit)
            return {**unit_properties(unit), **type_properties(unit)} if not interface else {}
        if path.startswith(JOBS):
            number = path.removeprefix(JOBS)
            job = self._manager.jobs.get(int(number)) if number.isdecimal() else None
            return None if job is None else self._job_properties(job)
        return None

    def children(self, path: str) -> list[str]:
        """Return what busctl tree shows."""
        return [escape(name) for name in self._manager.units] if path == UNITS.rstrip("/") else []

    # Calls.

    def _subscribe(self, message: Message) -> Message:
        sender = message.sender or ""
        if sender in self._subscribers:
            raise BusError(f"{NAME}.AlreadySubscribed", "Client is already subscribed.")
        self._subscribers.add(sender)
        return reply(message)

    def _unsubscribe(self, message: Message) -> Message:
        if (message.sender or "") not in self._subscribers:
            raise BusError(f"{NAME}.NotSubscribed", "Client is not subscribed.")
        self._subscribers.discard(message.sender or "")
        return reply(message)

    def _get_unit(self, message: Message) -> Message:
        name = message.body[0]
        if name not in self._manager.units:
            raise BusError(f"{NAME}.NoSuchUnit", f"Unit {name} not loaded.")
        return reply(message, "o", UNITS + escape(name))

    def _load_unit(self, message: Message) -> Message:
        self._manager.load(message.body[0])
        return reply(message, "o", UNITS + escape(message.body[0]))

    def _list(self, message: Message, wanted: Callable[[Unit], bool]) -> Message:
        rows = [self._row(unit) for unit in self._manager.units.values() if wanted(unit)]
        return reply(message, "a(ssssssouso)", rows)

    def _list_by_names(self, message: Message) -> Message:
        names = dict.fromkeys(message.body[0])
        for name in names:
            self._manager.load(name)
        return self._list(message, lambda unit: unit.name in names)

    def _list_by_patterns(self, message: Message) -> Message:
        states, patterns = message.body

        def wanted(unit: Unit) -> bool:
            seen = {str(unit.definition.load), str(unit.active), unit.sub}
            fits = not patterns or any(fnmatch.fnmatchcase(unit.name, pattern) for pattern in patterns)
            return fits and (not states or not seen.isdisjoint(states))

        return self._list(message, wanted)

    def _job(self, message: Message, make: Callable[[str], Job]) -> Message:
        try:
            job = make(message.body[0])
        except RefusedError as error:
            raise BusError(f"{NAME}.{error.name}", str(error)) from error
        return reply(message, "o", f"{JOBS}{job.id}")

    def _reset_failed(self, message: Message) -> Message:
        try:
            self._manager.reset_failed(message.body[0])
        except RefusedError as error:
            raise BusError(f"{NAME}.{error.name}", str(error)) from error
        return reply(message)

    def _reload(self, message: Message) -> bool:
        # systemd answers when it has finished, after Reloading(false).
        self._manager.reload(lambda: self.send(reply(message)))
        return True

    def _reexecute(self, message: Message) -> bool:
        del message  # systemd never answers: it loses the connection that the call came on
        self._manager.reexecute()
        return True

    def _get_job(self, message: Message) -> Message:
        if self._manager.jobs.get(message.body[0]) is None:
            raise BusError(f"{NAME}.NoSuchJob", f"Job {message.body[0]} does not exist.")
        return reply(message, "o", f"{JOBS}{message.body[0]}")

    def _list_jobs(self, message: Message) -> Message:
        rows = [
            [
                j.id,
                j.unit.name,
                j.kind,
                "running" if j.running else "waiting",
                f"{JOBS}{j.id}",
                UNITS + escape(j.unit.name),
            ]
            for j in self._manager.jobs.all()
        ]
        return reply(message, "a(usssoo)", rows)

    @staticmethod
    def _job_properties(job: Job) -> Row:
        return {
            "Id": ("u", job.id),
            "Unit": ("(so)", [job.unit.name, UNITS + escape(job.unit.name)]),
            "JobType": ("s", job.kind),
            "State": ("s", "running" if job.running else "waiting"),
        }

    @staticmethod
    def _row(unit: Unit) -> list[Any]:
        job = unit.job
        return [
            unit.name,
            unit.definition.description or unit.name,
            str(unit.definition.load),
            str(unit.active),
            unit.sub,
            "",
            UNITS + escape(unit.name),
            job.id if job else 0,
            job.kind if job else "",
            f"{JOBS}{job.id}" if job else "/",
        ]

    # Signals.

    def _on_signal(self, signal: signals.Signal) -> None:
        if not self._subscribers:
            return
        scope = self._manager.scope
        match signal:
            case signals.UnitChanged(sender, unit, state) if sender == scope:
                self._changed(unit, state)
            case signals.JobNew(sender, job, unit) if sender == scope:
                self.signal(PATH, MANAGER, "JobNew", "uos", job, f"{JOBS}{job}", unit)
            case signals.JobRemoved(sender, job, unit, result) if sender == scope:
                self.signal(PATH, MANAGER, "JobRemoved", "uoss", job, f"{JOBS}{job}", unit, result)
            case signals.UnitNew(sender, unit) if sender == scope:
                self.signal(PATH, MANAGER, "UnitNew", "so", unit, UNITS + escape(unit))
            case signals.UnitRemoved(sender, unit) if sender == scope:
                self.signal(PATH, MANAGER, "UnitRemoved", "so", unit, UNITS + escape(unit))
            case signals.Reloading(sender, active) if sender == scope:
                self.signal(PATH, MANAGER, "Reloading", "b", active)
            case _:
                pass

    def _changed(self, name: str, state: UnitState) -> None:
        unit = self._manager.units.get(name)
        if unit is None:
            return
        del state  # sent at once, so the unit's state now is its state then
        path = UNITS + escape(name)
        # The type's properties first, the unit's after them, as systemd sends them.
        for interface, row in ((type_interface(unit), type_properties(unit)), (UNIT, unit_properties(unit))):
            changed = {key: value for key, value in row.items() if key not in SILENT}
            if changed:
                self.signal(
                    path, PROPERTIES, "PropertiesChanged", "sa{sv}as", interface, variants(changed), []
                )
