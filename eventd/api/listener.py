"""One listening socket: takes connections in, a few at a time, and has each looked at before it costs anything.

asyncio's own server takes in as many as its backlog at once, and makes a transport and a protocol of each. Here, who
is not let in costs an accept(2), a look at who it is, and a write that does not wait. A socket with a `Pace` is not
listened to once it has used up its share of the loop's time: the kernel keeps who comes meanwhile in this socket's
queue, and the other sockets have their own.
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
"""Connections that the kernel takes in while the daemon is busy (listen(2))."""
BATCH = 16
"""Connections that are taken in before everything else gets its turn."""
NO_ROOM = 1.0
"""Seconds until another try, when there is no descriptor or no memory for a connection."""

Enter = Callable[[Peer], asyncio.Protocol | bytes]
"""Return the protocol of a connection, or what is said to who is not let in."""


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
        """Listen no more; connections that were taken in go on."""
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
                log.error("cannot take in a connection: %s", error.strerror)  # noqa: TRY400 - no bug
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
            with made, suppress(OSError):  # it does not wait for its answer
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
            log.error("a connection could not begin: %s", error)
