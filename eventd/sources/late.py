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


async def look(
    work: Callable[[], T], *, timeout: float, late: Callable[[], None], limiter: CapacityLimiter | None = None
) -> T:
    """Return `work()`, done in a worker thread; raises what it raises.

    Raises TimeoutError after `timeout` seconds, and then calls `late()`, on the loop's thread, once `work` is over.
    """
    loop = asyncio.get_running_loop()
    given_up = over = False

    def ended() -> None:
        nonlocal over
        over = True
        if given_up:
            late()

    def worker() -> T:
        try:
            return work()
        finally:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants to know any more
                loop.call_soon_threadsafe(ended)

    with anyio.move_on_after(timeout):
        return await anyio.to_thread.run_sync(worker, abandon_on_cancel=True, limiter=limiter)
    given_up = True
    if over:  # in the very turn of the deadline
        late()
    raise TimeoutError
