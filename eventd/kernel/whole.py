"""Whole: work that is carried out to its end though its caller is cancelled, as by a client that hangs up.

For what must not be done by half: a write to the disk and the change of the memory that follows it, an order and the
run that is asked for it. The cancellation comes afterwards. What has not begun is not begun.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar

import anyio.lowlevel

T = TypeVar("T")
P = ParamSpec("P")
PATIENCE = 10.0
"""Seconds for which a cancelled caller is kept back by its work. Then it ends, and the work goes on by itself."""
log = logging.getLogger(__name__)


async def whole(work: Callable[[], Awaitable[T]]) -> T:
    """Return what `work()` does; cancelled meanwhile, see it through before that is raised.

    A task of its own: a scope that shields from anyio's cancellation does not shield from asyncio's, as aiohttp's is.
    """

    async def run() -> T:
        return await work()

    await anyio.lowlevel.checkpoint_if_cancelled()
    task = asyncio.get_running_loop().create_task(run())
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with anyio.CancelScope(shield=True):
            await _patiently(task)
        task.add_done_callback(_told)
        raise


def wholly(method: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """Have a method carried out whole."""

    @functools.wraps(method)
    async def carried_out(*args: P.args, **kwargs: P.kwargs) -> T:
        return await whole(lambda: method(*args, **kwargs))

    return carried_out


async def _patiently(task: asyncio.Task[Any]) -> None:
    """Wait for a task for PATIENCE seconds, however often the waiter is cancelled."""
    until = anyio.current_time() + PATIENCE
    while not task.done() and (left := until - anyio.current_time()) > 0:
        try:
            await asyncio.wait([task], timeout=left)
        except asyncio.CancelledError:
            continue  # the first one is raised in the end


def _told(task: asyncio.Task[Any]) -> None:
    """Say what nobody is there to be told any more."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("what was begun for a caller that has gone ended with: %s", error)
