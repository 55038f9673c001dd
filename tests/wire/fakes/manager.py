"""A scripted systemd manager: units are what the test says, jobs end when the test says."""

from __future__ import annotations

from typing import Any

from dbus_fast import Message, Variant

from eventd.platform.systemd.adapter_unit_values import (
    MANAGER,
    PATH,
    SYSTEMD,
    UNIT,
    type_interface,
    unit_name,
    unit_path,
)
from tests.wire.fakes.peer import Peer, failure

_SIGNATURES = {
    "LoadState": "s",
    "ActiveState": "s",
    "SubState": "s",
    "FragmentPath": "s",
    "SourcePath": "s",
    "DropInPaths": "as",
    "NeedDaemonReload": "b",
    "UnitFileState": "s",
    "InvocationID": "ay",
    "Job": "(uo)",
    "StateChangeTimestampMonotonic": "t",
    "Result": "s",
    "NRestarts": "u",
    "MainPID": "u",
    "ExecMainStatus": "i",
    "StatusText": "s",
    "Id": "s",
}
_OF_TYPE = frozenset({"Result", "NRestarts", "MainPID", "ExecMainStatus", "StatusText"})
PROPERTIES = "org.freedesktop.DBus.Properties"


class FakeManager(Peer):
    """org.freedesktop.systemd1 with a dictionary of units."""

    def __init__(self) -> None:
        super().__init__(SYSTEMD, self._answer)
        self.units: dict[str, dict[str, Any]] = {}
        self.aliases: dict[str, str] = {}
        self.next_job = 100
        self.before_reply: list[str] = []
        """Units whose job is announced as ended before the reply that names the job."""
        self.refuse: dict[str, tuple[str, str]] = {}

    def unit(self, name: str, **properties: Any) -> None:
        """Define a unit as loaded."""
        self.units[name] = {
            "Id": name,
            "LoadState": "loaded",
            "ActiveState": "inactive",
            "SubState": "dead",
            "Job": [0, "/"],
            **properties,
        }

    def change(self, name: str, *, invalidated: tuple[str, ...] = (), **properties: Any) -> None:
        """Change a unit and announce it, first the type's properties and then the unit's, as systemd does."""
        self.units[name].update(properties)
        of_type = {k: v for k, v in properties.items() if k in _OF_TYPE}
        kind = type_interface(name)
        if kind is not None:
            self.changed(name, kind, of_type, invalidated)
        self.changed(name, UNIT, {k: v for k, v in properties.items() if k not in _OF_TYPE}, ())

    def changed(
        self, name: str, interface: str, properties: dict[str, Any], invalidated: tuple[str, ...] = ()
    ) -> None:
        """Send PropertiesChanged without changing anything."""
        self.signal(
            unit_path(name),
            PROPERTIES,
            "PropertiesChanged",
            "sa{sv}as",
            [interface, _variants(properties), list(invalidated)],
        )

    def say(self, member: str, signature: str, body: list[Any]) -> None:
        """Send a signal of the Manager interface."""
        self.signal(PATH, MANAGER, member, signature, body)

    def end_job(self, job: int, unit: str, result: str = "done") -> None:
        """Send JobRemoved."""
        self.say("JobRemoved", "uoss", [job, f"{PATH}/job/{job}", unit, result])

    def _answer(self, call: Message) -> Message | None:
        member, body = call.member or "", call.body
        if member in self.refuse:
            return failure(call, *self.refuse[member])
        match member:
            case "ListUnits":
                return Message.new_method_return(call, "a(ssssssouso)", [[self._row(n) for n in self.units]])
            case "ListUnitsByPatterns":
                wanted = {pattern.replace("\\\\", "\\") for pattern in body[1]}
                rows = [self._row(n) for n in self.units if n in wanted]
                return Message.new_method_return(call, "a(ssssssouso)", [rows])
            case "LoadUnit":
                return Message.new_method_return(call, "o", [unit_path(self.aliases.get(body[0], body[0]))])
            case "GetAll":
                return Message.new_method_return(
                    call, "a{sv}", [self._all(unit_name(call.path or ""), body[0])]
                )
            case "StartUnit" | "StopUnit" | "RestartUnit":
                self.next_job += 1
                if body[0] in self.before_reply:
                    self.end_job(self.next_job, body[0])
                return Message.new_method_return(call, "o", [f"{PATH}/job/{self.next_job}"])
            case "Subscribe" | "Reload" | "ResetFailedUnit":
                return Message.new_method_return(call)
        return failure(call, "org.freedesktop.DBus.Error.UnknownMethod", f"no {member} here")

    def _row(self, name: str) -> list[Any]:
        unit = self.units[name]
        job, path = unit["Job"]
        return [
            name,
            "description",
            unit["LoadState"],
            unit["ActiveState"],
            unit["SubState"],
            "",
            unit_path(name),
            job,
            "start" if job else "",
            path,
        ]

    def _all(self, name: str, interface: str) -> dict[str, Variant]:
        missing = {"Id": name, "LoadState": "not-found", "ActiveState": "inactive", "SubState": "dead"}
        unit = self.units.get(name, missing)
        return _variants({k: v for k, v in unit.items() if (k in _OF_TYPE) == (interface != UNIT)})


def _variants(properties: dict[str, Any]) -> dict[str, Variant]:
    return {name: Variant(_SIGNATURES[name], value) for name, value in properties.items()}
