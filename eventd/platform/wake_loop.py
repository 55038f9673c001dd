"""A source's loop: read at the start and after each wake-up. The source is healthy once the first read succeeded.

A source that is restarted after an error reads what it missed. Until that succeeds its error stays
(`eventd.kernel.supervise`): merely running does not clear it, so `started` comes after the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from anyio.abc import TaskStatus


async def run_on_wake(
    wake: asyncio.Event, work: Callable[[], Awaitable[None]], task_status: TaskStatus[None]
) -> None:
    """Do `work` now and after each `wake`, until cancelled; `started` when it was done for the first time.

    Raises what `work` raises. By then `work` has marked what it did not get to.
    """
    wake.clear()
    await work()
    task_status.started()
    while True:
        await wake.wait()
        wake.clear()
        await work()
