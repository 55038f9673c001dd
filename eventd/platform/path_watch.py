"""Subscribes to every folder on the way to a path, for the source that reads the path.

A read returns its steps (`eventd.platform.path_lookup`), and `cover` subscribes to exactly those. The order is always:
read, cover, and read again if there was a new subscription. So no change between the two is missed.
"""

from __future__ import annotations

from collections.abc import Callable

from asyncinotify import Mask

from eventd.platform.inotify import NAMES, SELF, Change, Inotify, Subscription

Step = tuple[str, str]
"""A folder, and the name that was looked up in it."""


class PathWatch:
    """The subscriptions of one path."""

    def __init__(
        self, inotify: Inotify, *, changed: Callable[[], None], rerouted: Callable[[], None], last: Mask
    ) -> None:
        """Call `changed` when the entry at the end has changed, `rerouted` when a folder above it may be another one.

        `last`: which changes of the entry at the end are reported, besides that it appears and disappears.
        """
        self._inotify = inotify
        self._changed = changed
        self._rerouted = rerouted
        self._mask = last
        self._steps: dict[Step, Subscription] = {}
        self._end: Step = ("/", "")

    @property
    def steps(self) -> tuple[Step, ...]:
        """The subscribed steps."""
        return tuple(self._steps)

    def passes(self, point: str, path: str) -> bool:
        """Return whether the way to `path` leads through the folder `point`, or into it."""
        below = point.rstrip("/") + "/"
        if not self._steps or f"{path}/".startswith(below):
            return True  # without steps a read is under way, and what it has seen is unknown
        return any(f"{folder}/{name}/".replace("//", "/").startswith(below) for folder, name in self._steps)

    def cover(self, way: tuple[Step, ...]) -> bool:
        """Subscribe to exactly these steps. Return whether there was a new one: then read once more.

        Raises TemporaryError(reason="inotify-exhausted").
        """
        for step in [step for step in self._steps if step not in way]:
            self._inotify.cancel(self._steps.pop(step))
        new = False
        self._end = way[-1] if way else self._end
        for step in way:
            if step not in self._steps:
                # Only the entry at the end counts with its owner and mode.
                mask = NAMES | SELF | self._mask if step == self._end else NAMES | SELF
                subscription = self._inotify.subscribe(step[0], mask, self._listener(step), follow=False)
                if subscription is not None:  # else it is gone, which the folder above it reports
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
            # Nothing below a renamed folder is reported, so the way down needs new subscriptions.
            if change.lost or (change.name == step[1] and step != self._end):
                self._rerouted()
            elif change.name == step[1]:
                self._changed()

        return on_change
