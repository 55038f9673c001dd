"""One admitted connection: counts its bytes and passes them to aiohttp's own protocol.

Closes a connection that uses too much or takes too long, by the limits of the connection limiter.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import cast

from aiohttp import web

from eventd.api.access import Peer
from eventd.api.connection_limiter import RETRY_AFTER, ConnectionLimiter, Use
from eventd.api.pace import Pace


class Visit(asyncio.Protocol):
    """One connection. Passes everything to `inner`, and closes when it uses too much or takes too long."""

    def __init__(
        self, limiter: ConnectionLimiter, inner: asyncio.Protocol, who: Peer, use: Use | None
    ) -> None:
        self._limiter = limiter
        self._inner = inner
        self._transport: asyncio.Transport | None = None
        self._received = 0
        self._streams = False
        self._timer: asyncio.TimerHandle | None = None
        self.peer = who
        self.use = use

    @property
    def pace(self) -> Pace | None:
        """The pace that counts its time; None for root, whose time is not counted."""
        return self.use.kind.pace if self.use is not None else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = plain = cast("asyncio.Transport", transport)
        if self.use is not None:
            self._timer = asyncio.get_running_loop().call_later(self.use.limits.seconds, plain.abort)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Pass the data on, unless it exceeds the limit of a request."""
        self._received += len(data)
        if self.use is None:
            self._inner.data_received(data)
            return
        if self._received > self.use.limits.received:
            assert self._transport is not None
            self._transport.abort()
            return
        began = time.perf_counter()
        self._inner.data_received(data)
        self.use.kind.pace.spend(time.perf_counter() - began)

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Release what it used."""
        if self._timer is not None:
            self._timer.cancel()
        if self.use is not None:
            self.use.leave(followed=self._streams)
            self.use = None
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass it on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._inner.resume_writing()

    def changes(self) -> bool:
        """Count a request that changes something; return False if it is over the limit."""
        if self.use is None or self.use.changes.take(asyncio.get_running_loop().time()):
            return True
        self._limiter.refuse()
        return False

    def follows(self) -> bool:
        """Count an answer without an end: only the number is limited. Return False if it is over the limit."""
        if self.use is None or self._streams:
            return True
        if not self.use.follow():
            self._limiter.refuse()
            return False
        self._streams = True
        if self._timer is not None:
            self._timer.cancel()
        return True


def visit_of(request: web.Request) -> Visit | None:
    """Return the connection of a request; None: it is closed."""
    protocol = request.transport.get_protocol() if request.transport is not None else None
    return protocol if isinstance(protocol, Visit) else None


def pace_of(request: web.Request) -> Pace | None:
    """Return the pace that counts a request's time; None for root, whose time is not counted."""
    visit = visit_of(request)
    return visit.pace if visit is not None else None


def enter(limiter: ConnectionLimiter, who: Peer, inner: Callable[[], asyncio.Protocol]) -> Visit | bytes:
    """Return the protocol of a new connection, in front of `inner`'s; or a complete answer to a rejected one."""
    return _visit(limiter, who, inner, lambda now: limiter.enter(who, now))


def enter_listener(
    limiter: ConnectionLimiter, who: Peer, inner: Callable[[], asyncio.Protocol]
) -> Visit | bytes:
    """Return the same, for a connection of the webhook listener."""
    return _visit(limiter, who, inner, limiter.enter_listener)


def _visit(
    limiter: ConnectionLimiter,
    who: Peer,
    inner: Callable[[], asyncio.Protocol],
    count: Callable[[float], Use | None],
) -> Visit | bytes:
    try:
        use = count(asyncio.get_running_loop().time())
    except LookupError:
        return _too_many("too-many-connections", "you have too many connections")
    return Visit(limiter, inner(), who, use)


def _too_many(reason: str, message: str) -> bytes:
    """Return a complete answer to a rejected connection."""
    error = {"reason": reason, "message": message, "hint": f"try again in {RETRY_AFTER} s"}
    body = json.dumps({"error": error}).encode() + b"\n"
    return (
        b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nConnection: close\r\n"
        + f"Retry-After: {RETRY_AFTER}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
