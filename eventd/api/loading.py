"""What a request waits for whose answer depends on what the repository wants: the first commit after a start."""

from __future__ import annotations

import anyio

from eventd.api import documents
from eventd.core.errors import TemporaryError
from eventd.runtime.in_force import FETCH
from eventd.runtime.reconcile import Reconciler

LOAD_TIMEOUT = 60.0
"""Seconds to wait for the first commit after a start."""


async def until_loaded(reconciler: Reconciler) -> None:
    """Wait until it is known what there is, or that it cannot be known just now: a daemon listens before it has read.

    Raises TemporaryError(reason="starting") after LOAD_TIMEOUT seconds.
    """
    changed = anyio.Event()

    def look() -> None:
        nonlocal changed
        changed.set()
        changed = anyio.Event()

    reconciler.changed.append(look)
    stop = reconciler.dispatcher.facts.watch((FETCH,), lambda _key: look())
    try:
        with anyio.fail_after(LOAD_TIMEOUT):
            while documents.overall(reconciler) == "starting":
                await changed.wait()
    except TimeoutError:
        raise TemporaryError(
            "the daemon has no commit of the repository yet",
            reason="starting",
            hint="eventctl status says what it waits for",
        ) from None
    finally:
        stop()
        reconciler.changed = [each for each in reconciler.changed if each is not look]
