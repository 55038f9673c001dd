"""Parses `waits.toml`: what the scripts of a folder of units wait for. Every error has a file and a line.

Pure. The file is beside the units that `eventctl gates --units` reads; docs/how-to/gates.md shows one.
Next: `eventd.waits.model_build`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from eventd.gates.model_predicate_parse import parse
from eventd.gates.model_predicates import Predicate
from eventd.kernel.model.diagnostics import Diagnostic, Severity
from eventd.kernel.model.located import Located
from eventd.kernel.model.names import did_you_mean
from eventd.kernel.model.toml_lines import locate

NAME = "waits.toml"
KEYS = ("unit", "for", "served_by", "stage", "before_serving")
NOTHING = "waits_for_nothing"
"""A key at the top of the file: units whose start scripts are known to wait for nothing."""


class Stage(StrEnum):
    """The command of a unit that waits."""

    PRE = "pre"
    """`ExecStartPre=`: before anything else of the unit."""
    MAIN = "main"
    """`ExecStart=`: holds the start job if `Type=` is oneshot, notify, forking or dbus."""
    POST = "post"
    """`ExecStartPost=`."""


@dataclass(frozen=True, slots=True)
class Wait:
    """One `[[wait]]`."""

    unit: Located
    predicate: Predicate
    place: Located
    """The predicate as written."""
    served_by: tuple[Located, ...] = ()
    """The servers; if there are several, one of them is enough."""
    stage: Stage | None = None
    """None if it is not set."""
    before_serving: bool = False
    """Whether it waits before it can answer. A health check at the end of a start waits after that."""


def parse_waits(content: bytes, file: str = NAME) -> tuple[tuple[Wait, ...], tuple[Diagnostic, ...]]:
    """Parse a `waits.toml`. A `[[wait]]` with a mistake is left out."""
    try:
        text = content.decode().replace("\r\n", "\n")
        data, lines = tomllib.loads(text), locate(text)
    except UnicodeDecodeError:
        return (), (Diagnostic(Severity.ERROR, file, 0, "", "the file is not UTF-8", "", "not-utf-8"),)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\s*\(at line (\d+), column \d+\)$", str(error))
        message = f"not valid TOML: {str(error)[: place.start()] if place else error}"
        line = int(place[1]) if place else 0
        return (), (Diagnostic(Severity.ERROR, file, line, "", message, "", "bad-toml"),)
    reader = _Reader(file, lines)
    for key in data:
        if key not in ("wait", NOTHING):
            reader.error((key,), f"unknown key {key}", did_you_mean(key, ("wait", NOTHING)) or "[[wait]]")
    reader.texts(data, (), NOTHING, several=True)
    tables = data.get("wait", [])
    if not isinstance(tables, list):
        reader.error(("wait",), "wait must be a list of tables", "write [[wait]]")
        tables = []
    found = [reader.wait(number, table) for number, table in enumerate(tables)]
    return tuple(wait for wait in found if wait is not None), tuple(reader.findings)


def parse_nothing(content: bytes, file: str = NAME) -> tuple[Located, ...]:
    """Return the units that a `waits.toml` declares to wait for nothing; `parse_waits` reports the errors."""
    try:
        text = content.decode().replace("\r\n", "\n")
        return _Reader(file, locate(text)).texts(tomllib.loads(text), (), NOTHING, several=True)
    except ValueError:  # not UTF-8, or not TOML
        return ()


class _Reader:
    """Reads the tables of one file."""

    def __init__(self, file: str, lines: Mapping[tuple[str | int, ...], int]) -> None:
        self.file = file
        self.lines = lines
        self.findings: list[Diagnostic] = []

    def error(self, path: tuple[str | int, ...], message: str, hint: str = "") -> None:
        line = next((self.lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self.lines), 0)
        key = ".".join(str(part) for part in path)
        self.findings.append(Diagnostic(Severity.ERROR, self.file, line, key, message, hint, "bad-wait"))

    def wait(self, number: int, table: Any) -> Wait | None:
        at = ("wait", number)
        before = len(self.findings)
        if not isinstance(table, dict):
            self.error(at, "wait must be a table", "write [[wait]]")
            return None
        for key in table:
            if key not in KEYS:
                self.error((*at, key), f"unknown key {key}", did_you_mean(key, KEYS))
        (unit, *_) = self.texts(table, at, "unit") or (None,)
        (wanted, *_) = self.texts(table, at, "for") or (None,)
        for key, value in (("unit", unit), ("for", wanted)):
            if value is None and key not in table:
                self.error(at, f"{key} is missing", f'write {key} = "…"')
        served_by = self.texts(table, at, "served_by", several=True)
        stage: Stage | None = None
        if "stage" in table:
            if table["stage"] in tuple(Stage):
                stage = Stage(table["stage"])
            else:
                hint = did_you_mean(str(table["stage"]), tuple(Stage))
                self.error((*at, "stage"), f"stage cannot be {table['stage']!r}", hint)
        before_serving = table.get("before_serving", False)
        if not isinstance(before_serving, bool):
            self.error((*at, "before_serving"), "before_serving must be true or false")
            before_serving = False
        predicate = parse(wanted, key=f"wait.{number}.for") if wanted else None
        if isinstance(predicate, Diagnostic):
            self.findings.append(predicate)
        if len(self.findings) > before or unit is None or wanted is None or predicate is None:
            return None
        assert not isinstance(predicate, Diagnostic)
        return Wait(unit, predicate, wanted, served_by, stage, before_serving)

    def texts(
        self, table: Mapping[str, Any], at: tuple[str | int, ...], key: str, *, several: bool = False
    ) -> tuple[Located, ...]:
        if key not in table:
            return ()
        value = table[key]
        path = (*at, key)
        if isinstance(value, str) and value:
            return (Located(value, self.file, self.lines.get(path, 0)),)
        if several and isinstance(value, list) and all(isinstance(each, str) and each for each in value):
            return tuple(
                Located(each, self.file, self.lines.get((*path, number), self.lines.get(path, 0)))
                for number, each in enumerate(value)
            )
        self.error(path, f"{key} must be a text in quotes" + (", or a list of them" if several else ""))
        return ()


def check_names(
    waits: Iterable[Wait], units: Iterable[str], nothing: Iterable[Located] = ()
) -> tuple[Diagnostic, ...]:
    """Return an error for each unit in the file that does not exist."""
    known = set(units)
    found: list[Diagnostic] = []
    places = [(place, NOTHING) for place in nothing]
    for wait in waits:
        places += [(wait.unit, "unit"), *((each, "served_by") for each in wait.served_by)]
    for place, key in places:
        if place.text not in known:
            message = f"there is no unit {place.text} here"
            hint = did_you_mean(place.text, known) if known else ""
            found.append(
                Diagnostic(Severity.ERROR, place.file, place.line, key, message, hint, "unknown-unit")
            )
    return tuple(found)
