"""The triggers of a run: the events that led to it, bounded in number.

Causes come first: what people and the repository did. Of causes the newest are kept, and some of each kind. Of other
events the oldest are kept, since the beginning of a storm of events says more than its end. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from eventd.kernel.model.events import Event

KEPT = 32
"""Most events named per run."""
CAUSES_KEPT = 16
"""Most causes among them. More than there are kinds."""


def noted(triggers: Iterable[Event], more: Iterable[Event]) -> tuple[Event, ...]:
    """Return the triggers that are kept of both."""
    every = {each.sequence: each for each in (*triggers, *more)}.values()
    causes = [each for each in every if each.kind.is_cause]
    while len(causes) > CAUSES_KEPT:
        [(most, _)] = Counter(each.kind for each in causes).most_common(1)
        causes.remove(next(each for each in causes if each.kind is most))
    others = [each for each in every if not each.kind.is_cause]
    return (*causes, *others[: KEPT - len(causes)])
