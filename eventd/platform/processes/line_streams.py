"""The three streams of a long-running command that reads and writes lines.

Owns our ends of its input, output and errors, and splits the output into lines. A subclass says what runs at the other
ends and how it is ended: a child process (`line_process`) or a transient unit (`line_unit`). The lines are parsed by
`eventd.gates.adapter_prober` and `eventd.platform.journal_follow`. Nothing here blocks: a command that does not read
its input is killed.
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
"""The most bytes that a pipe holds (pipe(7), pipe-max-size)."""


class LongLine(Enum):
    """What to do about a line that is longer than the limit."""

    SKIP = auto()
    """Skip it: others can cause such lines."""
    END = auto()
    """Kill the command: it misbehaves."""


class LineStreams(ABC):
    """The streams of one command. Use from the loop's thread; `line` and `ended` must not block.

    `line(bytes)` is called for each line of output, without its newline. `ended(sentence)` is called once, after the
    last line, when the command has ended by itself; not after `stop`. `limit`: bytes of a line.
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
        """Return once it runs, has ended, or has missed the deadline for its start."""

    @abstractmethod
    async def stop(self) -> None:
        """Kill it, and wait some seconds for its end. No callback is called any more."""

    @abstractmethod
    def _kill(self) -> None:
        """Begin to end it; `_finish` is called when it has ended."""

    def send(self, line: bytes) -> None:
        """Write one line, with its newline. Kills a command that has not read the earlier ones."""
        if self._input < 0:
            return  # it has ended
        try:
            whole = os.write(self._input, line) == len(line)
        except BrokenPipeError:
            return  # it has ended, and `ended` is about to be called
        except BlockingIOError:
            whole = False
        if not whole:
            self.kill()

    def kill(self) -> None:
        """Kill it. `ended` is called as if it had ended by itself; `line` is not called any more.

        There can be tens of thousands of lines left, and each might lead to another kill.
        """
        self._killed = True
        self._kill()

    def _begin(self, own_input: int, own_output: int, own_errors: int) -> None:
        """Begin to read and write these descriptors. The caller closes them, after `_finish`."""
        self._input, self._output, self._error_output = own_input, own_output, own_errors
        for descriptor in (self._input, self._output, self._error_output):
            os.set_blocking(descriptor, False)
        self._loop.add_reader(self._output, self._on_output)
        self._loop.add_reader(self._error_output, self._on_errors)

    def _finish(self, how: str) -> None:
        """Read what is left in the streams, and call `ended`. `how`: like "exited with 1"."""
        # Bounded: another process may have inherited the other end, and still write.
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
        last = bytes(self._errors).decode("utf-8", "replace").strip().rpartition("\n")[2][-500:]
        last = "".join(c if c.isprintable() else "?" for c in last)
        return f"{self._name} {how}" + (f": {last}" if last else "")
