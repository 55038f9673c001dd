"""A request that waits for its run: JSON lines with the run's progress and its report.

{"type": "queued"}, {"type": "run", "id": 7}, {"type": "progress", ...}, ..., {"type": "done", "run": {...}}

While something keeps the run from beginning: {"type": "waiting", "reason", "message", "hint"}.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, NotRequired, TypeAlias

import anyio
from aiohttp import web
from typing_extensions import TypedDict

from eventd.api import answers, model_answers
from eventd.api.model_rights import View
from eventd.api.routing import Api
from eventd.kernel.progress import Progress
from eventd.kernel.queue import RunHandle
from eventd.kernel.whole import whole
from eventd.status import documents_own as own
from eventd.status import documents_run
from eventd.status.documents_run import Run

Begin = Callable[[RunHandle], Awaitable[None]]
"""Stores a request and requests its run: both or neither, even if the client disconnects."""
PROGRESS_KEPT = 4096
"""Steps that a slow reader may lag behind; more are dropped, but never the end."""


class QueuedLine(TypedDict):
    """The first line: the request was accepted."""

    type: Literal["queued"]


class WaitingLine(TypedDict):
    """What the run waits for."""

    type: Literal["waiting"]
    reason: str
    message: str
    hint: str


class RunLine(TypedDict):
    """The run that serves the request has begun."""

    type: Literal["run"]
    id: int | None


class ProgressLine(TypedDict):
    """A step of the run."""

    type: Literal["progress"]
    workload: str
    step: str
    state: str
    message: str
    seconds: float


class DoneLine(TypedDict):
    """The end of the run; `applied` is the earlier run that did the work, if there was nothing left to do."""

    type: Literal["done"]
    run: Run | None
    applied: NotRequired[Run | None]


FollowedLine: TypeAlias = QueuedLine | WaitingLine | RunLine | ProgressLine | DoneLine | model_answers.Ended
"""A line of a request that waits for its run."""


async def asked(
    api: Api,
    request: web.Request,
    view: View,
    begin: Begin,
    *,
    wait: bool,
    answer: object = model_answers.Queued(queued=True),
    status: int = 202,
) -> web.StreamResponse:
    """Carry out `begin`; answer with the progress of its run if the caller waits, otherwise with `answer`."""
    if wait:
        return await followed(api, request, view, begin)
    await whole(lambda: begin(RunHandle(left=True)))
    return answers.document(answer, status=status)


async def followed(api: Api, request: web.Request, view: View, begin: Begin) -> web.StreamResponse:
    """Carry out `begin` with a run handle, and stream the progress of its run, as far as the caller may see it."""
    handle, announced = RunHandle(), [0]
    send, receive = anyio.create_memory_object_stream[FollowedLine](PROGRESS_KEPT)

    def progress(step: Progress) -> None:
        # Called from within the run, which must not wait for a slow reader.
        mine = step.run == handle.run and view.sees(step.workload)
        if mine and send.statistics().current_buffer_used < PROGRESS_KEPT:
            if announced[0] not in (0, step.run):
                send.send_nowait(RunLine(type="run", id=step.run))
            announced[0] = step.run
            send.send_nowait(
                ProgressLine(
                    type="progress",
                    workload=step.workload,
                    step=step.step,
                    state=step.state,
                    message=step.message,
                    seconds=step.seconds,
                )
            )

    stop = api.queries.steps.subscribe("a request", progress)
    try:
        await whole(lambda: begin(handle))
        return await _follow(api, request, view, handle, receive)
    finally:
        handle.left = True
        stop()
        send.close()
        receive.close()


async def _started(api: Api, handle: RunHandle, response: web.StreamResponse) -> None:
    """Return when the run has begun; until then report what it waits for, each cause once."""
    told, changed = "", anyio.Event()

    def wake() -> None:
        changed.set()

    stop = api.queries.passes.subscribe("a request", wake)
    try:
        while not handle.started.is_set():
            changed = anyio.Event()
            error = api.queries.problems.locked
            if error is not None and error.message != told:
                told = error.message
                line = WaitingLine(type="waiting", reason=error.reason, message=told, hint=error.hint)
                await answers.line(response, line)
            async with anyio.create_task_group() as group:

                async def either(wait: Callable[[], Awaitable[object]]) -> None:
                    await wait()
                    group.cancel_scope.cancel()

                group.start_soon(either, handle.started.wait)
                group.start_soon(either, changed.wait)
    finally:
        stop()


async def _follow(
    api: Api, request: web.Request, view: View, handle: RunHandle, receive: Any
) -> web.StreamResponse:
    response = await answers.stream(request)
    await answers.line(response, QueuedLine(type="queued"))
    if not await api.or_end(lambda: _started(api, handle, response)):
        await answers.line(response, answers.stopping())
        return response
    await answers.line(response, RunLine(type="run", id=handle.run))

    ended = False
    async with anyio.create_task_group() as group:

        async def forward() -> None:
            async for message in receive:
                if not await answers.line(response, message):
                    group.cancel_scope.cancel()

        group.start_soon(forward)
        ended = await api.or_end(handle.done.wait)
        group.cancel_scope.cancel()
    while True:
        try:
            await answers.line(response, receive.receive_nowait())
        except (anyio.WouldBlock, anyio.EndOfStream):
            break
    done: DoneLine = {"type": "done", "run": own.done(documents_run.run(handle.report), view)}
    applied = api.queries.applied_run
    if ended and applied is not None and handle.report is not None and applied.id != handle.report.id:
        done["applied"] = own.run(documents_run.run(applied), view)
    await answers.line(response, done if ended else answers.stopping())
    return response
