"""Limits the share of the loop's time that callers of one kind may use, so that a flood does not slow down others.

The daemon has one thread. Work for a caller is counted here, in seconds. A kind that has used up its share waits before
its next connection is accepted, request begun, or page written. Root has no `Pace`, and never waits.

Waiting happens only where no lock is held: before a handler begins, and between two pages of an answer. A handler that
waited halfway could hold a lock that a run needs.
"""

from __future__ import annotations

import asyncio
import time
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")
LONGEST = 1.0
"""Seconds of debt that are kept: one slow answer does not lock out its kind for minutes."""


class Pace:
    """A share of the time of one loop: one for each kind of caller, and one for accepting on each socket."""

    def __init__(self, share: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`share` is the long-term share, between 0 and 1; `burst` seconds may be used at once."""
        self.share, self.burst = share, burst
        self._clock = clock
        self._left, self._at = burst, clock()
        self._queue = asyncio.Lock()

    def spend(self, seconds: float) -> None:
        """Count used time."""
        self._refill()
        self._left = max(self._left - seconds, -LONGEST)

    def owed(self) -> float:
        """Return the seconds until new work may begin."""
        self._refill()
        return max(0.0, -self._left / self.share)

    async def turn(self) -> None:
        """Wait until new work may begin; first come, first served."""
        async with self._queue:
            while True:
                owed = self.owed()
                if not owed:
                    return
                await asyncio.sleep(owed)

    def _refill(self) -> None:
        now = self._clock()
        self._left = min(self.burst, self._left + (now - self._at) * self.share)
        self._at = now


@types.coroutine
def metered(work: Coroutine[Any, Any, T], pace: Pace) -> Generator[Any, Any, T]:
    """Run a coroutine, counting the time of its steps, not the time between them."""
    step: Callable[[Any], Any] = work.send
    argument: Any = None
    while True:
        began = time.perf_counter()
        try:
            awaited = step(argument)
        except StopIteration as ended:
            result: T = ended.value
            return result
        finally:
            pace.spend(time.perf_counter() - began)
        try:
            step, argument = work.send, (yield awaited)
        except GeneratorExit:
            work.close()
            raise
        except BaseException as error:  # noqa: BLE001 - a cancellation is the coroutine's to handle
            step, argument = work.throw, error
