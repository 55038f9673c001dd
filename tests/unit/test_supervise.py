"""Scope: sources that end with an error are started again, with growing pauses, and not silently."""

from __future__ import annotations

import asyncio

import anyio
from anyio.abc import TaskStatus

from eventd.core.errors import EventdError, PermanentError, TemporaryError
from eventd.core.events import EventKind
from eventd.runtime.dispatch import Dispatcher
from eventd.runtime.supervise import supervise
from eventd_simulators.virtual_time import virtual


class Source:
    """Fails so many times, then runs."""

    def __init__(self, *errors: Exception, early: bool = False) -> None:
        self.errors = list(errors)
        self.early = early
        self.starts: list[float] = []

    async def run(self, status: TaskStatus[None]) -> None:
        self.starts.append(asyncio.get_running_loop().time())
        if not self.early:
            status.started()
        if self.errors:
            raise self.errors.pop(0)
        if self.early:
            status.started()
        await anyio.sleep_forever()


async def supervised(source: Source, seconds: float) -> tuple[Dispatcher, dict[str, EventdError]]:
    """Run it for a while; return what was told, and the troubles at the end."""
    dispatcher, troubles, at_end = Dispatcher(), dict[str, EventdError](), {}
    async with anyio.create_task_group() as group:
        await group.start(supervise, "files", source.run, dispatcher.emit, troubles)
        await anyio.sleep(seconds)
        at_end = dict(troubles)
        group.cancel_scope.cancel()
    return dispatcher, at_end


@virtual()
async def test_a_failing_source_is_started_again_and_says_gap() -> None:
    """Watches are exhausted three times: four starts, three gaps, and no trouble is left in the end."""
    source = Source(*(TemporaryError("no watches left", reason="inotify-exhausted") for _ in range(3)))
    dispatcher, troubles = await supervised(source, 100)
    assert len(source.starts) == 4
    gaps = [event for event in dispatcher.events if event.kind is EventKind.GAP]
    assert [event.attributes["reason"] for event in gaps] == ["inotify-exhausted"] * 3
    assert troubles == {}


@virtual()
async def test_the_pauses_grow() -> None:
    """A source that always fails is no busy loop."""
    source = Source(*(PermanentError("no") for _ in range(1000)))
    _, troubles = await supervised(source, 3600)
    pauses = [after - before for before, after in zip(source.starts, source.starts[1:], strict=False)]
    assert len(source.starts) < 25
    assert pauses == sorted(pauses)
    assert troubles["files"].message == "no"


@virtual()
async def test_a_bug_and_a_group_of_errors_are_survived() -> None:
    """A foreign exception says nothing but its type; a task group's errors are told as the first of them."""
    group = ExceptionGroup("tasks", [ExceptionGroup("inner", [PermanentError("inside", reason="inside")])])
    source = Source(ValueError("hunter2"), group, ExceptionGroup("mixed", [PermanentError("x"), KeyError()]))
    dispatcher, _ = await supervised(source, 100)
    reasons = [e.attributes["reason"] for e in dispatcher.events if e.kind is EventKind.GAP]
    assert reasons == ["bug", "inside", "bug"]
    assert "hunter2" not in repr(list(dispatcher.events))


@virtual()
async def test_readiness_is_told_once_and_only_when_it_is_true() -> None:
    """A source that fails before its first read keeps the start waiting; later starts tell nobody."""
    source = Source(PermanentError("not yet"), early=True)
    loop = asyncio.get_running_loop()
    before = loop.time()
    await supervised(source, 1)
    assert loop.time() - before > 2.0


@virtual()
async def test_a_source_that_just_ends_is_missed() -> None:
    """An end without an error is no reason not to start it again."""
    dispatcher, troubles = Dispatcher(), dict[str, EventdError]()

    async def run(_status: TaskStatus[None]) -> None:
        return

    with anyio.move_on_after(1):
        await supervise("files", run, dispatcher.emit, troubles)
    assert troubles["files"].reason == "ended"
