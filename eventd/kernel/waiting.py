"""Waiting on facts, the readiness wait of all that watches memory: subscribe, then read, then wait, with a deadline.

Never looks again by itself: only a changed fact wakes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import anyio

from eventd.kernel.model.facts import FactKey, Facts


async def until(
    facts: Facts,
    keys: Iterable[FactKey],
    holds: Callable[[], bool],
    *,
    timeout: float | None,
    also: Callable[[Callable[[], None]], Callable[[], None]] | None = None,
) -> bool:
    """Return True once `holds()`, evaluated after each change of one of `keys`; False at the deadline (seconds).

    `timeout` None: what it waits for may rightly take for ever, as a shutdown that is not called off.

    `also`: subscribes to what counts too, though it is no fact, and returns what ends that.
    """
    changed = anyio.Event()

    def wake(_key: FactKey | None = None) -> None:
        changed.set()

    stops = [facts.watch(keys, wake)]
    if also is not None:
        stops.append(also(wake))
    try:
        with anyio.move_on_after(timeout):
            while not holds():
                await changed.wait()
                changed = anyio.Event()
            return True
        return holds()
    finally:
        for stop in stops:
            stop()
