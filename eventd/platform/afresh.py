"""Reads everything again that signals normally keep current, because an operator requested a run.

A silently lost signal leaves a wrong fact until the source reads again. Nothing polls for that; instead `eventctl sync`
makes every source read again before its run is planned. Owns the deadline for that, and how to wait for a source that
reads in its own loop. The source emits what it finds, as usual.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

import anyio

from eventd.kernel.model.errors import EventdError
from eventd.platform.processes.isolated import isolated

TIMEOUT = 5.0
"""Seconds for one source. A user's manager or a disk may never answer, and must not block the run."""
_log = logging.getLogger(__name__)


class Rounds:
    """Counts the reads of a source's loop, so that a caller can wait for one that began after its request."""

    def __init__(self) -> None:
        self._asked = self._done = 0
        self._ended = asyncio.Event()

    def begin(self) -> int:
        """Call before a read; pass the result to `end`."""
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
    """Make all sources read concurrently. A source that is too slow is logged, and the run uses its known facts."""

    async def one(name: str, read: Callable[[], Awaitable[None]]) -> None:
        with anyio.move_on_after(TIMEOUT) as scope:
            await isolated(f"reading {name} afresh", read, _logged)
        if scope.cancelled_caught:
            _log.warning("%s: not read again within %g s; its facts may be out of date", name, TIMEOUT)

    async with anyio.create_task_group() as group:
        for name, read in sources.items():
            group.start_soon(one, name, read)


def _logged(_error: EventdError) -> None:
    """Do nothing: `isolated` has logged it, and the source reports its own error."""
