"""Reading once more what signals keep current, because somebody asked for a run.

A signal that is lost without anybody being told leaves a fact that is wrong until something is read again. Nothing
polls for that; `eventctl sync` has every source read afresh before its run is planned. Owns the deadline of that, and
how others wait for a source that reads in its own loop. What a read finds is emitted by the source, as ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

import anyio

from eventd.kernel.model.errors import EventdError
from eventd.platform.isolated import isolated

TIMEOUT = 5.0
"""Seconds for one source; a user's manager or a disk may never answer, and the run is for all the others."""
_log = logging.getLogger(__name__)


class Rounds:
    """Counts the reads of a source's loop, so that others can wait for one that began after they asked."""

    def __init__(self) -> None:
        self._asked = self._done = 0
        self._ended = asyncio.Event()

    def begin(self) -> int:
        """Call before a read; what it returns goes to `end`."""
        return self._asked

    def end(self, begun: int) -> None:
        """Call when the facts of a read have been emitted."""
        self._done = begun
        self._ended.set()
        self._ended = asyncio.Event()

    async def another(self, wake: Callable[[], None]) -> None:
        """Call `wake`, and return at the end of a read that began after this."""
        self._asked += 1
        mine = self._asked
        wake()
        while self._done < mine:
            await self._ended.wait()


async def read_afresh(sources: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
    """Have all of them read, side by side. What cannot be read in time is logged: the run goes by what is known."""

    async def one(name: str, read: Callable[[], Awaitable[None]]) -> None:
        with anyio.move_on_after(TIMEOUT) as scope:
            await isolated(f"reading {name} afresh", read, _logged)
        if scope.cancelled_caught:
            _log.warning("%s: not read afresh within %g s; what is known of it may be old", name, TIMEOUT)

    async with anyio.create_task_group() as group:
        for name, read in sources.items():
            group.start_soon(one, name, read)


def _logged(_error: EventdError) -> None:
    """`isolated` has logged it, and the source says itself what is wrong with it."""
