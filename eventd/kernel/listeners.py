"""Listeners: subscribers to one kind of news, isolated from each other.

A listener that raises is logged by name; nothing else fails. A listener may unsubscribe itself or others while it is
called.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, ParamSpec

log = logging.getLogger(__name__)
P = ParamSpec("P")


class Listeners(Generic[P]):
    """Subscribers to one kind of news. Call the object to notify them."""

    __slots__ = ("_listeners", "_what")

    def __init__(self, what: str) -> None:
        """Name the news, for the log."""
        self._what = what
        self._listeners: list[tuple[str, Callable[P, object]]] = []

    def subscribe(self, name: str, listener: Callable[P, object]) -> Callable[[], None]:
        """Subscribe `listener`; return a function that unsubscribes it. `name` identifies it in the log."""
        row = name, listener
        self._listeners.append(row)

        def stop() -> None:
            self._listeners = [each for each in self._listeners if each is not row]

        return stop

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call all listeners."""
        for name, listener in tuple(self._listeners):
            try:
                listener(*args, **kwargs)
            except Exception:
                log.exception("bug: %s failed when notified of %s", name, self._what)

    def __contains__(self, name: object) -> bool:
        """Return whether a listener of this name is subscribed."""
        return any(each == name for each, _ in self._listeners)

    def __len__(self) -> int:
        return len(self._listeners)
