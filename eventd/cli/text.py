"""Text for people, as pure functions: sanitising, widths, relative times, tables.

Nothing here writes; `eventd.cli.terminal` does. Everything that comes from the daemon, the repository or the journal
passes `clean` or `clean_lines` before it is printed: a container may log any bytes it likes, and an escape sequence
among them must not reach the terminal of the person who reads its status.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# CSI, then OSC/DCS/SOS/PM/APC up to their terminator, then two-byte escapes (ECMA-48, ISO 2022). Well-formed
# sequences are removed, because colours in log lines are common and harmless. Any other control character is
# shown, because it is neither.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-Z\\^-~]"
)
# C0 except tab and newline, DEL, C1, characters that reorder text (they can disguise a line), line and paragraph
# separators, lone surrogates.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def clean_lines(value: object) -> str:
    """Return text that is safe to print; it may have several lines."""
    text = str(value).replace("\r\n", "\n")
    if text.isascii() and text.isprintable():
        return text
    return _CONTROL.sub(_visible, _SEQUENCE.sub("", text))


def clean(value: object) -> str:
    """Return text that is safe to print on one line."""
    return clean_lines(value).expandtabs(8).replace("\n", " ").rstrip()


def width(text: str) -> int:
    """Return how many columns `text` takes (wide East Asian characters: two; combining ones: none)."""
    if text.isascii():
        return len(text)
    total = 0
    for char in text:
        if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
            continue
        total += 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1
    return total


def cut(text: str, columns: int) -> str:
    """Return `text`, truncated with `…` if it takes more than `columns`."""
    if width(text) <= columns:
        return text
    kept = ""
    for char in text:
        if width(kept + char) > columns - 1:
            break
        kept += char
    return kept + "…" if columns > 0 else ""


def duration(seconds: float) -> str:
    """Return a duration in the unit a person would use: `40 ms`, `3.2 s`, `5 min`, `2 h 10 min`."""
    if seconds < 0.9995:
        return f"{max(0.0, seconds) * 1000:.0f} ms"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(minutes / 60), 24)
    return f"{days} d {hours} h" if hours and days < 10 else f"{days} d"


def size_text(size: object) -> str:
    """Return a number of bytes for people: `1.5 GiB`."""
    value = float(size) if isinstance(size, int | float) else 0.0
    for unit in _UNITS:
        if value < 1024 or unit == _UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    return ""


def ago(then: object, now: float) -> str:
    """Return when `then` (seconds since the epoch) was, seen from `now`: `2 min ago`, `in 30 s`, or empty."""
    if not isinstance(then, int | float) or then <= 0:
        return ""
    passed = now - then
    if abs(passed) < 1:
        return "just now"
    # Whole seconds: "3.2 s ago" is out of date before it is read.
    said = f"{abs(passed):.0f} s" if abs(passed) < 59.5 else duration(abs(passed))
    return f"{said} ago" if passed > 0 else f"in {said}"


def lasting(then: object, now: float) -> str:
    """Return how long something has lasted: `for 2 min`, `since just now`, or empty."""
    said = ago(then, now)
    return f"for {said.removesuffix(' ago')}" if said.endswith(" ago") else said and f"since {said}"


def short(commit: object) -> str:
    """Return an abbreviated commit id."""
    text = clean(commit or "")
    return text[:10] if re.fullmatch("[0-9a-f]{40,64}", text) else text


def count(number: int, one: str, many: str = "") -> str:
    """Return `1 error`, `2 errors`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, columns: int | None) -> list[list[str]]:
    """Return header and rows with cells padded to aligned columns, two spaces apart.

    Columns that are empty in every row are left out. With `columns`, the last one is truncated so that a line fits.
    Cells are returned separately, so that the caller can colour one after its width is known.
    """
    cells = [list(row) for row in rows]
    kept = [i for i in range(len(header)) if any(row[i] for row in cells)]
    lines = [[header[i] for i in kept], *([row[i] for i in kept] for row in cells)]
    widths = [max(width(line[i]) for line in lines) for i in range(len(kept))]
    result: list[list[str]] = []
    for line in lines:
        padded = [
            cell + " " * (wide - width(cell) + 2) for cell, wide in zip(line[:-1], widths, strict=False)
        ]
        if line:
            last = line[-1]
            if columns is not None:
                last = cut(last, max(8, columns - sum(wide + 2 for wide in widths[:-1])))
            padded.append(last)
        result.append(padded)
    return result


def wrap(text: str, indent: str, *, columns: int | None) -> list[str]:
    """Return `text` in lines of at most `columns`, each after `indent`; longer words are not broken."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        if columns is None:
            lines.append(indent + paragraph)
            continue
        line = ""
        for word in paragraph.split(" "):
            if line and width(indent) + width(line) + 1 + width(word) > columns:
                lines.append(indent + line)
                line = word
            else:
                line = f"{line} {word}" if line else word
        lines.append(indent + line)
    return lines
