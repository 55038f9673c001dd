"""Runs a call that may hang (a path on a dead file server) in a worker thread, with a deadline.

After the deadline the thread is abandoned. When the call returns late, the caller is told: nothing else announces
that the server answers again.
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


async def blocking_call(
    work: Callable[[], T],
    *,
    timeout: float,
    on_late: Callable[[], None],
    limiter: CapacityLimiter | None = None,
) -> T:
    """Return `work()`, run in a worker thread; raise what it raises. `limiter` is acquired first.

    Raises TimeoutError after `timeout` seconds, not counting the wait for `limiter`. `on_late()` is then called on the
    loop's thread when `work` ends, or at once if it never began.
    """
    if limiter is not None:
        async with limiter:  # every holder releases it in time
            return await blocking_call(work, timeout=timeout, on_late=on_late)
    loop = asyncio.get_running_loop()
    given_up = over = begun = False

    def ended() -> None:
        nonlocal over
        over = True
        if given_up:
            on_late()

    def worker() -> T:
        nonlocal begun
        begun = True
        try:
            return work()
        finally:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is waiting
                loop.call_soon_threadsafe(ended)

    with anyio.move_on_after(timeout):
        # A limiter of its own, so that it begins at once, however many other threads there are.
        return await anyio.to_thread.run_sync(worker, abandon_on_cancel=True, limiter=CapacityLimiter(1))
    given_up = True
    # It ended in the same loop iteration as the deadline, or the loop was busy the whole time.
    if over or not begun:
        on_late()
    raise TimeoutError


class BlockingCalls:
    """Blocking calls for one subject. `retry` is called when a late call has ended.

    It is called once until a call ends in time: otherwise a slow path would be read continuously.
    """

    def __init__(self, retry: Callable[[], None]) -> None:
        self._retry = retry
        self._retried = False

    async def call(
        self, work: Callable[[], T], *, timeout: float, limiter: CapacityLimiter | None = None
    ) -> T:
        """See `blocking_call`."""
        answer = await blocking_call(work, timeout=timeout, on_late=self._ended_late, limiter=limiter)
        self._retried = False
        return answer

    def _ended_late(self) -> None:
        if not self._retried:
            self._retried = True
            self._retry()
