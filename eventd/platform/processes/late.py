"""Runs work that may hang (a path on a dead file server) with a deadline, and reports when it ends late.

Owns the abandoned worker thread. When that returns, the server answers again, which no other signal announces. Decides
nothing.
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
    """Return `work()`, run in a worker thread; raises what it raises. `limiter`: is acquired first.

    Raises TimeoutError after `timeout` seconds, not counting the wait for `limiter`. Then calls `late()` on the loop's
    thread once `work` has ended, or at once if it never began.
    """
    if limiter is not None:
        async with limiter:  # every holder releases it in time
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
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is waiting any more
                loop.call_soon_threadsafe(ended)

    with anyio.move_on_after(timeout):
        # A limiter of its own, so that it begins at once, however many other threads there are.
        return await anyio.to_thread.run_sync(worker, abandon_on_cancel=True, limiter=CapacityLimiter(1))
    given_up = True
    if (
        over or not begun
    ):  # it ended in the same loop iteration as the deadline, or the loop was busy all that time
        late()
    raise TimeoutError


class Patience:
    """Makes attempts on one path; calls `again` when a late attempt has ended, so that another one is made.

    Only once until an attempt is in time: otherwise a slow path would be read continuously.
    """

    def __init__(self, again: Callable[[], None]) -> None:
        self._again = again
        self._spent = False

    async def attempt(
        self, work: Callable[[], T], *, timeout: float, limiter: CapacityLimiter | None = None
    ) -> T:
        """See the function `attempt`."""
        answer = await attempt(work, timeout=timeout, late=self._answered, limiter=limiter)
        self._spent = False
        return answer

    def _answered(self) -> None:
        if not self._spent:
            self._spent = True
            self._again()
