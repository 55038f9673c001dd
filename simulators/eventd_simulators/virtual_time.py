"""An asyncio event loop whose clock jumps: a wait of 90 s costs microseconds.

Owns the clock and nothing else. When no callback is ready, the selector moves the time to the next timer;
when there is no timer either, nothing can ever happen again, and `DeadlockError` says which tasks wait where.
Real input and output would make the order of events depend on the machine: sockets, processes and threads are
refused.

anyio takes its deadlines from `loop.time()`, so cancel scopes work unchanged. What iterates over
sets of strings here replays exactly only under a fixed PYTHONHASHSEED.
"""

from __future__ import annotations

import asyncio
import functools
import heapq
import random
import selectors
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from _typeshed import FileDescriptorLike

T = TypeVar("T")
P = ParamSpec("P")

DAY = 86_400.0
EPOCH = 1000.0
"""Where the clock starts, so that a time stamp is never mistaken for "never"."""
REFUSAL = "sockets, pipes, processes and threads are not possible on virtual time"


class VirtualTimeError(RuntimeError):
    """Something that has no meaning on virtual time."""


class DeadlockError(VirtualTimeError):
    """Nothing is ready and no timer is set: every task would wait forever."""


class TimeLimitError(VirtualTimeError):
    """The virtual time limit was passed: something loops."""


class _JumpingSelector(selectors.BaseSelector):
    """Knows the loop's own wake-up pipe only, and never blocks."""

    def __init__(self) -> None:
        self.loop: VirtualTimeLoop | None = None
        self._own: selectors.SelectorKey | None = None

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        if self._own is not None:
            raise VirtualTimeError(REFUSAL)
        number = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        self._own = selectors.SelectorKey(fileobj, number, events, data)
        return self._own

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        if self._own is None or fileobj not in (self._own.fileobj, self._own.fd):
            raise KeyError(fileobj)
        key, self._own = self._own, None
        return key

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.loop is not None:
            self.loop.jump(timeout)
        return []

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        return {} if self._own is None else {self._own.fd: self._own}


class _OrderedTimer(asyncio.TimerHandle):
    """Timers of the same time run in the order in which they were made; asyncio's heap alone does not ensure it."""

    def __init__(self, number: int, when: float, callback: Any, args: Any, loop: Any, context: Any) -> None:
        super().__init__(when, callback, args, loop, context)
        self._number = number

    def __lt__(self, other: asyncio.TimerHandle) -> bool:
        if isinstance(other, _OrderedTimer) and other.when() == self.when():
            return self._number < other._number
        return super().__lt__(other)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`time()` is virtual seconds since `EPOCH`; `random` is the only source of randomness of this run."""

    def __init__(self, *, seed: int = 0, limit: float = DAY) -> None:
        selector = _JumpingSelector()
        self._now = EPOCH
        super().__init__(selector)
        self.random = random.Random(seed)  # noqa: S311
        self.seed = seed
        self._limit = EPOCH + limit
        self._timers = 0
        selector.loop = self

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """Like asyncio's, with an order among equal times."""
        self._timers += 1
        timer = _OrderedTimer(self._timers, when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]  # noqa: SLF001
        return timer

    def jump(self, timeout: float | None) -> None:
        """Move the clock to the next timer (`timeout`: how long to sleep, 0 if a callback is ready)."""
        if timeout is None:
            msg = f"nothing is ready and no timer is set\n{self._describe()}"
            raise DeadlockError(msg)
        if timeout <= 0:
            return
        # The exact time of the next timer: adding the difference would be off by a rounding error, and a
        # timer that is slightly early is not run.
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        self._now = scheduled[0].when() if scheduled else self._now + timeout
        if self._now > self._limit:
            msg = f"still busy after {self._limit - EPOCH:.0f} virtual seconds\n{self._describe()}"
            raise TimeLimitError(msg)

    def _write_to_self(self) -> None:
        """Do nothing: the selector never sleeps, so there is nothing to wake."""

    def _describe(self) -> str:
        lines = [
            f"nothing is ready and nothing is due at {self._now - EPOCH:.6f} s (seed {self.seed}); waiting:"
        ]
        for task in sorted(asyncio.all_tasks(self), key=lambda task: task.get_name()):
            frames = task.get_stack(limit=1)
            place = f"{frames[-1].f_code.co_filename}:{frames[-1].f_lineno}" if frames else "?"
            lines.append(f"  {task.get_name()}: {task.get_coro()!r} at {place}")
        return "\n".join(lines)

    def _refuse(self, *args: object, **kwargs: object) -> NoReturn:
        del args, kwargs
        raise VirtualTimeError(REFUSAL)

    # Refused here and not only in the selector, which would come after the socket or the process was made.
    run_in_executor = _refuse
    subprocess_exec = subprocess_shell = _refuse
    create_connection = create_server = create_datagram_endpoint = _refuse
    create_unix_connection = create_unix_server = _refuse
    connect_read_pipe = connect_write_pipe = add_reader = add_writer = _refuse


def current_random() -> random.Random:
    """Return the running virtual loop's source of randomness."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualTimeLoop):
        raise VirtualTimeError("this loop is not virtual, it has no seed")
    return loop.random


def run(coroutine: Coroutine[Any, Any, T], *, seed: int = 0, limit: float = DAY) -> T:
    """Run to the end on a new virtual loop, and return the result.

    Raises DeadlockError when nothing can happen any more, and TimeLimitError after `limit` virtual seconds.
    Tasks that are left over are cancelled.
    """
    loop = VirtualTimeLoop(seed=seed, limit=limit)
    asyncio.set_event_loop(loop)
    task = loop.create_task(coroutine, name="main")
    try:
        return loop.run_until_complete(task)
    finally:
        try:
            _cancel_all(loop)
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            loop.close()


def _cancel_all(loop: VirtualTimeLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        # A task that refuses its cancellation would deadlock once more; the first error is the one to report.
        with suppress(VirtualTimeError):
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))


def virtual(
    *, seed: int = 0, limit: float = DAY
) -> Callable[[Callable[P, Coroutine[Any, Any, None]]], Callable[P, None]]:
    """Turn an async test into one that runs on virtual time; fixtures and parameters are passed on."""

    def decorate(function: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
        @functools.wraps(function)
        def test(*args: P.args, **kwargs: P.kwargs) -> None:
            run(function(*args, **kwargs), seed=seed, limit=limit)

        return test

    return decorate
