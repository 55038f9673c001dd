"""The terminal: its size, colours, and lines that are rewritten in place.

It owns stdout and stderr of `eventctl`. Colour is for a terminal only (and never with NO_COLOR, TERM=dumb
or `--no-color`); a pipe gets the same words, untruncated. Text is sanitised before it comes here
(`eventd.cli.text`).
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from eventd.cli.text import cut, table, wrap

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_CODES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
}
STATE_COLOURS = {
    "converged": "green",
    "ok": "green",
    "unchanged": "green",
    "running": "cyan",
    "applying": "cyan",
    "verifying": "cyan",
    "converging": "cyan",
    "starting": "cyan",
    "stopping": "cyan",
    "pending": "cyan",
    "held": "yellow",
    "at-risk": "yellow",
    "interrupted": "yellow",
    "superseded": "yellow",
    "degraded": "red",
    "failed": "red",
    "refused": "red",
    "removed": "dim",
}


class Terminal:
    """The output. `columns` is None where lines are not truncated or wrapped."""

    def __init__(
        self,
        *,
        out: TextIO | None = None,
        err: TextIO | None = None,
        colour: bool | None = None,
        now: float | None = None,
    ) -> None:
        self.out = out or sys.stdout
        self.err = err or sys.stderr
        self.live = self.out.isatty()
        plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
        self.colour = self.live and not plain if colour is None else colour
        self._now = now

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time() if self._now is None else self._now

    @property
    def columns(self) -> int | None:
        """Columns of the terminal ($COLUMNS, else its own size); None for a pipe."""
        return self._size()[0] if self.live else None

    @property
    def rows(self) -> int:
        """Rows of the terminal."""
        return self._size()[1]

    def _size(self) -> tuple[int, int]:
        try:
            size = os.get_terminal_size(self.out.fileno())
        except (
            OSError,
            ValueError,
        ):  # not a terminal, or a file object without a descriptor: the VT100's size
            size = os.terminal_size((80, 24))
        said = os.environ.get("COLUMNS", "")
        return int(said) if said.isdecimal() and int(said) else size.columns or 80, size.lines or 24

    def paint(self, text: str, *styles: str) -> str:
        """Return `text` in colours if there are any."""
        codes = ";".join(_CODES[style] for style in styles if style)
        return f"\x1b[{codes}m{text}\x1b[0m" if self.colour and codes and text else text

    def state(self, name: str, padded: str = "") -> str:
        """Return the name of a state in its colour; `padded` is its table cell."""
        return self.paint(padded or name, STATE_COLOURS.get(name, ""))

    def line(self, text: str = "") -> None:
        """Write one line."""
        self.out.write(text + "\n")

    def lines(self, lines: Iterable[str]) -> None:
        """Write lines."""
        for text in lines:
            self.line(text)

    def paragraph(self, text: str, indent: str = "", *, style: str = "") -> None:
        """Write text wrapped to the terminal's width."""
        for text_line in wrap(text, indent, columns=self.columns):
            self.line(self.paint(text_line, style))

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]], *, indent: str = "") -> None:
        """Write a table; a cell that is the name of a state gets its colour."""
        if not rows:
            return
        columns = self.columns
        head, *body = table(header, rows, columns=None if columns is None else columns - len(indent))
        self.line(indent + self.paint("".join(head).rstrip(), "bold"))
        for cells in body:
            text = (
                "".join(self.state(cell.rstrip(), cell) for cell in cells) if self.colour else "".join(cells)
            )
            self.line(indent + text.rstrip())

    def json(self, value: Any) -> None:
        """Write a value as JSON in ASCII: the escapes of JSON leave no control character in it."""
        self.line(json.dumps(value, indent=2))

    def ndjson(self, value: Any) -> None:
        """Write a value as one line of JSON, and flush it."""
        self.line(json.dumps(value))
        self.out.flush()

    def notice(self, text: str) -> None:
        """Write a message on stderr."""
        self.out.flush()
        self.err.write(text + "\n")
        self.err.flush()

    def can_ask(self, *, as_json: bool) -> bool:
        """Return whether a question can be asked; print what to do if not: a script passes --yes."""
        if as_json or not (sys.stdin.isatty() and self.live):
            self.notice("eventctl: standard input is not a terminal; pass --yes")
            return False
        return True


class Block:
    """Lines at the bottom of a terminal that are rewritten in place (ECMA-48: CUU, EL, ED)."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._height = 0

    def show(self, lines: Sequence[tuple[str, str]]) -> None:
        """Replace what was shown by (state, text) lines, cut to the width: wrapped lines would spoil the count."""
        terminal = self._terminal
        columns = (terminal.columns or 80) - 1
        out = terminal.out
        if self._height:
            out.write(f"\x1b[{self._height}A\r")
        for state, text in lines:
            out.write(terminal.state(state, cut(text, columns)) + "\x1b[K\n")
        out.write("\x1b[J")
        out.flush()
        self._height = len(lines)
