"""The routes: two unix sockets, one for people and programs of this host, one that can only say "pushed"."""

from __future__ import annotations

import asyncio
import grp
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eventd.api import documents
from eventd.api.access import Right, caller, right_of
from eventd.api.boot_document import boot
from eventd.api.gates_document import gates
from eventd.api.metrics import Metrics
from eventd.core.boot import BootRecord
from eventd.core.boot_svg import svg
from eventd.core.errors import EventdError, PermanentError
from eventd.core.events import Event, EventKind, Origin
from eventd.runtime.fetch import Fetcher
from eventd.runtime.load import ReadLive
from eventd.runtime.queue import Ticket
from eventd.runtime.reconcile import Progress, Reconciler
from eventd.runtime.supervise import bug

M = TypeVar("M", bound=BaseModel)
log = logging.getLogger(__name__)
MAX_BODY = 64 * 1024
DIGITS = 18
"""Of a number in a query."""
BODY_TIMEOUT = 10.0
"""Seconds for a request's body to arrive."""
WRITE_TIMEOUT = 300.0
"""Seconds that a follower may leave its stream unread before it is hung up on."""
PROGRESS_KEPT = 4096
"""Steps of a run that a slow reader may lag behind; what is more is left out, the end never is."""
KEEP_RUNS = 100


class SyncRequest(BaseModel):
    """POST /v1/sync."""

    model_config = ConfigDict(extra="forbid")
    wait: bool = False
    fetch: bool = True
    allow_rewrite: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")


class Pushed(BaseModel):
    """POST /v1/pushed, from the webhook listener: a hint to look, and nothing that is believed."""

    model_config = ConfigDict(extra="ignore")
    repository: str = Field(default="", max_length=512)
    branch: str = Field(default="", max_length=512)
    commit: str = Field(default="", max_length=128)
    delivery: str = Field(default="", max_length=256)
    hook: str = Field(default="", max_length=256)


