"""Listeners: who wants to know subscribes, and is isolated from everybody else.

Owns the list, and what becomes of a listener that raises: that is logged, with the listener's name, and nothing else
fails for it. A listener may end its own subscription, or another one's, while it is told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, ParamSpec

log = logging.getLogger(__name__)
P = ParamSpec("P")


class Listeners(Generic[P]):
    """Subscribers to one kind of news; calling the object tells them."""

    __slots__ = ("_listeners", "_what")

    def __init__(self, what: str) -> None:
        """Name the news, for the log."""
        self._what = what
        self._listeners: list[tuple[str, Callable[P, object]]] = []

    def subscribe(self, name: str, listener: Callable[P, object]) -> Callable[[], None]:
        """Call `listener` with all news from now on; return what ends that. `name` is who it is, in the log."""
        row = name, listener
        self._listeners.append(row)

        def stop() -> None:
            self._listeners = [each for each in self._listeners if each is not row]

        return stop

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Tell everybody who has subscribed."""
        for name, listener in tuple(self._listeners):
            try:
                listener(*args, **kwargs)
            except Exception:
                log.exception("bug: %s failed when it was told of %s", name, self._what)

    def __contains__(self, name: object) -> bool:
        """Tell whether somebody of this name has subscribed."""
        return any(each == name for each, _ in self._listeners)

    def __len__(self) -> int:
        return len(self._listeners)
