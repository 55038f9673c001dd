"""Supervision: a source that ends with an error is started again, after pauses that grow, and that is said.

Owns when to start again, and says how the source stands (`eventd.kernel.model.source_state`). While it is down the
host cannot be called converged, since nobody would notice a change; started again it reads everything afresh, what it
missed is found, and only then it is no longer said to be in trouble.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Iterator, Sequence

import anyio
from anyio.abc import TaskStatus

from eventd.kernel.model import backoff
from eventd.kernel.model.errors import EventdError, TemporaryError
from eventd.kernel.model.events import Emit, KernelOrigin
from eventd.kernel.model.facts import Facts
from eventd.kernel.model.source_state import SourceState, source
from eventd.kernel.waiting import until

log = logging.getLogger(__name__)
SETTLE = 3.0
"""Seconds that the first run waits for what the sources read, systemd's units apart."""
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


class _Started(TaskStatus[None]):
    """What a source calls when it has read everything, each time that it is started."""

    def __init__(self, state: SourceState) -> None:
        self._state = state

    def started(self, value: None = None) -> None:  # noqa: ARG002  of anyio's protocol
        self._state.current()


async def supervise(
    name: str,
    run: Callable[[TaskStatus[None]], Awaitable[None]],
    emit: Emit,
    own: SourceState | None = None,
) -> None:
    """Keep `run(task_status)` running until cancelled; the SOURCE fact `name` says how it stands.

    `own`: what the source itself says that by, if it does: two records of one fact would take each other's word back.
    """
    state, attempts = own or SourceState(emit, KernelOrigin.DAEMON, name), 0
    while True:
        began = anyio.current_time()
        try:
            await run(_Started(state))
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
        state.trouble(trouble)
        await anyio.sleep(backoff.delay(attempts, 0.0))


async def beside(name: str, run: Callable[[], Awaitable[object]]) -> None:
    """Await `run()`, which nothing else stands on: an error is logged and ends it, and nothing else."""
    try:
        await run()
    except Exception as error:
        expected = known(error)
        if expected is None:
            log.exception("bug: %s ended with %s", name, type(error).__name__)
        else:
            log.error("%s: %s", name, expected)  # noqa: TRY400 - reported, not a bug


async def settled(facts: Facts, emit: Emit, names: Sequence[str]) -> None:
    """Return when systemd's units have been read, and each of these sources has been, or cannot be within `SETTLE`.

    For systemd there is no deadline, as there is nothing to go on with: what keeps it away is told, by itself or here.
    """
    keys = [source(name) for name in names]
    if not await until(facts, keys, lambda: all(key in facts for key in keys), timeout=SETTLE):
        for name in names:
            if source(name) not in facts:
                late = TemporaryError(
                    f"{name} has not been read within {SETTLE:g} s",
                    reason=f"{name}-unavailable",
                    hint="what needs it waits, and goes on as soon as it is there; journalctl -u eventd",
                )
                SourceState(emit, KernelOrigin.DAEMON, name).trouble(late)
    first = source("systemd")
    await until(facts, [first], lambda: facts.get(first) is True, timeout=math.inf)
