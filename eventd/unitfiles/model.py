"""Unit files, parsed without losing a byte: the syntax of systemd.syntax(7) as systemd *and* podman read it.

Owns the text: lines, sections, keys, continuations, and the origin of each. Does not know what a key means
(`eventd.unitfiles.model_quadlet`) and never writes. Syntax errors become diagnostics, but the lines are kept, so
`render` always returns what was parsed. Next: `eventd.unitfiles.model_transforms`.

Text that the two read differently is refused, because each file goes through both:

- a blank line inside a continuation ends the value for systemd, and is skipped by podman's parser;
- a line that ends with two backslashes is continued for podman, and not for systemd;
- a byte order mark is skipped by systemd, and part of the first line for podman.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from eventd.kernel.model.diagnostics import Diagnostic, Severity

WHITESPACE = " \t\r\n"
"""The characters that systemd strips; `str.strip()` would also strip a no-break space."""
_KEY = re.compile(r"[^\s=\[\]]+")
_SECTION = re.compile(r"\[([^\[\]\x00-\x1f\x7f]+)\]")
_BOM = "\ufeff"


class LineKind(StrEnum):
    """Kinds of logical lines."""

    BLANK = "blank"
    COMMENT = "comment"
    SECTION = "section"
    ENTRY = "entry"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Line:
    """A logical line: one physical line, or several joined by continuations."""

    kind: LineKind
    raw: str
    """The exact text, including line ends."""
    file: str
    """The file it was written in; after a transform, the lines of one file come from two."""
    number: int
    """The number of its first physical line, from 1."""
    section: str = ""
    """The section that it is in, or that it opens."""
    key: str = ""
    value: str = ""
    """The value, with continuations joined by a space, without comments inside them, stripped."""

    @property
    def where(self) -> str:
        """`Section/Key`, for diagnostics."""
        return f"{self.section}/{self.key}" if self.key else self.section

    def error(self, code: str, message: str, hint: str = "") -> Diagnostic:
        """Return an error about this line."""
        return Diagnostic(Severity.ERROR, self.file, self.number, self.where, message, hint, code)

    def warning(self, code: str, message: str, hint: str = "") -> Diagnostic:
        """Return a warning about this line."""
        return Diagnostic(Severity.WARNING, self.file, self.number, self.where, message, hint, code)


@dataclass(frozen=True, slots=True)
class UnitFile:
    """The lines of a unit file in order, and its syntax errors."""

    file: str
    """Its path, for diagnostics about the file as a whole."""
    lines: tuple[Line, ...]
    diagnostics: tuple[Diagnostic, ...] = ()

    def render(self) -> bytes:
        """Return the text. If nothing was changed, it is identical to what was parsed."""
        return "".join(line.raw for line in self.lines).encode("utf-8", "surrogateescape")

    @property
    def sections(self) -> tuple[str, ...]:
        """Names of the sections, each once, in the order of their first header."""
        return tuple(dict.fromkeys(line.section for line in self.lines if line.kind is LineKind.SECTION))

    def entries(self, section: str | None = None, key: str | None = None) -> tuple[Line, ...]:
        """Return the assignments in file order, including empty ones. Sections of the same name are merged."""
        return tuple(
            line
            for line in self.lines
            if line.kind is LineKind.ENTRY
            and (section is None or line.section == section)
            and (key is None or line.key == key)
        )

    def has(self, section: str, key: str) -> bool:
        """Return whether the key is assigned at all, even if empty."""
        return any(True for _ in self.entries(section, key))

    def header(self, section: str) -> Line | None:
        """Return the first header of the section."""
        for line in self.lines:
            if line.kind is LineKind.SECTION and line.section == section:
                return line
        return None

    def values(self, section: str, key: str) -> tuple[Line, ...]:
        """Return the effective values of a list key: the assignments after the last empty one."""
        found: list[Line] = []
        for line in self.entries(section, key):
            if line.value:
                found.append(line)
            else:
                found.clear()
        return tuple(found)

    def last(self, section: str, key: str) -> Line | None:
        """Return the effective value of a single-valued key: its last assignment; None if missing or empty."""
        found = self.entries(section, key)
        return found[-1] if found and found[-1].value else None

    def value(self, section: str, key: str) -> str:
        """Return the text of `last`, or the empty string."""
        line = self.last(section, key)
        return line.value if line else ""

    def words(self, section: str, key: str) -> tuple[tuple[str, Line], ...]:
        """Return the effective words of a key such as `After=`, which takes names separated by spaces."""
        return tuple((word, line) for line in self.values(section, key) for word in line.value.split())

    def truth(self, section: str, key: str) -> bool | None:
        """Return a boolean key as systemd.syntax(7) reads it; None if missing or not a boolean."""
        match self.value(section, key).lower():
            case "1" | "yes" | "y" | "true" | "t" | "on":
                return True
            case "0" | "no" | "n" | "false" | "f" | "off":
                return False
            case _:
                return None


def merged(base: UnitFile, *others: UnitFile) -> UnitFile:
    """Return `base` followed by drop-ins in the given order: for lookups, not for rendering."""
    lines = [*base.lines]
    diagnostics = [*base.diagnostics]
    for other in others:
        lines.extend(other.lines)
        diagnostics.extend(other.diagnostics)
    return UnitFile(base.file, tuple(lines), tuple(diagnostics))


def parse(content: bytes, file: str) -> UnitFile:
    """Parse a unit file. Never raises: see `UnitFile.diagnostics`."""
    text = content.decode("utf-8", "surrogateescape")
    physical = re.findall(r"[^\n]*\n|[^\n]+\Z", text)
    found = _check_bytes(physical, file)
    lines: list[Line] = []
    section = ""
    index = 0
    while index < len(physical):
        start = index
        pieces = [physical[index]]
        joined, goes_on = _strip_backslash(physical[index])
        index += 1
        while goes_on:
            if index == len(physical):
                found.append(
                    _error(file, start + 1, "unfinished-continuation", "the last line ends with a backslash")
                )
                break
            piece = physical[index]
            index += 1
            pieces.append(piece)
            bare = piece.strip(WHITESPACE)
            if bare.startswith(("#", ";")):
                continue
            if not bare:
                found.append(
                    _error(
                        file,
                        index,
                        "blank-in-continuation",
                        "a blank line inside a continued value ends it for systemd, but not for podman",
                        "remove the blank line, or the backslash before it",
                    )
                )
                break
            piece, goes_on = _strip_backslash(piece)
            joined += piece.lstrip(WHITESPACE)
        line = _classify("".join(pieces), joined.strip(WHITESPACE), file, start + 1, section)
        section = line.section
        if line.kind is LineKind.INVALID:
            found.append(_invalid(line, joined.strip(WHITESPACE)))
        elif line.kind is LineKind.ENTRY and not section:
            found.append(_error(file, start + 1, "no-section", f"{line.key}= is before the first [Section]"))
        if line.kind is not LineKind.COMMENT and any(_even_backslashes(piece) for piece in pieces):
            found.append(
                _error(
                    file,
                    start + 1,
                    "double-backslash",
                    "a line that ends with two backslashes is continued for podman, but not for systemd",
                    "write text after them, or use a single backslash for a continuation",
                )
            )
        lines.append(line)
    return UnitFile(file, tuple(lines), tuple(sorted(found, key=lambda d: d.line)))


def _error(file: str, line: int, code: str, message: str, hint: str = "") -> Diagnostic:
    return Diagnostic(Severity.ERROR, file, line, "", message, hint, code)


def _check_bytes(physical: list[str], file: str) -> list[Diagnostic]:
    """Find bytes that systemd or podman cannot handle; each kind once, at its first line."""
    checks = (
        ("byte-order-mark", "begins with a byte order mark", "save it as UTF-8 without one", _BOM),
        ("crlf", "has Windows line endings (CR LF)", "save it with LF line endings", "\r"),
        ("nul-byte", "contains a NUL byte", "remove it", "\0"),
    )
    found = [
        _error(file, number, code, f"the file {message}", hint)
        for code, message, hint, mark in checks
        for number in [next((n for n, line in enumerate(physical, 1) if mark in line), 0)]
        if number and (mark != _BOM or physical[0].startswith(_BOM))
    ]
    for number, line in enumerate(physical, 1):
        if any("\ud800" <= char <= "\udfff" for char in line):
            found.append(_error(file, number, "not-utf-8", "the line is not UTF-8", "save the file as UTF-8"))
            break
    return found


def _strip_backslash(physical: str) -> tuple[str, bool]:
    """Return the text with a trailing continuation backslash replaced by a space, and whether there was one."""
    bare = physical.strip(WHITESPACE)
    if not bare or bare[0] in "#;" or not bare.endswith("\\") or _even_backslashes(physical):
        return physical.rstrip(WHITESPACE), False
    return bare[:-1] + " ", True


def _even_backslashes(physical: str) -> bool:
    bare = physical.rstrip(WHITESPACE)
    count = len(bare) - len(bare.rstrip("\\"))
    return count > 0 and count % 2 == 0


def _classify(raw: str, text: str, file: str, number: int, section: str) -> Line:
    text = text.removeprefix(_BOM)
    if not text:
        return Line(LineKind.BLANK, raw, file, number, section)
    if text[0] in "#;":
        return Line(LineKind.COMMENT, raw, file, number, section)
    if header := _SECTION.fullmatch(text):
        return Line(LineKind.SECTION, raw, file, number, header[1])
    key, equals, value = text.partition("=")
    key = key.rstrip(WHITESPACE)
    if not equals or not _KEY.fullmatch(key):
        return Line(LineKind.INVALID, raw, file, number, section)
    return Line(LineKind.ENTRY, raw, file, number, section, key, value.strip(WHITESPACE))


def _invalid(line: Line, text: str) -> Diagnostic:
    if text.startswith("["):
        return line.error("invalid-section", "the section header does not have the form [Name]")
    if "=" in text:
        return line.error("invalid-key", "there is no valid key before the equals sign")
    hint = "to continue a value, end the previous line with a backslash" if line.section else ""
    return line.error("invalid-line", "the line is not Key=Value, [Section] or a comment", hint)
