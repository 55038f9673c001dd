"""Work that a source does at its start and after each wake-up. The source is healthy once that has succeeded.

After a failure, a restarted source reads again what it missed. Until that succeeds, its error stays
(`eventd.kernel.supervise`), so `started` comes after the work: merely running does not clear an error.
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
