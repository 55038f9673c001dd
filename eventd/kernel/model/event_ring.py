"""The latest events, bounded in number and in bytes, and fair: who says much pushes out its own, and nobody else's.

Events are shared out by whose they are: a workload's by its name, the system's by who saw them. When there is no room,
the oldest event of whoever takes up most goes. So what was said of a quiet workload a day ago is still there while
another one floods. Pure, and whole when it is made.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from eventd.kernel.model.events import Event

MOST = 4096
BYTES = 4 * 1024 * 1024
_FIXED = 400
"""Bytes of an event and its place here, without its texts."""


def size_of(event: Event) -> int:
    """Return about how many bytes an event takes."""
    texts = sum(
        len(name) + (len(value) if isinstance(value, str) else 8) for name, value in event.attributes.items()
    )
    return _FIXED + len(event.subject) + texts


@dataclass(slots=True)
class _Share:
    """Of one scope."""

    sequences: deque[tuple[int, int]] = field(default_factory=deque)
    """Number of the event and its bytes, oldest first."""
    bytes: int = 0


@dataclass(slots=True)
class EventRing:
    """See the module."""

    most: int = MOST
    bytes: int = BYTES
    """Most of them."""
    held: int = 0
    """Bytes that are taken up."""
    _events: dict[int, Event] = field(default_factory=dict)
    """By number, which is the order in which they came."""
    _shares: dict[str, _Share] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events.values())

    def __reversed__(self) -> Iterator[Event]:
        return reversed(self._events.values())

    def append(self, event: Event) -> None:
        """Take in an event, and let go of as many as there is no more room for."""
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
        """Drop the oldest event of the largest share; of the latest one's, if that has more than all have on average.

        So a flood costs no search: it is over the average all the time.
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
