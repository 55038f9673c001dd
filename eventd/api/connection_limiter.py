"""Connection limits: callers are identified before anything is read, and each may use only so much.

The sockets are open to everybody, hostile workloads included, and the daemon has one thread. So each caller except root
has its own limits, which do not affect others: connections, new ones per second, bytes, seconds, followers, changes. A
workload is counted by its name, an operator by uid, and everybody else together: a workload can use the 65,536 uids of
its range, none of which has a role. Callers of one kind share a part of the loop's time (`api.pace`) and a total number
of connections; beyond that, only callers without a connection are admitted.

A connection of theirs carries one request; what follows it is never parsed. Over a limit the answer is 429, and the
connection is closed. Next: `api.visit`, an admitted connection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from eventd.api.access import Peer, roles_of
from eventd.api.model_rights import Role
from eventd.api.pace import Pace

RETRY_AFTER = 5
"""Value of Retry-After in seconds."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one caller."""

    connections: int
    streams: int
    """Of these, followers: answers without an end."""
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


class Kind:
    """The common limits of all callers of one kind, and their current use."""

    def __init__(self, *, connections: int, share: float, burst: float = 0.03) -> None:
        """`connections`: beyond these only callers without one are admitted. `share`, `burst`: of the loop's time."""
        self.most = connections
        self.pace = Pace(share, burst)
        self.connections = 0


LIMITS = {
    Role.OPERATOR: Limits(connections=64, streams=32, burst=200, rate=50, changes=20, change_rate=1),
    Role.WORKLOAD: Limits(connections=8, streams=3, burst=20, rate=5, changes=10, change_rate=0.2),
    Role.NOBODY: Limits(connections=8, streams=0, burst=20, rate=5, changes=1, change_rate=0.1, seconds=10),
}
LISTENER = Limits(
    connections=64, streams=0, burst=200, rate=50, changes=200, change_rate=50, received=64 * 1024, seconds=30
)
"""The limits of the webhook listener, on its own socket: it faces the network, and may have been compromised."""


def kinds() -> dict[Role, Kind]:
    """Return the kinds of callers, root excepted, unused."""
    return {
        Role.OPERATOR: Kind(connections=512, share=0.5),
        Role.WORKLOAD: Kind(connections=512, share=0.25),
        Role.NOBODY: Kind(connections=8, share=0.05),
    }


@dataclass(slots=True)
class Bucket:
    """A token bucket."""

    size: float
    rate: float
    left: float
    at: float

    def take(self, now: float) -> bool:
        """Take a token if there is one."""
        self.left = min(self.size, self.left + (now - self.at) * self.rate)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True

    def full(self, now: float) -> bool:
        """Return whether the bucket is full again."""
        return self.left + (now - self.at) * self.rate >= self.size


@dataclass(slots=True)
class Use:
    """The current use of one caller."""

    limits: Limits
    kind: Kind
    arrivals: Bucket
    changes: Bucket
    connections: int = 0
    streams: int = 0

    def follow(self) -> bool:
        """Count an answer that goes on; return False if it is one too many."""
        if self.streams >= self.limits.streams:
            return False
        self.streams += 1
        return True

    def leave(self, *, followed: bool = False) -> None:
        """Give back a connection, and its answer that went on."""
        self.connections -= 1
        self.streams -= followed
        self.kind.connections -= 1

    def idle(self, now: float) -> bool:
        """Return whether the record of the caller can be dropped."""
        return not self.connections and self.arrivals.full(now) and self.changes.full(now)


@dataclass(slots=True)
class ConnectionLimiter:
    """Counts callers. `workload` returns the workload of a uid, empty if there is none."""

    workload: Callable[[int], str]
    operators: int | None = None
    """Gid of the operators' group."""
    limits: dict[Role, Limits] = field(default_factory=lambda: dict(LIMITS))
    uses: dict[str, Use] = field(default_factory=dict)
    kinds: dict[Role, Kind] = field(default_factory=kinds)
    listener: Kind = field(default_factory=lambda: Kind(connections=64, share=0.1))
    """The webhook's."""
    refused: int = 0
    """Number of connections and requests over a limit."""

    def note_operators(self, operators: int | None) -> None:
        """Take who is in this group for an operator from now on; None: there are no operators."""
        self.operators = operators

    def refuse(self) -> None:
        """Count a connection or a request that is over a limit."""
        self.refused += 1

    def roles(self, who: Peer) -> frozenset[Role]:
        """Return the current roles of a caller."""
        return roles_of(who, self.operators, self.workload(who.uid))

    def enter(self, who: Peer, now: float) -> Use | None:
        """Count a new connection. Returns None for root, who has no limits.

        Raises LookupError if it is over the limit.
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
        return self._count(key, self.limits[role], self.kinds[role], now)

    def enter_listener(self, now: float) -> Use:
        """Count a new connection of the webhook listener. Raises LookupError if it is over the limit."""
        return self._count("webhook", LISTENER, self.listener, now)

    def _count(self, key: str, limits: Limits, kind: Kind, now: float) -> Use:
        use = self.uses.get(key)
        if use is None:
            self.uses = {name: use for name, use in self.uses.items() if not use.idle(now)}
            use = self.uses[key] = Use(
                limits,
                kind,
                Bucket(limits.burst, limits.rate, limits.burst, now),
                Bucket(limits.changes, limits.change_rate, limits.changes, now),
            )
        crowded = use.connections > 0 and kind.connections >= kind.most
        if crowded or use.connections >= limits.connections or not use.arrivals.take(now):
            self.refuse()
            raise LookupError(key)
        use.connections += 1
        kind.connections += 1
        return use
