"""A process that goes on for as long as somebody wants it: lines go in, lines come out, and its end is told.

Owns its pipes, its pidfd and its end; starting it (ids, clean environment, no descriptors) is
`eventd.adapters.process.spawn`. It understands no line: `eventd.adapters.prober` and
`eventd.adapters.journal_follow` do. Nothing here blocks: a process that does not read what it is sent is
ended.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from pathlib import PurePath

from eventd.adapters.process import Identity, spawn

_CHUNK = 1 << 16
_KEPT_ERRORS = 4096
_REAP_SECONDS = 5.0


class LongLine(Enum):
    """What becomes of a line that is longer than it may be."""

    SKIP = auto()
    """It is left out: other people can make such lines."""
    END = auto()
    """The process is ended: it does not do what it is for."""


class LineProcess:
    """One process, started when this is made. For the loop's thread; `line` and `ended` must not block.

    `line(bytes)`: called for each line of standard output, without its newline. `ended(sentence)`: called
    once, when the process has ended by itself, after its last line; not after `stop`. `limit`: bytes of a
    line.

    Raises PermanentError(reason="command-missing" | "not-permitted" | "command-unusable") and
    TemporaryError(reason="no-resources").
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        line: Callable[[bytes], None],
        ended: Callable[[str], None],
        limit: int,
        long: LongLine,
        identity: Identity | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._name = PurePath(argv[0]).name
        self._line = line
        self._ended: Callable[[str], None] | None = ended
        self._limit = limit
        self._long = long
        self._buffer = bytearray()
        self._skipping = False
        self._killed = False
        self._errors = bytearray()
        self._process = spawn(argv, self._name, identity, environment or {})
        self._loop = asyncio.get_running_loop()
        self._exited: asyncio.Future[None] = self._loop.create_future()
        self._pidfd = os.pidfd_open(self._process.pid)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._input = self._process.stdin.fileno()
        self._output = self._process.stdout.fileno()
        self._error_output = self._process.stderr.fileno()
        for descriptor in (self._input, self._output, self._error_output):
            os.set_blocking(descriptor, False)
        self._loop.add_reader(self._output, self._on_output)
        self._loop.add_reader(self._error_output, self._on_errors)
        self._loop.add_reader(self._pidfd, self._on_exit)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, line: bytes) -> None:
        """Write one line, with its newline; a process that has not read the earlier ones is ended."""
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
        self._signal_group()

    async def stop(self) -> None:
        """End it at once, and wait for that for at most five seconds. Nothing is called any more."""
        self._ended = None
        self._signal_group()
        await asyncio.wait({self._exited}, timeout=_REAP_SECONDS)

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
            self._signal_group()

    def _on_errors(self) -> None:
        try:
            chunk = os.read(self._error_output, _CHUNK)
        except BlockingIOError:
            return
        if not chunk:
            self._loop.remove_reader(self._error_output)
        self._errors += chunk
        del self._errors[:-_KEPT_ERRORS]

    def _on_exit(self) -> None:
        # A zombie keeps the number of its group taken: nobody else is hit.
        self._signal_group()
        self._loop.remove_reader(self._pidfd)
        while self._on_output():
            pass
        self._on_errors()
        self._process.poll()
        os.close(self._pidfd)
        for descriptor in (self._output, self._error_output):
            self._loop.remove_reader(descriptor)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()
        self._exited.set_result(None)
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended(self._sentence())

    def _signal_group(self) -> None:
        if self._process.returncode is None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except PermissionError:
                self._process.kill()

    def _sentence(self) -> str:
        status = self._process.returncode
        how = f"was ended by signal {-status}" if status < 0 else f"exited with {status}"
        said = bytes(self._errors).decode("utf-8", "replace").strip().rpartition("\n")[2][-500:]
        said = "".join(c if c.isprintable() else "?" for c in said)
        return f"{self._name} {how}" + (f": {said}" if said else "")
