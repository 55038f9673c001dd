"""Whole: work that is finished although its caller is cancelled, as by a client that hangs up.

For work that must not be half done: a write to disk and the change in memory that follows it, or an order and its run.
The cancellation is raised afterwards. Work that has not begun does not begin.
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
"""Seconds that a cancelled caller waits for its work. After that it ends, and the work goes on."""
log = logging.getLogger(__name__)


async def whole(work: Callable[[], Awaitable[T]]) -> T:
    """Return the result of `work()`. If cancelled meanwhile, finish the work first.

    It is a task of its own: a shielded anyio scope does not protect from asyncio's cancellation, which aiohttp uses.
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
    """Decorate a method to be carried out whole."""

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
    """Log the error of work whose caller has gone."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("an operation failed after its caller had disconnected: %s", error)
