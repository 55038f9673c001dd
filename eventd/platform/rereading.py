"""Work that a source does at its start and after each wake. It is well once that is done, and not before.

What a source has missed it reads again when it is started again. Until that has gone well it stays in trouble
(`eventd.kernel.supervise`), so `started` comes after the work: to be running is no cure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from anyio.abc import TaskStatus


async def reread(
    wake: asyncio.Event, work: Callable[[], Awaitable[None]], task_status: TaskStatus[None]
) -> None:
    """Do `work` now and after each `wake`, until cancelled; `started` once it was done for the first time.

    Raises what `work` raises, which has to mark by then what it did not get to.
    """
    wake.clear()
    await work()
    task_status.started()
    while True:
        await wake.wait()
        wake.clear()
        await work()
