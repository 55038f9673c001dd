"""Scope: eventd.health.controller_relapses: how often, and for how long it has to be well to count as well."""

from __future__ import annotations

from eventd.health.controller_relapses import FIRST_PAUSE, FORGET, KEPT, LONGEST_PAUSE, Relapses


def test_the_first_time_is_free_and_the_pauses_grow() -> None:
    """Once wrong and well again counts as well at once; after that it has to last, longer each time, up to a limit."""
    relapses, now, pauses = Relapses(), 0.0, []
    for _ in range(KEPT):
        assert relapses.note_unhealthy("web", now) == len(pauses) + 1
        assert relapses.note_unhealthy("web", now) == len(pauses) + 1, "found twice is fallen once"
        pauses.append(relapses.note_healthy("web", now + 1))
        now += 2
    assert pauses[:4] == [0.0, FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert max(pauses) <= LONGEST_PAUSE


def test_what_is_due_is_told_once() -> None:
    """Until somebody looks: a loop that waits for it must not spin."""
    relapses = Relapses(free=0)
    relapses.note_unhealthy("web", 0.0)
    assert relapses.next_due() is None, "it is not well"
    assert relapses.note_healthy("web", 10.0) == FIRST_PAUSE
    assert relapses.next_due() == 10.0 + FIRST_PAUSE
    assert relapses.take_due(14.0) == []
    assert relapses.take_due(15.0) == ["web"]
    assert (relapses.take_due(15.0), relapses.next_due()) == ([], None)
    assert relapses.note_healthy("web", 15.0) == 0.0
    assert relapses.note_healthy("web", 16.0) == 0.0


def test_a_quiet_time_forgets() -> None:
    """What was wrong long ago says nothing."""
    relapses = Relapses()
    relapses.note_unhealthy("web", 0.0)
    relapses.note_healthy("web", 1.0)
    assert relapses.note_unhealthy("web", FORGET + 1) == 1
    assert relapses.note_healthy("web", FORGET + 2) == 0.0
