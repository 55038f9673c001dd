"""A daemon that is none: a real HTTP server (aiohttp, as the daemon) on a real unix socket.

Runs in a thread with its own event loop, because the client under test blocks. Records every request it gets.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiohttp import web

NOW = 1_800_000_000.0
COMMIT = "1a2b3c4d5e" + "0" * 30


@dataclass
class Answer:
    """What to answer: JSON, text or lines; then perhaps to hang up in the middle, or to hang."""

    document: Any = None
    status: int = 200
    text: str | None = None
    lines: list[Any] | None = None
    cut: bool = False
    """Drop the connection instead of ending the answer."""
    stay: bool = False
    """Keep the answer open until the daemon stops."""
    silent: bool = False
    """Never answer at all."""


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    body: Any


@dataclass
class FakeDaemon:
    """A context manager. `answers` maps `GET /v1/status` to an Answer, or to a list of them, in turn."""

    path: str
    answers: dict[str, Answer | list[Answer]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._main, daemon=True)
        self._thread.start()
        assert self._ready.wait(60), "the fake daemon did not start"
        if self._failed:
            raise self._failed
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)
        assert not self._thread.is_alive(), "the fake daemon did not stop"
        Path(self.path).unlink(missing_ok=True)

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            asyncio.set_event_loop(None)
            self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=60.0, access_log=None)
        try:
            await runner.setup()
            await web.UnixSite(runner, self.path).start()
        except BaseException as error:  # noqa: BLE001  handed to the test's thread
            self._failed = error
            self._ready.set()
            return
        self._ready.set()
        await self._stop.wait()
        # Who connected just now is accepted and becomes a connection in the next rounds of the loop. If the listener
        # is closed before, asyncio drops the half-made transport (3.11: an assertion in Server._attach), which is
        # said when it is collected: in another test.
        await _rounds()
        await runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await _rounds()  # a closed transport closes its socket in the next one

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        content = await request.read()
        body = json.loads(content) if content else None
        self.requests.append(Request(request.method, request.path, dict(request.query), body))
        key = f"{request.method} {request.path}"
        answer = self.answers.get(key, Answer(error("no-such-thing", f"nothing at {key}"), 404))
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if answer.silent:
            await self._stop.wait()
        if answer.lines is None:
            if answer.text is not None:
                return web.Response(text=answer.text, status=answer.status)
            return web.json_response(answer.document, status=answer.status)
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        for line in answer.lines:
            await response.write(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")
        if answer.stay:
            await self._stop.wait()
        if answer.cut or answer.stay:
            assert request.transport is not None
            request.transport.abort()
        return response


async def _rounds() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def error(reason: str, message: str, hint: str = "") -> dict[str, Any]:
    """The API's error document."""
    return {"error": {"reason": reason, "message": message, "hint": hint}}


def run(number: int = 12, result: str = "ok", **changes: Any) -> dict[str, Any]:
    """A RunSummary."""
    return {
        "id": number,
        "started": NOW - 123.2,
        "ended": NOW - 120,
        "result": result,
        "commit": COMMIT,
        "triggers": [{"origin": "webhook", "kind": "pushed", "subject": "main", "sequence": 41}],
        "workloads": [],
        "joined": 0,
        **changes,
    }


def workload(name: str = "web", state: str = "converged", **changes: Any) -> dict[str, Any]:
    """A WorkloadStatus."""
    return {
        "name": name,
        "state": state,
        "reason": "",
        "message": "",
        "hint": "",
        "since": NOW - 120,
        "commit": COMMIT,
        "wanted_commit": COMMIT,
        "uid": 1001,
        "units": [unit(f"{name}.service")],
        "log": [],
        "attempts": 0,
        "retry_at": None,
        "waits_for": [],
        "diagnostics": [],
        **changes,
    }


def unit(name: str, **changes: Any) -> dict[str, Any]:
    """A unit of a WorkloadStatus."""
    return {
        "name": name,
        "wanted": "running",
        "active": "active",
        "sub": "running",
        "result": "success",
        "restarts": 0,
        "since": NOW - 120,
        "invocation": "abcdef0123456789",
        **changes,
    }


def status(state: str = "converged", *workloads: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """GET /v1/status."""
    return {
        "version": "0.1.0",
        "host": "alpha",
        "commit": COMMIT,
        "branch": "main",
        "repository": "https://git.example/homelab.git",
        "state": state,
        "since": NOW - 120,
        "daemon": {"pid": 7, "started": NOW - 1000, "boot_id": "b"},
        "run": None,
        "last_run": run(),
        "fetch_failure": None,
        "diagnostics": [],
        "counters": {"runs": 12, "runs_failed": 0, "contended": 0, "events": 41, "coalesced": 3},
        "workloads": list(workloads),
        **changes,
    }


def event(sequence: int, **changes: Any) -> dict[str, Any]:
    """A line of GET /v1/events."""
    return {
        "sequence": sequence,
        "origin": "user-manager",
        "kind": "unit-changed",
        "subject": "web.service",
        "scope": "web",
        "attributes": {"active": "failed"},
        "wall": NOW + sequence,
        "monotonic": float(sequence),
        **changes,
    }


def life(pid: int) -> dict[str, Any]:
    """GET /v1/status of another life of the daemon."""
    return status(daemon={"pid": pid, "started": NOW, "boot_id": "b"})


def short_path(folder: Path) -> str:
    """A socket path that fits into sun_path (108 bytes) whatever the name of the test's folder."""
    path = str(folder / "s")
    return path if len(os.fsencode(path)) < 100 else os.path.relpath(path)
