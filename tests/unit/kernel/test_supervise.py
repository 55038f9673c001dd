"""Scope: sources that end with an error are started again, with growing pauses, and not silently."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from anyio.abc import TaskStatus

from eventd.kernel.dispatch import Dispatcher
from eventd.kernel.model.errors import EventdError, PermanentError, TemporaryError
from eventd.kernel.model.events import KernelEvent, KernelOrigin
from eventd.kernel.model.facts import FactKey, KernelFact
from eventd.kernel.model.source_state import SourceState
from eventd.kernel.source_errors import SourceErrors
from eventd.kernel.supervise import SETTLE, settled, supervise
from eventd.platform.model_events import PlatformOrigin
from eventd_simulators.virtual_time import virtual


class Source:
    """Fails so many times, then runs."""

    def __init__(self, *errors: Exception, early: bool = False) -> None:
        self.errors = list(errors)
        self.early = early
        self.reads = 0.0
        self.starts: list[float] = []

    async def run(self, status: TaskStatus[None]) -> None:
        self.starts.append(asyncio.get_running_loop().time())
        if not self.early:
            status.started()
        if self.errors:
            raise self.errors.pop(0)
        if self.early:
            await anyio.sleep(self.reads)
            status.started()
        await anyio.sleep_forever()


async def supervised(source: Source, seconds: float) -> tuple[Dispatcher, dict[str, EventdError]]:
    """Run it for a while; return what was told, and the troubles at the end."""
    dispatcher = Dispatcher()
    errors = SourceErrors(dispatcher.facts, lambda: None)
    async with anyio.create_task_group() as group:
        group.start_soon(supervise, "files", source.run, dispatcher.emit)
        await anyio.sleep(seconds)
        group.cancel_scope.cancel()
    return dispatcher, dict(errors)


@virtual()
async def test_a_failing_source_is_started_again_and_says_gap() -> None:
    """Watches are exhausted three times: four starts, three gaps, and no trouble is left in the end."""
    source = Source(*(TemporaryError("no watches left", reason="inotify-exhausted") for _ in range(3)))
    dispatcher, problems = await supervised(source, 100)
    assert len(source.starts) == 4
    gaps = [event for event in dispatcher.events if event.kind is KernelEvent.GAP]
    assert [event.attributes["reason"] for event in gaps] == ["inotify-exhausted"] * 3
    assert problems == {}


@virtual()
async def test_the_pauses_grow() -> None:
    """A source that always fails is no busy loop."""
    source = Source(*(PermanentError("no") for _ in range(1000)))
    _, problems = await supervised(source, 3600)
    pauses = [after - before for before, after in zip(source.starts, source.starts[1:], strict=False)]
    assert len(source.starts) < 25
    assert pauses == sorted(pauses)
    assert problems["files"].message == "no"


@virtual()
async def test_a_bug_and_a_group_of_errors_are_survived() -> None:
    """A foreign exception says nothing but its type; a task group's errors are told as the first of them."""
    group = ExceptionGroup("tasks", [ExceptionGroup("inner", [PermanentError("inside", reason="inside")])])
    source = Source(ValueError("hunter2"), group, ExceptionGroup("mixed", [PermanentError("x"), KeyError()]))
    dispatcher, _ = await supervised(source, 100)
    reasons = [e.attributes["reason"] for e in dispatcher.events if e.kind is KernelEvent.GAP]
    assert reasons == ["bug", "inside", "bug"]
    assert "hunter2" not in repr(list(dispatcher.events))


@virtual()
async def test_a_source_is_in_trouble_until_it_has_read_everything_again() -> None:
    """To be started again cures nothing yet: what it missed is known only when it has read."""
    source = Source(PermanentError("not yet"), early=True)
    dispatcher, seen = Dispatcher(), list[object]()
    errors = SourceErrors(dispatcher.facts, lambda: seen.append(bool(errors.rows)))
    source.reads = 5.0
    async with anyio.create_task_group() as group:
        group.start_soon(supervise, "files", source.run, dispatcher.emit)
        with anyio.move_on_after(4):
            await anyio.sleep_forever()
        assert len(source.starts) == 2
        assert errors.rows["files"].message == "not yet"
        await anyio.sleep(5)
        assert dispatcher.facts.get(FactKey(KernelFact.SOURCE, "files")) is True
        group.cancel_scope.cancel()
    assert seen == [True, False]


@virtual()
@pytest.mark.parametrize("missing", ["logind", "mounts", "devices", "gate-files"])
async def test_a_source_that_never_reads_is_not_waited_for(missing: str) -> None:
    """Whichever it is: the rest goes on after a moment, and who is missing is said until it is there."""
    dispatcher, names = Dispatcher(), ["systemd", "logind", "mounts", "devices", "gate-files"]
    errors = SourceErrors(dispatcher.facts, lambda: None)
    loop = asyncio.get_running_loop()
    began = loop.time()
    for name in names:
        if name != missing:
            SourceState(dispatcher.emit, KernelOrigin.DAEMON, name).current()
    await settled(dispatcher.facts, dispatcher.emit, names)
    assert loop.time() - began == SETTLE, "in virtual time"
    assert dict(errors)[missing].reason == f"{missing}-unavailable"
    SourceState(dispatcher.emit, KernelOrigin.DAEMON, missing).current()
    assert dict(errors) == {}
    await settled(dispatcher.facts, dispatcher.emit, names)
    assert loop.time() - began == SETTLE, "nothing is waited for that is there"


@virtual()
async def test_without_systemd_there_is_nothing_to_go_on_with() -> None:
    """It is waited for, however long it takes, and that is said."""
    dispatcher, done = Dispatcher(), anyio.Event()
    errors = SourceErrors(dispatcher.facts, lambda: None)

    async def wait() -> None:
        await settled(dispatcher.facts, dispatcher.emit, ["systemd"])
        done.set()

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await anyio.sleep(3600)
        assert not done.is_set()
        assert dict(errors)["systemd"].reason == "systemd-unavailable"
        SourceState(dispatcher.emit, PlatformOrigin.SYSTEMD, "systemd").current()
        await done.wait()
    assert dict(errors) == {}


@virtual()
async def test_a_source_that_just_ends_is_missed() -> None:
    """An end without an error is no reason not to start it again."""
    dispatcher = Dispatcher()
    errors = SourceErrors(dispatcher.facts, lambda: None)

    async def run(_status: TaskStatus[None]) -> None:
        return

    with anyio.move_on_after(1):
        await supervise("files", run, dispatcher.emit)
    assert dict(errors)["files"].reason == "ended"
