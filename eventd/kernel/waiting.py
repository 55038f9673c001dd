"""Waiting on facts: subscribe, then read, then wait with a deadline. Only a changed fact wakes it; it never polls."""

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
    """Return True once `holds()` is true, evaluated after each change of one of `keys`; False after `timeout` seconds.

    `timeout` None: wait without limit, as for a shutdown to be cancelled.

    `also`: subscribes to something else that wakes it, and returns a function that unsubscribes.
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
