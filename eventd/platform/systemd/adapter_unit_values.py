"""Converts the values of org.freedesktop.systemd1: names and object paths, states, lists of units.

Owns which properties make a `UnitState`, and which values each may have. A program of the user may answer on a user's
bus, so a value of a wrong type or size is a BadReplyError. Pure; `adapter_systemd1` has the calls.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from eventd.kernel.model.names import loaded_unit_is_valid
from eventd.kernel.model.text import printable
from eventd.platform.dbus.errors import BadReplyError
from eventd.platform.model_facts import ActiveState, LoadState, UnitState

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
_TYPES_WITH_RESULT = frozenset({"service", "socket", "timer", "path", "mount", "automount", "swap", "scope"})
UNITS = "a(ssssssouso)"
"""The signature of a list of units."""
SIGNALS = {"UnitNew": "so", "UnitRemoved": "so", "JobNew": "uos", "JobRemoved": "uoss", "Reloading": "b"}
"""The manager's signals that have handlers, with their signatures."""
Properties: TypeAlias = Mapping[str, Any]


def unit_path(name: str) -> str:
    """Return the object path of a unit: all but ASCII letters and digits as `_xx` (sd_bus_path_encode(3))."""
    escaped = "".join(
        char
        if char.isascii() and char.isalnum() and not (i == 0 and char.isdigit())
        else "".join(f"_{byte:02x}" for byte in char.encode())
        for i, char in enumerate(name)
    )
    return _UNITS + (escaped or "_")


def unit_name(path: str) -> str:
    """Return the name of the unit at an object path; empty if the path is not a unit's."""
    if not path.startswith(_UNITS):
        return ""
    return unit_of(_ESCAPED.sub(lambda match: chr(int(match[1], 16)), path[len(_UNITS) :]))


def unit_of(value: str) -> str:
    """Return a valid unit name. Raises BadReplyError if it is not: names go into facts, events and messages."""
    if not loaded_unit_is_valid(value):
        raise BadReplyError(f"an invalid unit name, {printable(value, 64)!r}")
    return value


def word_of(value: Any) -> str:
    """Return one of systemd's words for states and results. Raises BadReplyError if the value cannot be one."""
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise BadReplyError(f"an unknown value, {printable(str(value)[:64], 64)!r}")
    return value


def _path(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_PATH or "\0" in value:
        raise BadReplyError("an invalid path of a unit file")
    return value


def _paths(value: Any) -> tuple[str, ...]:
    paths = tuple(map(_path, value)) if isinstance(value, list) else None
    if paths is None or len(paths) > _MOST_PATHS or sum(map(len, paths)) > _MOST_PATHS * 256:
        raise BadReplyError(f"more than {_MOST_PATHS} drop-ins of a unit, or too long paths")
    return paths


def _number(value: Any) -> int:
    if not isinstance(value, int):
        raise BadReplyError("an invalid number")
    return int(value)


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadReplyError("an invalid boolean")
    return value


def _job(value: Any) -> int:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise BadReplyError("an invalid job")
    return _number(value[0])


def _status_text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadReplyError("an invalid string")
    return printable(" ".join(value[: _STATUS_LENGTH * 4].split())[:_STATUS_LENGTH])


def type_interface(name: str) -> str | None:
    """Return the interface of the unit's type, with `Result` and the like; None for a type without one."""
    suffix = name.rpartition(".")[2]
    return f"{SYSTEMD}.{suffix.capitalize()}" if suffix in _TYPES_WITH_RESULT else None


def _active(value: Any) -> ActiveState:
    try:
        return ActiveState(word_of(value))
    except ValueError:
        return ActiveState.MAINTENANCE  # a state of a newer systemd: neither up nor down


def _load(value: Any) -> LoadState:
    try:
        return LoadState(word_of(value))
    except ValueError:
        return LoadState.ERROR


def _invocation(value: Any) -> str:
    if not isinstance(value, bytes | bytearray | list) or len(value) > 16:
        raise BadReplyError("an invalid invocation id")
    text = bytes(value).hex()
    return text if text.strip("0") else ""


def moment(properties: Properties, name: str) -> float | None:
    """Return a timestamp in seconds; None for never. systemd has microseconds, and 0 for never."""
    value = int(properties.get(name, 0))
    return value / 1e6 if value else None


_STATUS_LENGTH = 300
"""How many characters of a status text are kept. A service may send any number."""
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
    "StatusText": ("status_text", _status_text),
}
FIELDS = frozenset(_FIELDS) - {"StatusText"}
"""The properties whose change is a change of a `UnitState`."""


def known(properties: Properties) -> Properties:
    """Return the properties that a `UnitState` has fields for. No others are kept."""
    return {name: properties[name] for name in _FIELDS if name in properties}


def fold(state: UnitState, properties: Properties) -> UnitState:
    """Return the state, updated with the properties that it has fields for.

    Raises BadReplyError for a value of a wrong type or size.
    """
    changes = {
        field: convert(properties[name]) for name, (field, convert) in _FIELDS.items() if name in properties
    }
    return replace(state, **changes) if changes else state


@dataclass(frozen=True, slots=True)
class ListedUnit:
    """A row of ListUnits, which lists every loaded unit."""

    name: str
    load: LoadState
    active: ActiveState
    sub: str
    job: int

    @classmethod
    def of(cls, row: Sequence[Any]) -> ListedUnit:
        """Make one from a row `(ssssssouso)`."""
        return cls(unit_of(row[0]), _load(row[2]), _active(row[3]), word_of(row[4]), int(row[7]))


def listed(body: Sequence[Any]) -> list[ListedUnit]:
    """Return the rows of a reply with the signature `UNITS`."""
    return [ListedUnit.of(row) for row in body[0]]
