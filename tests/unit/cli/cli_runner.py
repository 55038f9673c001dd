"""Runs `eventctl` in process against a fake daemon, and gives back what it printed and its exit code."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

from eventd.cli import entry, parser
from eventd.cli.terminal import Terminal
from tests.unit.cli.fake_daemon import NOW


class Tty(io.StringIO):
    """A terminal, at which somebody types or reads."""

    def isatty(self) -> bool:
        return True


class _Bytes(io.TextIOWrapper):
    """Text over bytes, like sys.stdout: `render --file` writes to the bytes."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8")

    def getvalue(self) -> str:
        self.flush()
        return self.raw_bytes.decode(errors="replace")

    @property
    def raw_bytes(self) -> bytes:
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue()


@dataclass
class Result:
    code: int
    out: str
    err: str
    raw: bytes = b""


def eventctl(*argv: str, tty: bool = False, colour: bool = False) -> Result:
    """Run one command at the time NOW."""
    arguments: Any = parser.parse(argv)
    out: Any = Tty() if tty else _Bytes()
    err = io.StringIO()
    terminal = Terminal(out=out, err=err, colour=colour, now=NOW)
    code = entry.run(arguments, terminal)
    return Result(code, out.getvalue(), err.getvalue(), b"" if tty else out.raw_bytes)
