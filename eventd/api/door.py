"""The door: who connects is looked at before anything is read, and how much one caller may take up is bounded here.

The socket is open to everybody, a hostile workload among them, and the daemon has one thread. So each caller but root
has limits of its own, which the others do not feel: connections, new ones per second, bytes, seconds, followers,
changes. A workload is counted by its name, an operator by uid, and everybody else together: a workload can speak with
the 65,536 uids of its range, and none of them is anybody.

A connection of theirs carries one request: what comes after it is never parsed. Over a limit the answer is 429, and
the connection ends. Next: aiohttp's own protocol, which the bytes are handed to.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from aiohttp import web

from eventd.api.access import Peer, peer, roles_of
from eventd.core.rights import Role

RETRY_AFTER = 5
"""Seconds that who was refused is told to wait."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one caller may take up."""

    connections: int
    streams: int
    """Of these, followers: answers that go on."""
    burst: int
    """New connections at once."""
    rate: float
    """New connections per second, in the long run."""
    changes: int
    """Requests that change something, at once."""
    change_rate: float
    """The same per second, in the long run."""
    received: int = 160 * 1024
    """Bytes of one request, its head included; a body has its own limit below this."""
    seconds: float = 60.0
    """Of one connection, unless it is a follower's."""


LIMITS = {
    Role.OPERATOR: Limits(connections=64, streams=32, burst=200, rate=50, changes=20, change_rate=1),
    Role.WORKLOAD: Limits(connections=8, streams=3, burst=20, rate=5, changes=10, change_rate=0.2),
    Role.NOBODY: Limits(connections=8, streams=0, burst=20, rate=5, changes=1, change_rate=0.1, seconds=10),
}


@dataclass(slots=True)
class Bucket:
    """Tokens that come back with time."""

    size: float
    rate: float
    left: float
    at: float

    def take(self, now: float) -> bool:
        """Take one, if there is one."""
        self.left = min(self.size, self.left + (now - self.at) * self.rate)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True

    def full(self, now: float) -> bool:
        """Tell whether it is as if nothing had been taken."""
        return self.left + (now - self.at) * self.rate >= self.size


@dataclass(slots=True)
class Use:
    """What one caller takes up now."""

    limits: Limits
    arrivals: Bucket
    changes: Bucket
    connections: int = 0
    streams: int = 0

    def idle(self, now: float) -> bool:
        """Tell whether nothing has to be remembered of it."""
        return not self.connections and self.arrivals.full(now) and self.changes.full(now)


@dataclass(slots=True)
class Door:
    """Counts callers. `workload` names the workload of a uid, empty if it is none's."""

    workload: Callable[[int], str]
    operators: int | None = None
    """Gid of the operators' group."""
    limits: dict[Role, Limits] = field(default_factory=lambda: dict(LIMITS))
    uses: dict[str, Use] = field(default_factory=dict)
    refused: int = 0
    """Connections and requests that were over a limit."""

    def roles(self, who: Peer) -> frozenset[Role]:
        """Return what a caller is at this moment."""
        return roles_of(who, self.operators, self.workload(who.uid))

    def enter(self, who: Peer, now: float) -> Use | None:
        """Count a new connection. None: root, who has no limits.

        Raises LookupError if it is one too many.
        """
        roles = self.roles(who)
        if Role.ROOT in roles:
            return None
        if Role.OPERATOR in roles:
            key, role = f"operator {who.uid}", Role.OPERATOR
        elif Role.WORKLOAD in roles:
            key, role = f"workload {who.uid}", Role.WORKLOAD
        else:
            key, role = "nobody", Role.NOBODY
        use = self.uses.get(key)
        if use is None:
            self.uses = {name: use for name, use in self.uses.items() if not use.idle(now)}
            limits = self.limits[role]
            use = self.uses[key] = Use(
                limits,
                Bucket(limits.burst, limits.rate, limits.burst, now),
                Bucket(limits.changes, limits.change_rate, limits.changes, now),
            )
        if use.connections >= use.limits.connections or not use.arrivals.take(now):
            self.refused += 1
            raise LookupError(key)
        use.connections += 1
        return use

    def protocol(self, inner: asyncio.Protocol) -> Visit:
        """Return the protocol of one connection, in front of `inner`."""
        return Visit(self, inner)


class Visit(asyncio.Protocol):
    """One connection. Hands everything on to `inner`, and hangs up on who takes too much or too long."""

    def __init__(self, door: Door, inner: asyncio.Protocol) -> None:
        self._door = door
        self._inner = inner
        self._transport: asyncio.Transport | None = None
        self._let_in = False
        self._received = 0
        self._streams = False
        self._timer: asyncio.TimerHandle | None = None
        self.use: Use | None = None
        self.peer: Peer | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in, or say that it is too much."""
        self._transport = plain = cast("asyncio.Transport", transport)
        loop = asyncio.get_running_loop()
        try:
            self.peer = peer(transport.get_extra_info("socket"))
            self.use = self._door.enter(self.peer, loop.time())
        except LookupError:
            plain.write(_too_many("too-many-connections", "there are too many connections of yours"))
            plain.close()
            return
        except OSError:  # it is gone already
            plain.abort()
            return
        self._let_in = True
        if self.use is not None:
            self._timer = loop.call_later(self.use.limits.seconds, plain.abort)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Hand it on, as long as it is not more than a request can be."""
        self._received += len(data)
        if not self._let_in:
            return
        if self.use is not None and self._received > self.use.limits.received:
            assert self._transport is not None
            self._transport.abort()
            return
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Hand it on."""
        return self._inner.eof_received() if self._let_in else None

    def connection_lost(self, exc: Exception | None) -> None:
        """Give back what it took up."""
        if self._timer is not None:
            self._timer.cancel()
        if self.use is not None:
            self.use.connections -= 1
            self.use.streams -= self._streams
            self.use = None
        if self._let_in:
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Hand it on."""
        if self._let_in:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Hand it on."""
        if self._let_in:
            self._inner.resume_writing()

    def changes(self) -> bool:
        """Count a request that changes something; return False if it is one too many."""
        if self.use is None or self.use.changes.take(asyncio.get_running_loop().time()):
            return True
        self._door.refused += 1
        return False

    def follows(self) -> bool:
        """Count an answer that goes on: its time is not bounded, the number is. Return False if it is one too many."""
        if self.use is None or self._streams:
            return True
        if self.use.streams >= self.use.limits.streams:
            self._door.refused += 1
            return False
        self.use.streams += 1
        self._streams = True
        if self._timer is not None:
            self._timer.cancel()
        return True


def visit_of(request: web.Request) -> Visit | None:
    """Return the connection that a request came over; None: it is gone."""
    protocol = request.transport.get_protocol() if request.transport is not None else None
    return protocol if isinstance(protocol, Visit) else None


def _too_many(reason: str, message: str) -> bytes:
    """Return a whole answer, for who is not let in."""
    error = {"reason": reason, "message": message, "hint": f"try again in {RETRY_AFTER} s"}
    body = json.dumps({"error": error}).encode() + b"\n"
    return (
        b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nConnection: close\r\n"
        + f"Retry-After: {RETRY_AFTER}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
