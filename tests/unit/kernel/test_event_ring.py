"""Scope: `eventd.kernel.model.event_ring`: which events are kept, and whose go when there is no more room."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eventd.kernel.model.event_ring import EventRing, size_of
from eventd.kernel.model.events import Event, Origin
from eventd.platform.model_events import PlatformEvent, PlatformOrigin


def event(number: int, scope: str, subject: str = "x", origin: Origin = PlatformOrigin.USER_MANAGER) -> Event:
    return Event(number, origin, PlatformEvent.JOB_NEW, subject, 0.0, 0.0, scope)


def test_a_flood_pushes_out_its_own_events_and_nobody_elses():
    """A quiet workload's event and the host's are there after a million of another's."""
    ring = EventRing()
    ring.append(event(1, "quiet"))
    ring.append(event(2, "", origin=PlatformOrigin.LOGIND))
    ring.append(event(3, "", origin=PlatformOrigin.SYSTEMD))
    for number in range(4, 30_000):
        ring.append(event(number, "evil", f"j{number}.service"))
    kept = list(ring)
    assert [each.sequence for each in kept[:3]] == [1, 2, 3]
    assert len(kept) == ring.most
    assert kept[-1].sequence == 29_999


def test_a_flood_of_long_subjects_is_bounded_in_bytes():
    """However long they are."""
    ring = EventRing()
    ring.append(event(1, "quiet"))
    for number in range(2, 5_000):
        ring.append(event(number, "evil", "x" * 4096))
    assert ring.held <= ring.bytes
    assert next(iter(ring)).sequence == 1


def test_the_system_has_a_share_for_each_that_sees_something():
    """A file that comes and goes in a folder of anybody's pushes out no event of systemd."""
    ring = EventRing(most=10)
    ring.append(event(1, "", origin=PlatformOrigin.SYSTEMD))
    for number in range(2, 100):
        ring.append(event(number, "", origin=PlatformOrigin.INOTIFY))
    assert next(iter(ring)).sequence == 1


@given(st.lists(st.tuples(st.sampled_from(["", "a", "b", "c"]), st.integers(0, 900)), max_size=120))
def test_it_is_bounded_and_in_order_whatever_comes(rows: list[tuple[str, int]]):
    """The newest event is kept, no bound is passed, the books are right, and nobody has gone below a fair share."""
    ring = EventRing(most=20, bytes=9_000)
    for number, (scope, length) in enumerate(rows, 1):
        ring.append(event(number, scope, "x" * length))
        kept = list(ring)
        assert kept[-1].sequence == number
        assert [each.sequence for each in kept] == sorted(each.sequence for each in kept)
        assert list(reversed(ring)) == kept[::-1]
        assert len(kept) <= ring.most
        assert sum(map(size_of, kept)) == ring.held <= ring.bytes
