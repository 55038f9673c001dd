"""The three pipes of a command in a transient unit (`eventd.platform.processes.unit_process`).

Owns the descriptors of both ends, and limits how much is read. systemd gets the far ends. Another process may have
inherited one and live on, so nothing waits for the end of a pipe: when the unit has ended, what is in the pipes is
read, and they are closed.
"""

from __future__ import annotations

import asyncio
import os

from eventd.platform.processes.process import ERROR_OUTPUT_LIMIT

_CHUNK = 1 << 16
_MOST_LEFT = 1 << 20
"""The most bytes that a pipe holds (pipe(7), pipe-max-size)."""


class Pipes:
    """Collects standard output up to a limit, and the end of standard error. The input is empty."""

    def __init__(self, limit: int) -> None:
        self.stdout = bytearray()
        self.stderr = bytearray()
        self._loop = asyncio.get_running_loop()
        self.overflow: asyncio.Future[None] = self._loop.create_future()
        self._limit = limit
        self.theirs: list[int] = []
        """The command's ends: input, output and errors."""
        self._ours: dict[int, bytearray] = {}
        try:
            self.theirs.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
            for kept in (self.stdout, self.stderr):
                ours, theirs = os.pipe2(os.O_CLOEXEC)
                self.theirs.append(theirs)
                self._ours[ours] = kept
                os.set_blocking(ours, False)
                self._loop.add_reader(ours, self._read, ours)
        except BaseException:
            self.close()
            raise

    def close_theirs(self) -> None:
        """Close the far ends, once systemd has them."""
        while self.theirs:
            os.close(self.theirs.pop())

    def close(self) -> None:
        """Read what is left in the pipes, and close them."""
        self.close_theirs()
        for ours in tuple(self._ours):
            # Bounded: a process with the other end may still write.
            for _ in range(_MOST_LEFT // _CHUNK):
                if not self._read(ours):
                    break
            self._forget(ours)

    def _read(self, ours: int) -> bool:
        """Read once; return whether there may be more."""
        kept = self._ours.get(ours)
        if kept is None:
            return False
        try:
            chunk = os.read(ours, _CHUNK)
        except BlockingIOError:
            return False
        kept += chunk
        if not chunk:
            self._forget(ours)
        elif kept is self.stderr:
            del kept[:-ERROR_OUTPUT_LIMIT]
        elif len(kept) > self._limit:
            del kept[self._limit :]
            self._forget(ours)
            if not self.overflow.done():
                self.overflow.set_result(None)
        return bool(chunk)

    def _forget(self, ours: int) -> None:
        if self._ours.pop(ours, None) is not None:
            self._loop.remove_reader(ours)
            os.close(ours)
