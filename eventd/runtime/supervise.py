"""Supervision: a source that ends with an error is started again, after pauses that grow, and that is said.

Owns when to start again. While a source is down the host cannot be called converged, since nobody would notice
a change; once it is started again it reads everything afresh, and what it missed is found.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, MutableMapping

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from eventd.core import backoff
from eventd.core.errors import EventdError
from eventd.core.events import Emit, EventKind, Origin

log = logging.getLogger(__name__)
QUIET = 60.0
"""Seconds that a source has to run for its failures to be counted anew."""


def bug(error: BaseException) -> EventdError:
    """Return what is said of a foreign exception; its text stays in the log, since it may quote anything."""
    return EventdError(
        f"a bug in eventd: {type(error).__name__}",
        reason="bug",
        hint="the traceback is in journalctl -u eventd; please report it",
    )


def known(error: Exception) -> EventdError | None:
    """Return the EventdError that this is, or that a group of exceptions is made of; None for all else."""
    found = list(_leaves(error))
    if found and all(isinstance(each, EventdError) for each in found):
        first = found[0]
        assert isinstance(first, EventdError)
        return first
    return None


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


class _Once(TaskStatus[None]):
    """Passes on the first start only: the later ones are nobody's business."""

    def __init__(self, status: TaskStatus[None]) -> None:
        self._status = status
        self._told = False

    def started(self, value: None = None) -> None:
        if not self._told:
            self._told = True
            self._status.started(value)


async def supervise(
    name: str,
    run: Callable[[TaskStatus[None]], Awaitable[None]],
    emit: Emit,
    troubles: MutableMapping[str, EventdError],
    *,
    task_status: TaskStatus[None] = TASK_STATUS_IGNORED,
) -> None:
    """Keep `run(task_status)` running until cancelled. `troubles[name]` is its error while it is down."""
    once, attempts = _Once(task_status), 0
    while True:
        began = anyio.current_time()
        try:
            await run(once)
        except Exception as error:
            expected = known(error)
            if expected is None:
                log.exception("bug: %s ended with %s", name, type(error).__name__)
            else:
                log.error("%s: %s", name, expected)  # noqa: TRY400 - reported, not a bug
            trouble = expected or bug(error)
        else:
            trouble = EventdError(f"{name} has ended by itself", reason="ended")
        attempts = 1 if anyio.current_time() - began > QUIET else attempts + 1
        troubles[name] = trouble
        emit(Origin.DAEMON, EventKind.GAP, name, attributes={"reason": trouble.reason, "error": str(trouble)})
        await anyio.sleep(backoff.delay(attempts, 0.0))
        del troubles[name]
