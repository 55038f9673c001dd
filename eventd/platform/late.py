"""A look at what may hang (a path behind a dead file server), with a deadline, and with its answer after all.

Owns the worker thread that is given up, and what it means when that comes back: the server answers again, which no
other signal tells. Decides nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio import CapacityLimiter

T = TypeVar("T")


async def attempt(
    work: Callable[[], T], *, timeout: float, late: Callable[[], None], limiter: CapacityLimiter | None = None
) -> T:
    """Return `work()`, done in a worker thread; raises what it raises. `limiter`: whose turn has to be waited for.

    Raises TimeoutError `timeout` seconds after that turn has come, and then calls `late()`, on the loop's thread, once
    `work` is over, or at once if it never began.
    """
    if limiter is not None:
        async with limiter:  # who has a turn gives it up in time
            return await attempt(work, timeout=timeout, late=late)
    loop = asyncio.get_running_loop()
    given_up = over = begun = False

    def ended() -> None:
        nonlocal over
        over = True
        if given_up:
            late()

    def worker() -> T:
        nonlocal begun
        begun = True
        try:
            return work()
        finally:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants to know any more
                loop.call_soon_threadsafe(ended)

    with anyio.move_on_after(timeout):
        # A limiter of its own, so that it begins at once: other threads are others' business.
        return await anyio.to_thread.run_sync(worker, abandon_on_cancel=True, limiter=CapacityLimiter(1))
    given_up = True
    if over or not begun:  # in the very turn of the deadline; or the loop was busy for so long
        late()
    raise TimeoutError


class Patience:
    """Looks at one place, again and again; `again` is called when it answers after all, to look once more.

    Once, until a look is in time: a place that is only slow would be looked at all the time.
    """

    def __init__(self, again: Callable[[], None]) -> None:
        self._again = again
        self._spent = False

    async def attempt(
        self, work: Callable[[], T], *, timeout: float, limiter: CapacityLimiter | None = None
    ) -> T:
        """See `look`, above."""
        answer = await attempt(work, timeout=timeout, late=self._answered, limiter=limiter)
        self._spent = False
        return answer

    def _answered(self) -> None:
        if not self._spent:
            self._spent = True
            self._again()
