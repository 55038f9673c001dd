"""Supervision: a source that fails is restarted with backoff, and its state is reported as a SOURCE fact.

While a source is down the host does not count as converged: a change would go unnoticed. A restarted source reads
everything, so it finds what it missed. Its trouble is over only then (`eventd.kernel.model.source_state`).
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
"""Seconds that the first run waits for the sources. For systemd's units it waits without limit."""
QUIET = 60.0
"""Seconds after which the backoff of a running source is reset."""


def bug(error: BaseException) -> EventdError:
    """Return the error to report for a foreign exception. Its text stays in the log: it may quote anything."""
    return EventdError(
        f"a bug in eventd: {type(error).__name__}",
        reason="bug",
        hint="the traceback is in journalctl -u eventd; please report it",
    )


def known(error: Exception) -> EventdError | None:
    """Return the EventdError that an exception or exception group consists of; None if it is anything else."""
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
    """Called by a source once it has read everything, after each start."""

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
    """Keep `run(task_status)` running until cancelled, and report its state as the SOURCE fact `name`.

    `own`: the source's own SourceState, if it has one. Two of them for one fact would overwrite each other.
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
            trouble = EventdError(f"{name} ended by itself", reason="ended")
        attempts = 1 if anyio.current_time() - began > QUIET else attempts + 1
        state.trouble(trouble)
        await anyio.sleep(backoff.delay(attempts, 0.0))


async def beside(name: str, run: Callable[[], Awaitable[object]]) -> None:
    """Await `run()`, on which nothing else depends. An error is logged and ends only it."""
    try:
        await run()
    except Exception as error:
        expected = known(error)
        if expected is None:
            log.exception("bug: %s ended with %s", name, type(error).__name__)
        else:
            log.error("%s: %s", name, expected)  # noqa: TRY400 - reported, not a bug


async def settled(facts: Facts, emit: Emit, names: Sequence[str]) -> None:
    """Wait until systemd's units have been read, then up to `SETTLE` seconds for each of these sources.

    There is no deadline for systemd: nothing can be done without it. Its own SOURCE fact, or this function, reports it.
    """
    keys = [source(name) for name in names]
    if not await until(facts, keys, lambda: all(key in facts for key in keys), timeout=SETTLE):
        for name in names:
            if source(name) not in facts:
                late = TemporaryError(
                    f"{name} has not been read within {SETTLE:g} s",
                    reason=f"{name}-unavailable",
                    hint="what needs it waits, and continues once it has been read; journalctl -u eventd",
                )
                SourceState(emit, KernelOrigin.DAEMON, name).trouble(late)
    first = source("systemd")
    await until(facts, [first], lambda: facts.get(first) is True, timeout=math.inf)
