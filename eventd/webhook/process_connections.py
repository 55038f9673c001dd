"""Limits the connections of the listener, and decides which are dropped when there are too many.

Pure. Anybody on the network may open one. A connection *arrives* until its request is complete, then it is *worked* on,
and after the answer it *ends*. Only a signer can keep a connection in work for long, so the others make room: first
those that end, then the one that has been arriving for longest. A new one is refused only if all others are worked on.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum

IPV6_PREFIX = 64
"""The IPv6 prefix length that counts as one peer: whoever has one address usually has the whole network."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Phase(IntEnum):
    """The phase of a connection; the lowest is dropped first."""

    ENDING = 0
    ARRIVING = 1
    WORKED_ON = 2


@dataclass(slots=True, eq=False)
class Held:
    """One connection. `drop` closes it at once; the reason is for the log."""

    drop: Callable[[str], None]
    peer: str
    """The peer that it counts for; empty: none (a proxy that has not named its client yet)."""
    phase: Phase = Phase.ARRIVING
    received: int = 0
    """Bytes of its body so far."""


class Connections:
    """The connections of one listener."""

    def __init__(self, *, most: int, per_peer: int, buffered: int) -> None:
        """Allow `most` connections, `per_peer` of one peer, and `buffered` bytes of incomplete bodies."""
        self._most, self._per_peer, self._buffered = most, per_peer, buffered
        self._held: dict[Held, None] = {}

    def __len__(self) -> int:
        return len(self._held)

    def enter(self, held: Held) -> None:
        """Add a connection. If that is too many, drop another one, or this one."""
        self._held[held] = None
        if len(self._held) > self._most:
            self._drop_one(self._held, "too-many-connections")
        self._bound_peer(held.peer)

    def identify(self, held: Held, peer: str) -> None:
        """Count it for another peer from now on."""
        held.peer = peer
        self._bound_peer(peer)

    def receive(self, held: Held, size: int) -> None:
        """Count bytes of its body. If that is too many in all, drop the largest that is still arriving."""
        held.received += size
        arriving = [each for each in self._held if each.phase is Phase.ARRIVING]
        if sum(each.received for each in arriving) > self._buffered:
            self._drop(max(arriving, key=lambda each: each.received), "too-many-bytes")

    def leave(self, held: Held) -> None:
        """Remove a connection that was closed or dropped."""
        self._held.pop(held, None)

    def _bound_peer(self, peer: str) -> None:
        if peer:
            theirs = [each for each in self._held if each.peer == peer]
            if len(theirs) > self._per_peer:
                self._drop_one(theirs, "too-many-connections-of-a-peer")

    def _drop_one(self, of: Iterable[Held], why: str) -> None:
        # They are in order of age, and `min` returns the first one in the lowest phase: the oldest.
        *others, newest = of
        oldest = min(others, key=lambda each: each.phase, default=newest)
        self._drop(newest if oldest.phase is Phase.WORKED_ON else oldest, why)

    def _drop(self, held: Held, why: str) -> None:
        self.leave(held)
        held.drop(why)


def peer_of(address: str) -> str:
    """Return the peer of an address: the address itself, or an IPv6 network. All invalid ones are one peer."""
    parsed = parse(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((parsed, IPV6_PREFIX), strict=False))
    return str(parsed or "unknown")


def parse(address: str) -> Address | None:
    """Parse an address. An IPv4 address that a dual-stack socket shows as IPv6 becomes IPv4."""
    try:
        parsed = ipaddress.ip_address(address.strip().strip("[]"))
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, ipaddress.IPv6Address) else parsed


def trusted(address: str, proxies: Iterable[Network]) -> bool:
    """Return whether a connection is from a trusted proxy."""
    parsed = parse(address)
    return parsed is not None and any(parsed in network for network in proxies)


def forwarded_for(address: str, lines: Iterable[str], proxies: Iterable[Network]) -> str:
    """Return the client's address of a request, from its `X-Forwarded-For` lines.

    Each proxy appends the address of its peer, so the list is read from its end, as long as proxies are trusted:
    everything before that is written by the client. `address`: that of the connection.
    """
    addresses, proxies = ",".join(lines).split(","), tuple(proxies)
    while trusted(address, proxies) and addresses and (before := addresses.pop().strip()):
        address = str(parse(before) or "unknown")
    return address
