"""The latest events, bounded in number and in bytes, shared fairly between workloads.

Each workload has a share, and so has each origin of the system's events. When the ring is full, the oldest event of the
largest share is dropped. So a flood from one workload does not push out the events of others. Pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from eventd.kernel.model.events import Event

MOST = 4096
BYTES = 4 * 1024 * 1024
_FIXED = 400
"""Bytes that an event takes without its texts."""


def size_of(event: Event) -> int:
    """Return roughly how many bytes an event takes."""
    texts = sum(
        len(name) + (len(value) if isinstance(value, str) else 8) for name, value in event.attributes.items()
    )
    return _FIXED + len(event.subject) + texts


@dataclass(slots=True)
class _Share:
    """The events of one workload, or of one origin."""

    sequences: deque[tuple[int, int]] = field(default_factory=deque)
    """(sequence, bytes) of each event, oldest first."""
    bytes: int = 0


@dataclass(slots=True)
class EventRing:
    """See the module."""

    most: int = MOST
    bytes: int = BYTES
    """Most bytes."""
    held: int = 0
    """Bytes in use."""
    _events: dict[int, Event] = field(default_factory=dict)
    """Sequence -> event, oldest first."""
    _shares: dict[str, _Share] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events.values())

    def __reversed__(self) -> Iterator[Event]:
        return reversed(self._events.values())

    def append(self, event: Event) -> None:
        """Add an event, and drop others until there is room."""
        size = size_of(event)
        name = event.scope or f"/{event.origin}"  # no workload's name has a slash
        share = self._shares.setdefault(name, _Share())
        share.sequences.append((event.sequence, size))
        share.bytes += size
        self.held += size
        self._events[event.sequence] = event
        while len(self._events) > self.most or self.held > self.bytes:
            self._let_go(name)

    def _let_go(self, latest: str) -> None:
        """Drop the oldest event of the largest share.

        If the latest event's share is above the average, drop from that one without a search. So a flood is cheap.
        """
        share = self._shares[latest]
        name = latest
        if share.bytes * len(self._shares) <= self.held or len(share.sequences) == 1:
            name, share = max(self._shares.items(), key=lambda each: each[1].bytes)
        sequence, size = share.sequences.popleft()
        share.bytes -= size
        self.held -= size
        del self._events[sequence]
        if not share.sequences:
            del self._shares[name]
