"""Who goes when there are too many: the connections of a listener that anybody on the network may open.

Pure. A connection *arrives* until all of its request is there, then it is *worked* on, and after its answer it *ends*.
Only who can sign keeps a connection worked on for long, so room is made of the others: first of those that end, then of
the one that has been arriving for longest. A newcomer is refused only where all others are worked on.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum

IPV6_PREFIX = 64
"""Bits of an IPv6 address that are one peer: whoever has one address usually has the whole of such a network."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Phase(IntEnum):
    """How far a connection is; the lower goes first."""

    ENDING = 0
    ARRIVING = 1
    WORKED_ON = 2


@dataclass(slots=True, eq=False)
class Held:
    """One connection. `drop` ends it at once; the reason is for the log."""

    drop: Callable[[str], None]
    peer: str
    """For whom it counts; empty: for nobody alone (a proxy that has not said yet for whom it speaks)."""
    phase: Phase = Phase.ARRIVING
    received: int = 0
    """Bytes of its body."""


class Connections:
    """The connections of one listener."""

    def __init__(self, *, most: int, per_peer: int, buffered: int) -> None:
        """`most` connections, `per_peer` of them of one peer, with `buffered` bytes of bodies that arrive."""
        self._most, self._per_peer, self._buffered = most, per_peer, buffered
        self._held: dict[Held, None] = {}

    def __len__(self) -> int:
        return len(self._held)

    def enter(self, held: Held) -> None:
        """Take one in, and drop another one, or this one, if it is too many."""
        self._held[held] = None
        if len(self._held) > self._most:
            self._drop_one(self._held, "too-many-connections")
        self._bound_peer(held.peer)

    def identify(self, held: Held, peer: str) -> None:
        """Count it for somebody else from now on."""
        held.peer = peer
        self._bound_peer(peer)

    def receive(self, held: Held, size: int) -> None:
        """Count bytes of its body, and drop the largest that still arrives if they are too many."""
        held.received += size
        arriving = [each for each in self._held if each.phase is Phase.ARRIVING]
        if sum(each.received for each in arriving) > self._buffered:
            self._drop(max(arriving, key=lambda each: each.received), "too-many-bytes")

    def leave(self, held: Held) -> None:
        """Forget one that has gone, or was dropped."""
        self._held.pop(held, None)

    def _bound_peer(self, peer: str) -> None:
        if peer:
            theirs = [each for each in self._held if each.peer == peer]
            if len(theirs) > self._per_peer:
                self._drop_one(theirs, "too-many-connections-of-a-peer")

    def _drop_one(self, of: Iterable[Held], why: str) -> None:
        # Oldest first, as they were taken in; `min` returns the first of those in the same phase.
        *others, newest = of
        oldest = min(others, key=lambda each: each.phase, default=newest)
        self._drop(newest if oldest.phase is Phase.WORKED_ON else oldest, why)

    def _drop(self, held: Held, why: str) -> None:
        self.leave(held)
        held.drop(why)


def peer_of(address: str) -> str:
    """Return for whom an address counts: itself, or the network of an IPv6 one. What is none is one peer."""
    parsed = parse(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((parsed, IPV6_PREFIX), strict=False))
    return str(parsed or "unknown")


def parse(address: str) -> Address | None:
    """Return an address; one of IPv4 that a dual-stack socket shows as IPv6 is what it is."""
    try:
        parsed = ipaddress.ip_address(address.strip().strip("[]"))
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, ipaddress.IPv6Address) else parsed


def trusted(address: str, proxies: Iterable[Network]) -> bool:
    """Tell whether what a connection says of its origin is believed."""
    parsed = parse(address)
    return parsed is not None and any(parsed in network for network in proxies)


def forwarded_for(address: str, lines: Iterable[str], proxies: Iterable[Network]) -> str:
    """Return the address that a request came from, by its `X-Forwarded-For` lines.

    A proxy appends whom it heard it from, so it is read from its end, and only as far as proxies are trusted: what is
    left of the first other one is the client's own word. `address` is the connection's.
    """
    told, proxies = ",".join(lines).split(","), tuple(proxies)
    while trusted(address, proxies) and told and (before := told.pop().strip()):
        address = str(parse(before) or "unknown")
    return address
