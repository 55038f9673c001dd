"""A TOML table with the lines of its keys, read key by key with a diagnostic for each mistake.

Pure. Shared by the readers of `workload.toml`, `hosts/<hostname>.toml` and `storage.toml`.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eventd.kernel.model.diagnostics import Diagnostic, Severity
from eventd.kernel.model.located import Located
from eventd.kernel.model.names import did_you_mean
from eventd.kernel.model.toml_lines import Path, locate

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST = 256 * 1024
"""Most bytes of a document."""
_DEEP = re.compile(r"""(?<![\w"'-])(?:[\w"'-]+[ \t]*\.[ \t]*){16}""")
"""A key of so many parts that tomllib would use up the memory: 64 KiB of `a.a.a` took 4 GB."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a document, with the lines of its keys."""

    file: str
    data: Mapping[str, Any]
    lines: Mapping[Path, int]
    path: Path = ()

    def line(self, *keys: str | int) -> int:
        """Return the line of a key; 0 if it is missing."""
        return self.lines.get((*self.path, *keys), 0)

    def error(self, code: str, message: str, *keys: str, hint: str = "") -> Diagnostic:
        """Return an error about a key, at its line."""
        dotted = ".".join(str(part) for part in (*self.path, *keys))
        return Diagnostic(Severity.ERROR, self.file, self.line(*keys), dotted, message, hint, code)

    def below(self, key: str) -> Table:
        """Return the table under a key."""
        return Table(self.file, self.data[key], self.lines, (*self.path, key))


def load_table(content: bytes, file: str) -> Table | Diagnostic:
    """Parse a document, or return why that fails."""
    if len(content) > MOST:
        return _refused(file, 0, f"it has more than {MOST >> 10} KiB")
    try:
        text = content.decode().replace("\r\n", "\n")
        if (deep := _DEEP.search(text)) is not None:
            return _refused(file, text.count("\n", 0, deep.start()) + 1, "a key has more than 16 parts")
        return Table(file, tomllib.loads(text), locate(text))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Diagnostic(Severity.ERROR, file, line, "", "the line is not UTF-8", "", "not-utf-8")
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\s*\(at line (\d+), column \d+\)$", str(error))
        message = str(error)[: place.start()] if place else str(error).removesuffix(" (at end of document)")
        line = int(place[1]) if place else content.count(b"\n") + 1
        return _refused(file, line, message)
    except RecursionError:
        return _refused(file, 0, "it is nested too deeply")


def _refused(file: str, line: int, why: str) -> Diagnostic:
    return Diagnostic(Severity.ERROR, file, line, "", f"not TOML: {why}", "", "bad-toml")


def unknown(
    table: Table, known: tuple[str, ...], elsewhere: Mapping[str, str] | None = None
) -> list[Diagnostic]:
    """Return an error for each key that is not in `known`. `elsewhere`: hints for keys of other tables."""
    hints = elsewhere or {}
    return [
        table.error(
            "unknown-option",
            f"{key} is not an option here",
            key,
            hint=hints.get(key) or did_you_mean(key, known),
        )
        for key in table.data
        if key not in known
    ]


def subtable(table: Table, key: str, found: list[Diagnostic]) -> Table | None:
    """Return the table under a key; None if it is missing or not a table (then an error is added to `found`)."""
    if key not in table.data:
        return None
    if not isinstance(table.data[key], dict):
        found.append(table.error("wrong-type", f"{key} must be a table", key))
        return None
    return table.below(key)


def text_of(table: Table, key: str, found: list[Diagnostic]) -> Located | None:
    """Return a text and its place; None if it is missing or not a text."""
    if key not in table.data:
        return None
    value = table.data[key]
    if not isinstance(value, str):
        found.append(table.error("wrong-type", f"{key} must be a text in quotes", key))
        return None
    return Located(value, table.file, table.line(key))


def texts(table: Table, key: str, found: list[Diagnostic]) -> tuple[Located, ...] | None:
    """Return a list of texts; one text alone is a list of one."""
    if key not in table.data:
        return None
    value = table.data[key]
    if isinstance(value, str):
        return (Located(value, table.file, table.line(key)),)
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        found.append(table.error("wrong-type", f"{key} must be a list of texts in quotes", key))
        return None
    return tuple(Located(each, table.file, table.line(key, index)) for index, each in enumerate(value))


def choice(table: Table, key: str, choices: tuple[str, ...], found: list[Diagnostic]) -> str | None:
    """Return a text that is one of `choices`; None if it is missing or another one."""
    text = text_of(table, key, found)
    if text is None or text.text in choices:
        return text.text if text else None
    hint = did_you_mean(text.text, choices)
    found.append(table.error("bad-value", f"{key} cannot be {text.text!r}", key, hint=hint))
    return None
