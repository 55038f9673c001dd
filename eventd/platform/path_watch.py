"""Subscriptions on every folder on the way to a path, for the source that reads the path.

A read reports the way it took (`eventd.platform.path_lookup`), and `cover` subscribes to exactly that. The order is
always: read, cover, and read again if there was a new subscription, so that no change between the two is missed.
"""

from __future__ import annotations

from collections.abc import Callable

from asyncinotify import Mask

from eventd.platform.inotify import NAMES, SELF, Change, Inotify, Subscription

Step = tuple[str, str]
"""A folder, and the name that was looked up in it."""


class PathWatch:
    """Of one path."""

    def __init__(
        self, inotify: Inotify, *, again: Callable[[], None], anew: Callable[[], None], last: Mask
    ) -> None:
        """Call `again` to have it looked at, and `anew` where the subscriptions may lead elsewhere by now.

        `last`: what is wanted to be known of the entry at the end, besides that it comes and goes.
        """
        self._inotify = inotify
        self._again = again
        self._anew = anew
        self._mask = last
        self._steps: dict[Step, Subscription] = {}
        self._end: Step = ("/", "")

    @property
    def steps(self) -> tuple[Step, ...]:
        """What is subscribed to."""
        return tuple(self._steps)

    def passes(self, point: str, path: str) -> bool:
        """Tell whether the way to `path` leads over a folder, or into it."""
        below = point.rstrip("/") + "/"
        if not self._steps or f"{path}/".startswith(below):
            return True  # without a way it is being looked at just now, and nobody knows what was seen
        return any(f"{folder}/{name}/".replace("//", "/").startswith(below) for folder, name in self._steps)

    def cover(self, way: tuple[Step, ...]) -> bool:
        """Have subscriptions for exactly this way; return whether there was a new one, so look once more.

        Raises TemporaryError(reason="inotify-exhausted").
        """
        for step in [step for step in self._steps if step not in way]:
            self._inotify.cancel(self._steps.pop(step))
        new = False
        self._end = way[-1] if way else self._end
        for step in way:
            if step not in self._steps:
                # What is found at the end has an owner and a mode; what is passed on the way does not count.
                mask = NAMES | SELF | self._mask if step == self._end else NAMES | SELF
                subscription = self._inotify.subscribe(step[0], mask, self._listener(step), follow=False)
                if subscription is not None:  # else it is gone by now, which the folder above it tells
                    self._steps[step] = subscription
                    new = True
        return new

    def leave(self) -> None:
        """End all subscriptions."""
        for subscription in self._steps.values():
            self._inotify.cancel(subscription)
        self._steps.clear()

    def _listener(self, step: Step) -> Callable[[Change], None]:
        def on_change(change: Change) -> None:
            # What is below a folder that was renamed tells nothing, so the way down is subscribed to anew.
            if change.lost or (change.name == step[1] and step != self._end):
                self._anew()
            elif change.name == step[1]:
                self._again()

        return on_change
