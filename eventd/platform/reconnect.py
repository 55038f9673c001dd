"""Keeps a connection to a bus: connects, runs a session, reports the loss of the connection, and reconnects.

Owns the retry delays. The first retry is immediate: a bus with socket activation accepts connections while its daemon
restarts, so connecting waits by itself. After that the delays double up to a cap; a bus that is gone sends no signal to
wait for.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import anyio

from eventd.kernel.model.errors import EventdError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from eventd.platform.dbus.connection import Bus

_log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 10.0
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 30.0


def retry_delays() -> Iterator[float]:
    """Yield the seconds to wait after each failure in a row."""
    yield 0.0
    pause = FIRST_PAUSE
    while True:
        yield pause
        pause = min(pause * 2, LONGEST_PAUSE)


async def keep_connected(
    connect: Callable[[], Awaitable[Bus]],
    session: Callable[[Bus, Callable[[], None]], Awaitable[None]],
    lost: Callable[[EventdError, bool], None],
) -> None:
    """Run `session(bus, ready)` on one connection after the other until cancelled.

    `session` calls `ready` once it has read everything. `lost(error, was_ready)` is called after each failed attempt
    and each lost connection; `was_ready`: whether `ready` had been called on it.
    """
    wait, was_ready = retry_delays(), False

    def ready() -> None:
        nonlocal wait, was_ready
        wait, was_ready = retry_delays(), True

    while True:
        was_ready = False
        try:
            await with_connection(connect, lambda bus: session(bus, ready))
        except EventdError as error:
            lost(error, was_ready)
        await anyio.sleep(next(wait))


async def with_connection(
    connect: Callable[[], Awaitable[Bus]], session: Callable[[Bus], Awaitable[None]]
) -> None:
    """Connect, run the session, and close the connection however the session ends."""
    bus = await connect()
    try:
        await session(bus)
    finally:
        with anyio.CancelScope(shield=True):
            await bus.close()
