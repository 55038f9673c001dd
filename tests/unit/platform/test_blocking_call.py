"""Scope: `late`: more looks that hang than may be taken at once, and what comes of each in the end."""

from __future__ import annotations

import asyncio
import os
from functools import partial

import anyio
import pytest
from anyio import CapacityLimiter

from eventd.platform.processes.blocking_call import blocking_call


async def test_every_look_that_was_given_up_is_told_of_when_it_is_over() -> None:
    """Who has to wait for a turn has all the time from then on: nobody is given up unheard."""
    pipe, late, limiter = os.pipe(), list[int](), CapacityLimiter(2)
    told = asyncio.Event()

    def ended(number: int) -> None:
        late.append(number)
        if len(late) == 6:
            told.set()

    async def one(number: int) -> None:
        with pytest.raises(TimeoutError):
            await blocking_call(
                lambda: os.read(pipe[0], 1), timeout=1.0, on_late=partial(ended, number), limiter=limiter
            )

    async with anyio.create_task_group() as group:
        for number in range(6):
            group.start_soon(one, number)
    assert late == []
    os.write(pipe[1], b"x" * 6)
    async with asyncio.timeout(60):
        await told.wait()
    assert sorted(late) == list(range(6))
    for descriptor in pipe:
        os.close(descriptor)
