"""Run a source for the length of a block, from its first complete read on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio


@asynccontextmanager
async def running(*runs: Callable[..., Awaitable[None]], timeout: float = 60) -> AsyncIterator[None]:
    """Start each `run(task_status=…)`; cancel them all at the end; raise what one of them raised.

    In a task of its own: a fixture's two halves may run in different tasks, and a cancel scope must not.
    """
    started, stop = asyncio.Event(), asyncio.Event()

    async def host() -> None:
        async with anyio.create_task_group() as tasks:
            for run in runs:
                await tasks.start(run)
            started.set()
            await stop.wait()
            tasks.cancel_scope.cancel()

    hosting = asyncio.create_task(host())
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({hosting, waiting}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    try:
        if not started.is_set():
            hosting.cancel()
            await hosting
            raise TimeoutError
        yield
    finally:
        waiting.cancel()
        stop.set()
        await hosting