@dataclass(slots=True)
class Server:
    """Serves both sockets until its context ends."""

    reconciler: Reconciler
    fetcher: Fetcher
    identity: documents.Identity
    group: str
    doctor: Callable[[], Awaitable[list[dict[str, Any]]]]
    allow_rewrite: Callable[[str], None]
    boot: Callable[[], Awaitable[BootRecord]]
    live_graph: ReadLive | None = None
    metrics: Metrics = field(init=False)
    _ending: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        """Make the metrics over the same reconciler."""
        self.metrics = Metrics(self.reconciler)

    async def listen(self, stack: AsyncExitStack, path: str, group: str, *, webhook: bool) -> None:
        """Open a socket; it goes when `stack` is closed. Mode 0660, owned by the group if it exists.

        Raises PermanentError(reason="socket-unusable"). Whether another daemon listens there is not asked: that
        there is no other was made sure of before.
        """
        app = self.webhook_app() if webhook else self.app()
        # Cancelled when its client goes away: a follower that has hung up is not kept until the next event.
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=2.0, handle_signals=False, handler_cancellation=True
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        try:
            await web.SockSite(runner, _bind(path, group)).start()
        except OSError as error:
            raise PermanentError(
                f"cannot listen at {path}: {error.strerror or error}", reason="socket-unusable"
            ) from error

    def end_streams(self) -> None:
        """Let every stream end, so that a drain does not wait for a follower."""
        self._ending.set()

    def app(self) -> web.Application:
        """Return the routes of the operators' socket."""
        app = web.Application(client_max_size=MAX_BODY, middlewares=[self._guard])
        app.router.add_get("/v1/status", self._status)
        app.router.add_get("/v1/status/{workload}", self._status_one)
        app.router.add_get("/v1/plan", self._plan)
        app.router.add_get("/v1/why/{workload}", self._why)
        app.router.add_get("/v1/gates", self._gates)
        app.router.add_get("/v1/boot", self._boot)
        app.router.add_get("/v1/boot.svg", self._boot_svg)
        app.router.add_get("/v1/events", self._events)
        app.router.add_get("/v1/runs", self._runs)
        app.router.add_get("/v1/runs/{id}", self._run)
        app.router.add_get("/v1/doctor", self._doctor)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_post("/v1/sync", self._sync)
        return app

    def webhook_app(self) -> web.Application:
        """Return the one route of the webhook's socket."""
        app = web.Application(client_max_size=MAX_BODY, middlewares=[_errors])
        app.router.add_post("/v1/pushed", self._pushed)
        return app

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        right = await _right(request, self.group)
        needed = Right.READ if request.method in ("GET", "HEAD") else Right.CONTROL
        if right is Right.NOTHING or (needed is Right.CONTROL and right is not Right.CONTROL):
            hint = f"members of {self.group} may read" if right is Right.NOTHING else "only root may do this"
            return _error(403, "forbidden", "you may not do this", hint)
        return await _errors(request, handler)

    async def _status(self, _request: web.Request) -> web.Response:
        return _json(documents.status(self.reconciler, self.identity))

    async def _status_one(self, request: web.Request) -> web.Response:
        return _json(documents.workload(self.reconciler, self._known(request)))

    async def _why(self, request: web.Request) -> web.Response:
        return _json(documents.why(self.reconciler, self._known(request)))

    async def _gates(self, _request: web.Request) -> web.Response:
        return _json(await gates(self.reconciler, self.live_graph))

    async def _boot(self, _request: web.Request) -> web.Response:
        return _json(boot(await self.boot()))

    async def _boot_svg(self, _request: web.Request) -> web.Response:
        return web.Response(text=svg(await self.boot()), content_type="image/svg+xml")

    async def _plan(self, request: web.Request) -> web.Response:
        if request.query.get("fetch") == "1" and await _right(request, self.group) is not Right.CONTROL:
            return _error(
                403, "forbidden", "only root may fetch", "leave out --fetch to see the current plan"
            )
        if request.query.get("fetch") == "1":
            return _json(await documents.plan(self.reconciler, await self.fetcher.preview()))
        return _json(await documents.plan(self.reconciler))

    async def _runs(self, request: web.Request) -> web.Response:
        limit = request.query.get("limit", "20")
        if not limit.isdecimal() or len(limit) > DIGITS or not 1 <= int(limit) <= KEEP_RUNS:
            raise PermanentError(f"limit has to be 1 to {KEEP_RUNS}", reason="bad-request")
        texts = await self.reconciler.host.store.runs(int(limit))
        rows = [json.loads(text) for text in texts]
        current = documents.run(self.reconciler.current)
        return _json({"runs": [current if current and row["id"] == current["id"] else row for row in rows]})

    async def _run(self, request: web.Request) -> web.Response:
        number = request.match_info["id"]
        for text in await self.reconciler.host.store.runs(500):
            row = json.loads(text)
            if str(row["id"]) == number:
                current = documents.run(self.reconciler.current)
                return _json(current if current and current["id"] == row["id"] else row)
        return _error(404, "no-such-run", f"there is no run {number}", "eventctl runs lists them")

    async def _doctor(self, _request: web.Request) -> web.Response:
        return _json({"checks": await self.doctor()})

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=self.metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    async def _events(self, request: web.Request) -> web.StreamResponse:
        since = request.query.get("since", "0")
        if not since.isdecimal() or len(since) > DIGITS:
            raise PermanentError("since has to be a sequence number", reason="bad-request")
        follow = request.query.get("follow") == "1"
        dispatcher, last = self.reconciler.dispatcher, int(since)
        if last > dispatcher.sequence:
            last = 0  # numbers of an earlier life of the daemon
        response = await _stream(request)
        reading = True
        while reading:
            for event in dispatcher.since(last):
                if 0 < last < event.sequence - 1:
                    reading = reading and await _line(response, _missed(last, event))
                last = event.sequence
                reading = reading and await _line(response, documents.event(event))
            if not follow or not await self._or_end(lambda: dispatcher.more(last)):  # noqa: B023 - awaited here
                break
        return response

    async def _sync(self, request: web.Request) -> web.StreamResponse:
        body = _parse(SyncRequest, await _body(request))
        if body.allow_rewrite is not None:
            self.allow_rewrite(body.allow_rewrite)
        joined = self.reconciler.current.id if self.reconciler.current else None
        ticket = Ticket()
        trigger = self.reconciler.dispatcher.emit(
            Origin.REQUEST, EventKind.SYNC, "eventctl", attributes={"fetch": body.fetch, "wait": body.wait}
        )
        send, receive = anyio.create_memory_object_stream[Mapping[str, Any]](PROGRESS_KEPT)

        def progress(step: Progress) -> None:
            # Called from within the run, which must not notice that this reader is slow.
            if step.run == ticket.run and send.statistics().current_buffer_used < PROGRESS_KEPT:
                send.send_nowait(
                    {
                        "type": "progress",
                        "workload": step.workload,
                        "step": step.step,
                        "state": step.state,
                        "message": step.message,
                        "seconds": step.seconds,
                    }
                )

        if body.wait:
            self.reconciler.listeners.append(progress)
        try:
            if body.fetch:
                self.fetcher.sync(trigger, ticket)
            else:
                self.reconciler.request(trigger, asked=True, ticket=ticket)
            if not body.wait:
                return _json({"queued": True, "joined": joined}, status=202)
            return await self._follow(request, ticket, receive)
        finally:
            if body.wait:
                self.reconciler.listeners.remove(progress)
            send.close()
            receive.close()

    async def _follow(self, request: web.Request, ticket: Ticket, receive: Any) -> web.StreamResponse:
        response = await _stream(request)
        await _line(response, {"type": "queued"})
        if not await self._or_end(ticket.started.wait):
            await _line(response, _stopping())
            return response
        await _line(response, {"type": "run", "id": ticket.run})

        ended = False
        async with anyio.create_task_group() as group:

            async def forward() -> None:
                async for message in receive:
                    if not await _line(response, message):
                        group.cancel_scope.cancel()

            group.start_soon(forward)
            ended = await self._or_end(ticket.done.wait)
            group.cancel_scope.cancel()
        while True:
            try:
                await _line(response, receive.receive_nowait())
            except (anyio.WouldBlock, anyio.EndOfStream):
                break
        done = {"type": "done", "run": documents.run(ticket.report)}
        await _line(response, done if ended else _stopping())
        return response

    async def _pushed(self, request: web.Request) -> web.Response:
        body = _parse(Pushed, await _body(request))
        if body.branch and body.branch != self.identity.branch:
            return _json({"ignored": f"branch {body.branch!r} is not {self.identity.branch!r}"}, status=202)
        self.reconciler.dispatcher.emit(
            Origin.WEBHOOK,
            EventKind.PUSHED,
            body.repository or body.hook,
            attributes={"branch": body.branch, "commit": body.commit, "delivery": body.delivery},
        )
        return _json({"queued": True}, status=202)

    async def _or_end(self, wait: Callable[[], Awaitable[object]]) -> bool:
        """Await `wait()`; return False if the daemon ends first."""
        finished = False
        async with anyio.create_task_group() as group:

            async def end() -> None:
                await self._ending.wait()
                group.cancel_scope.cancel()

            group.start_soon(end)
            await wait()
            finished = True
            group.cancel_scope.cancel()
        return finished

    def _known(self, request: web.Request) -> str:
        name = request.match_info["workload"]
        known = documents.names(self.reconciler)
        if name not in known:
            have = ", ".join(sorted(known)) or "none"
            raise PermanentError(
                f"there is no workload {name!r}", reason="no-such-workload", hint=f"there are: {have}"
            )
        return name


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _error(error.status, "http", error.reason, "")
    except EventdError as error:
        missing = error.reason.startswith("no-such")
        return _error(404 if missing else 400, error.reason, error.message, error.hint)
    except Exception as error:
        log.exception("bug: %s %s ended with %s", request.method, request.path, type(error).__name__)
        found = bug(error)
        return _error(500, found.reason, found.message, found.hint)


