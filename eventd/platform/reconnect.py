"""Keeps a connection to a bus: connects, runs a session, and when it is lost reports that and reconnects.

Owns when to try again. A lost connection is tried again at once, because a bus under socket activation takes
connections while its daemon restarts, so that the wait is inside the connect. After failures in a row the
pauses double up to a cap, since a bus that is gone has no signal left to send.
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
    """Yield seconds to wait before each next attempt in a row of failures."""
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

    `lost(error, was_ready)` is called after each failed attempt and each lost connection, with whether that one had
    got as far as `ready`, which `session` calls once all is read.
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
    """Connect, run the session, and close the connection whatever comes."""
    bus = await connect()
    try:
        await session(bus)
    finally:
        with anyio.CancelScope(shield=True):
            await bus.close()
