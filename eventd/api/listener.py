"""One listening socket: accepts connections a few at a time, and checks each before it costs anything.

asyncio's own server accepts as many as its backlog at once, and makes a transport and a protocol for each. Here a
rejected connection costs an accept(2), a check of its peer, and a non-blocking write. A socket with a `Pace` is not
polled once it has used up its share of the loop's time: new connections stay in its queue in the kernel, and other
sockets have their own queues.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from eventd.api.access import Peer, peer
from eventd.api.pace import Pace

log = logging.getLogger(__name__)
BACKLOG = 128
"""Connections that the kernel queues while the daemon is busy (listen(2))."""
BATCH = 16
"""Connections accepted before the loop continues with other work."""
NO_ROOM = 1.0
"""Seconds until a retry, when there is no descriptor or no memory for a connection."""

Enter = Callable[[Peer], asyncio.Protocol | bytes]
"""Returns the protocol of a connection, or the answer to a rejected one."""


class Listener:
    """Accepts until it is closed."""

    def __init__(self, sock: socket.socket, enter: Enter, pace: Pace | None = None) -> None:
        sock.setblocking(False)  # noqa: FBT003  the standard library's signature
        sock.listen(BACKLOG)
        self._sock, self._enter, self._pace = sock, enter, pace
        self._loop = asyncio.get_running_loop()
        self._later: asyncio.TimerHandle | None = None
        self._beginning: set[asyncio.Task[object]] = set()
        self._resume()

    def close(self) -> None:
        """Stop listening; accepted connections continue."""
        self._pause()
        self._sock.close()

    def _resume(self) -> None:
        self._later = None
        self._loop.add_reader(self._sock, self._ready)

    def _pause(self, seconds: float = 0.0) -> None:
        if self._later is not None:
            self._later.cancel()
        self._loop.remove_reader(self._sock)
        if seconds:
            self._later = self._loop.call_later(seconds, self._resume)

    def _ready(self) -> None:
        began = time.perf_counter()
        for _ in range(BATCH):
            try:
                made, _address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                break
            except OSError as error:  # EMFILE, ENFILE, ENOBUFS, ENOMEM (accept(2))
                log.error("cannot accept a connection: %s", error.strerror)  # noqa: TRY400 - no bug
                self._pause(NO_ROOM)
                return
            self._take(made)
        if self._pace is not None:
            self._pace.spend(time.perf_counter() - began)
            if owed := self._pace.owed():
                self._pause(owed)

    def _take(self, made: socket.socket) -> None:
        made.setblocking(False)  # noqa: FBT003  the standard library's signature
        try:
            entered = self._enter(peer(made))
        except OSError:  # it is gone already
            made.close()
            return
        if isinstance(entered, bytes):
            with made, suppress(OSError):  # the peer does not wait for the answer
                made.send(entered)
            return
        task: asyncio.Task[object] = self._loop.create_task(
            self._loop.connect_accepted_socket(lambda: entered, made)
        )
        self._beginning.add(task)
        task.add_done_callback(self._begun)

    def _begun(self, task: asyncio.Task[object]) -> None:
        self._beginning.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("cannot start a connection: %s", error)
