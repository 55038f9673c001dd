"""The triggers of a run: the events that led to it, bounded however many there are and however long it takes.

Causes come first: what people and the repository did. Of them the newest stay, and some of each kind; of all else the
oldest, since what a storm of events began with says more than its end. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from eventd.kernel.model.events import Event

KEPT = 32
"""Events named per run; a storm of uevents is one reason, not a thousand."""
CAUSES_KEPT = 16
"""Of them causes. More than there are kinds."""


def noted(triggers: Iterable[Event], more: Iterable[Event]) -> tuple[Event, ...]:
    """Return what is kept of both."""
    every = {each.sequence: each for each in (*triggers, *more)}.values()
    causes = [each for each in every if each.kind.is_cause]
    while len(causes) > CAUSES_KEPT:
        [(most, _)] = Counter(each.kind for each in causes).most_common(1)
        causes.remove(next(each for each in causes if each.kind is most))
    others = [each for each in every if not each.kind.is_cause]
    return (*causes, *others[: KEPT - len(causes)])
