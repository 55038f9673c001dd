"""Run a source for the length of a block, from its first complete read on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio


@asynccontextmanager
async def running(*runs: Callable[..., Awaitable[None]], timeout: float = 10) -> AsyncIterator[None]:
    """Start each `run(task_status=…)`; cancel them all at the end."""
    async with anyio.create_task_group() as tasks:
        with anyio.fail_after(timeout):
            for run in runs:
                await tasks.start(run)
        yield
        tasks.cancel_scope.cancel()
