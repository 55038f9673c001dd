"""Three streams of something that goes on for as long as somebody wants it: lines go in, lines come out.

Owns our ends of its input, output and errors, and cutting them into lines. What runs at the other ends, and how it is
ended, is for who inherits this: a process of ours (`line_process`) or a unit of its own (`line_unit`). It
understands no line: `eventd.gates.adapter_prober` and `eventd.platform.journal_follow` do. Nothing here blocks: who
does not read what it is sent is ended.
"""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum, auto

_CHUNK = 1 << 16
_KEPT_ERRORS = 4096
_MOST_LEFT = 1 << 20
"""Bytes that a pipe holds at most (pipe(7), pipe-max-size)."""


class LongLine(Enum):
    """What becomes of a line that is longer than it may be."""

    SKIP = auto()
    """It is left out: other people can make such lines."""
    END = auto()
    """The other side is ended: it does not do what it is for."""


class LineStreams(ABC):
    """For the loop's thread; `line` and `ended` must not block.

    `line(bytes)`: called for each line of output, without its newline. `ended(sentence)`: called once, when the other
    side has ended by itself, after its last line; not after `stop`. `limit`: bytes of a line.
    """

    def __init__(
        self,
        name: str,
        *,
        line: Callable[[bytes], None],
        ended: Callable[[str], None],
        limit: int,
        long: LongLine,
    ) -> None:
        self._name = name
        self._line = line
        self._ended: Callable[[str], None] | None = ended
        self._limit = limit
        self._long = long
        self._buffer = bytearray()
        self._skipping = False
        self._killed = False
        self._errors = bytearray()
        self._loop = asyncio.get_running_loop()
        self._input = self._output = self._error_output = -1

    @abstractmethod
    async def ready(self) -> None:
        """Return once it runs, or has ended, or would not start within its deadline."""

    @abstractmethod
    async def stop(self) -> None:
        """End it at once, and wait for that for at most five seconds. Nothing is called any more."""

    @abstractmethod
    def _kill(self) -> None:
        """Have it ended; `_over` is called when it has."""

    def send(self, line: bytes) -> None:
        """Write one line, with its newline; who has not read the earlier ones is ended."""
        if self._input < 0:
            return  # it has ended
        try:
            whole = os.write(self._input, line) == len(line)
        except BrokenPipeError:
            return  # it has ended, which is about to be told
        except BlockingIOError:
            whole = False
        if not whole:
            self.kill()

    def kill(self) -> None:
        """End it at once; `ended` is called as if it had ended by itself, `line` no more.

        What it wrote before can be tens of thousands of lines, each of which might ask for its end again.
        """
        self._killed = True
        self._kill()

    def _begin(self, own_input: int, own_output: int, own_errors: int) -> None:
        """Read and write these descriptors, which stay the caller's to close, after `_over`."""
        self._input, self._output, self._error_output = own_input, own_output, own_errors
        for descriptor in (self._input, self._output, self._error_output):
            os.set_blocking(descriptor, False)
        self._loop.add_reader(self._output, self._on_output)
        self._loop.add_reader(self._error_output, self._on_errors)

    def _over(self, how: str) -> None:
        """Take what is left in the streams, and tell the end. `how`: like "exited with 1"."""
        # Bounded: somebody else may have been given the other end, and be writing still.
        for _ in range(_MOST_LEFT // _CHUNK):
            if not self._on_output():
                break
        self._on_errors()
        for descriptor in (self._output, self._error_output):
            self._loop.remove_reader(descriptor)
        self._input = -1
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended(self._sentence(how))

    def _on_output(self) -> bool:
        """Read once; return whether there may be more."""
        try:
            chunk = os.read(self._output, _CHUNK)
        except BlockingIOError:
            return False
        if not chunk:
            self._loop.remove_reader(self._output)
            return False
        self._buffer += chunk
        *lines, rest = self._buffer.split(b"\n")
        for line in lines:
            if self._skipping or len(line) > self._limit:
                self._too_long()
                self._skipping = False
            elif self._ended is not None and not self._killed:
                self._line(bytes(line))
        self._buffer = bytearray(rest)
        if len(rest) > self._limit:
            self._too_long()
            self._skipping = True
        if self._skipping:
            self._buffer.clear()
        return True

    def _too_long(self) -> None:
        if self._long is LongLine.END:
            self._errors += b"\nit wrote a line that is too long"
            self._kill()

    def _on_errors(self) -> None:
        try:
            chunk = os.read(self._error_output, _CHUNK)
        except BlockingIOError:
            return
        if not chunk:
            self._loop.remove_reader(self._error_output)
        self._errors += chunk
        del self._errors[:-_KEPT_ERRORS]

    def _sentence(self, how: str) -> str:
        said = bytes(self._errors).decode("utf-8", "replace").strip().rpartition("\n")[2][-500:]
        said = "".join(c if c.isprintable() else "?" for c in said)
        return f"{self._name} {how}" + (f": {said}" if said else "")
