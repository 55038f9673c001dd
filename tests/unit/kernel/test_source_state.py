"""Scope: a source is in trouble until it has read again what it missed, whichever it is and however it is started."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from anyio.abc import TaskStatus

import eventd
from eventd.kernel.dispatch import Dispatcher
from eventd.kernel.model.errors import PermanentError, TemporaryError
from eventd.kernel.model.events import KernelEvent
from eventd.kernel.model.facts import FactKey, KernelFact, SourceTrouble
from eventd.kernel.model.source_state import SourceState
from eventd.kernel.supervise import supervise
from eventd.mounts.model_events import MountOrigin
from eventd.platform.wake_loop import run_on_wake
from eventd_simulators.virtual_time import virtual

KEY = FactKey(KernelFact.SOURCE, "disks")
AT_ONCE = {
    "managers/source.py": "each user has a MANAGER fact, which says how it stands",
    "gates/source_probes.py": "each is asked anew at once, and that it cannot be asked is said",
}
"""Sources that have nothing of their own to read again."""


def made() -> tuple[Dispatcher, SourceState]:
    dispatcher = Dispatcher()
    return dispatcher, SourceState(dispatcher.emit, MountOrigin.UDEV, "disks")


async def test_a_gap_of_a_source_in_trouble_leaves_it_in_trouble() -> None:
    """That it tries again cures nothing."""
    dispatcher, state = made()
    state.trouble(TemporaryError("no", reason="no"))
    state.lost("again")
    assert isinstance(dispatcher.facts.get(KEY), SourceTrouble)
    state.current()
    assert dispatcher.facts.get(KEY) is True


async def test_the_first_failure_is_a_gap_and_the_second_a_trouble() -> None:
    """What was lost is read again, and only if that fails as well somebody has to know."""
    dispatcher, state = made()
    state.current()
    state.failed(TemporaryError("no", reason="no"))
    assert KEY not in dispatcher.facts
    state.failed(TemporaryError("no", reason="no"))
    assert isinstance(dispatcher.facts.get(KEY), SourceTrouble)
    state.mended()
    assert dispatcher.facts.get(KEY) is True
    events = [event.kind for event in dispatcher.events]
    state.mended()
    assert [event.kind for event in dispatcher.events] == events
    assert events == [KernelEvent.SOURCE, KernelEvent.GAP, KernelEvent.GAP, KernelEvent.SOURCE]


@virtual()
async def test_what_a_source_says_of_itself_takes_no_trouble_back() -> None:
    """It was current when it ended with an error. Started again it fails once more: it is in trouble all the time."""
    dispatcher, state = made()
    seen: list[bool] = []

    async def run(status: TaskStatus[None]) -> None:
        if state.was_read:
            state.failed(TemporaryError("not yet", reason="not-yet"))
            seen.append(isinstance(dispatcher.facts.get(KEY), SourceTrouble))
            await anyio.sleep(5)
        state.current()
        status.started()
        if not seen:
            raise PermanentError("it ends", reason="ends")
        await anyio.sleep_forever()

    with anyio.move_on_after(100):
        await supervise("disks", run, dispatcher.emit, state)
    assert seen == [True]
    assert dispatcher.facts.get(KEY) is True


@virtual()
async def test_a_source_is_well_once_it_has_read_and_not_when_it_runs() -> None:
    """The work comes first; while it takes, and when it fails, the trouble is still there."""
    dispatcher = Dispatcher()
    fails = [TemporaryError("no watches left", reason="inotify-exhausted")] * 2
    slow, key = anyio.Event(), FactKey(KernelFact.SOURCE, "files")

    async def work() -> None:
        if fails:
            raise fails.pop()
        await slow.wait()

    async with anyio.create_task_group() as group:
        group.start_soon(
            supervise, "files", lambda status: run_on_wake(asyncio.Event(), work, status), dispatcher.emit
        )
        await anyio.sleep(60)
        assert not fails
        assert isinstance(dispatcher.facts.get(key), SourceTrouble)
        assert KernelEvent.SOURCE not in [event.kind for event in dispatcher.events]
        slow.set()
        await anyio.sleep(1)
        assert dispatcher.facts.get(key) is True
        group.cancel_scope.cancel()


SOURCES = sorted(Path(eventd.__path__[0]).rglob("source*.py"))


def _runs() -> list[tuple[str, ast.AsyncFunctionDef]]:
    return [
        (str(path.relative_to(eventd.__path__[0])), node)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.AsyncFunctionDef)
        and node.name == "run"
        and any(argument.arg == "task_status" for argument in node.args.kwonlyargs)
    ]


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a function without those of the functions in it, which are called by what it awaits."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from _own(child)


@pytest.mark.parametrize(("name", "run"), _runs(), ids=lambda each: each if isinstance(each, str) else "")
def test_no_source_says_that_it_is_well_before_it_has_done_anything(
    name: str, run: ast.AsyncFunctionDef
) -> None:
    """`started` is what takes the trouble of a source back: an `await` of what it has missed comes before it."""
    own = list(_own(run))
    done = [node.end_lineno or 0 for node in own if isinstance(node, ast.Await | ast.AsyncWith)]
    started = [
        node.lineno
        for node in own
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "started"
    ]
    early = [line for line in started if not any(before < line for before in done)]
    assert bool(early) == (name in AT_ONCE)