async def _right(request: web.Request, group: str) -> Right:
    """Ask NSS in a thread: behind it may be a directory service that takes its time."""
    who = caller(request)
    if who is None or who.uid == 0:
        return right_of(who, group)
    return await anyio.to_thread.run_sync(right_of, who, group)


async def _body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await request.read()
    except TimeoutError:
        raise PermanentError(
            f"the body did not arrive within {BODY_TIMEOUT:g} s", reason="bad-request"
        ) from None


def _bind(path: str, group: str) -> socket.socket:
    """Return a bound socket that nobody but root and the group can connect to at any moment. Does not block."""
    Path(path).unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(0o117)
    try:
        sock.bind(path)
        if os.geteuid() == 0:
            os.chown(path, 0, grp.getgrnam(group).gr_gid)
    except KeyError:
        pass  # there is no such group: it is root's alone
    except BaseException:
        sock.close()
        raise
    finally:
        os.umask(old)
    return sock


def _missed(last: int, event: Event) -> Mapping[str, Any]:
    """Return what stands for the events that went by while this reader was slow."""
    gap = Event(
        event.sequence - 1,
        Origin.DAEMON,
        EventKind.GAP,
        "events",
        event.monotonic,
        event.wall,
        attributes={"missed": event.sequence - 1 - last},
    )
    return documents.event(gap)


def _parse(model: type[M], body: bytes) -> M:
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise PermanentError(
            f"{key}: {first['msg']}" if key else first["msg"], reason="bad-request"
        ) from error


def _json(document: Any, status: int = 200) -> web.Response:
    return web.Response(
        text=json.dumps(document, separators=(",", ":")) + "\n",
        status=status,
        content_type="application/json",
    )


def _error(status: int, reason: str, message: str, hint: str) -> web.Response:
    return _json({"error": {"reason": reason, "message": message, "hint": hint}}, status)


def _stopping() -> dict[str, Any]:
    return {"type": "error", "reason": "stopping", "message": "the daemon stops; the next one goes on"}


async def _stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"}
    )
    await response.prepare(request)
    return response


async def _line(response: web.StreamResponse, document: Mapping[str, Any]) -> bool:
    """Write one line; return False if nobody reads any more."""
    try:
        async with asyncio.timeout(WRITE_TIMEOUT):
            await response.write(json.dumps(document, separators=(",", ":")).encode() + b"\n")
    except (ConnectionError, TimeoutError):
        return False
    return True
