"""Scope: the real server on a real unix socket, asked by the real client, over the simulated host in real time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import pytest

from eventd import domains
from eventd.api import answers, loading
from eventd.api.access import Peer
from eventd.api.connection_limiter import ConnectionLimiter, Use
from eventd.api.following import PROGRESS_KEPT
from eventd.api.model_rights import Role
from eventd.api.pace import Pace
from eventd.api.routing import Api
from eventd.api.server import Server
from eventd.boot.model import BootRecord
from eventd.client import Client, DaemonError, NoDaemonError, at
from eventd.desired.controller_activation import FETCH
from eventd.kernel.model.errors import DisconnectedError, PermanentError
from eventd.kernel.model.events import KernelEvent, KernelOrigin
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.report import WorkloadReport
from eventd.kernel.model.verdicts import Deny, Hold
from eventd.kernel.progress import Progress
from eventd.kernel.queue import Batch
from eventd.kernel.turns import Turns
from eventd.platform.model_facts import PlatformFact, UnitState
from eventd.repository.model_facts import BRANCH_MISSING, FetchFailure
from eventd.status import documents
from eventd.status.routes_events import PAGE
from eventd_simulators.faults import Faults
from tests.simulated.daemon import Story, container

T = TypeVar("T")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other accounts")
NOBODY = 65534


def web(more: str = "") -> dict[str, str | bytes]:
    """One workload, whose grace costs no real time."""
    return {**container("web", more=more), "workloads/web/workload.toml": '[health]\ngrace = "0s"\n'}


async def until(story: Story, holds: Callable[[], bool]) -> None:
    """Wait for something that a pass brings about."""
    changed = asyncio.Event()
    stop = story.engine.passes.subscribe("test", changed.set)
    async with asyncio.timeout(60):
        while not holds():
            await changed.wait()
            changed.clear()
    stop()


class Running:
    """A daemon's engine and its server."""

    def __init__(self, story: Story, server: Server, path: str, webhook: str) -> None:
        self.story, self.server, self.path, self.webhook = story, server, path, webhook
        self.client = Client(path, timeout=60)

    async def ask(self, question: Callable[[], T]) -> T:
        """Ask from a thread, as another process would."""
        return await anyio.to_thread.run_sync(question, abandon_on_cancel=True)

    async def get(self, *parts: str, **query: str | int) -> Any:
        return await self.ask(lambda: self.client.get(at(*parts), query))

    async def refused(self, question: Callable[[], object]) -> DaemonError:
        """The error that the daemon answers with."""
        with pytest.raises(DaemonError) as error:
            await self.ask(question)
        return error.value


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    """A converged host with one workload."""
    story = Story(Faults(latency=(0.0, 0.0)))
    await story.start()
    story.push(web())
    await until(story, lambda: documents.overall(story.engine.queries) == "converged")
    # The simulated store has no JSON; the real one has its own tests.
    engine = story.engine

    async def no_checks() -> list[dict[str, Any]]:
        return [{"name": "a", "ok": True, "message": "", "hint": ""}]

    async def no_boot() -> BootRecord:
        raise PermanentError("no boot here", reason="no-boot")

    identity = documents.Identity("host", "https://forge/repo", "main", time.time())
    api = Api(engine.queries, engine.commands, identity, no_checks, lambda _commit: None, no_boot)
    server = Server(api, "no-such-group", domains.load().routes)
    async with AsyncExitStack() as stack:
        path, webhook = str(tmp_path / "eventd.sock"), str(tmp_path / "webhook.sock")
        await server.listen(stack, path, "no-such-group")
        await server.listen_webhook(stack, webhook, "no-such-group")
        yield Running(story, server, path, webhook)
    await story.kill()


BEFORE_THE_FIRST_COMMIT = {
    "GET /v1/status",
    "GET /v1/status/{workload}",
    "GET /v1/events",
    "GET /v1/runs",
    "GET /v1/runs/{id}",
    "GET /v1/doctor",
    "GET /metrics",
    "GET /v1/boot",
    "GET /v1/boot.svg",
    "GET /v1/state",
    "GET /v1/approvals",
    "GET /v1/approvals/{id}",
    "POST /v1/sync",
    "POST /v1/state/acknowledge",
    "POST /v1/suspend",
    "POST /v1/suspend/{workload}",
    "POST /v1/resume",
    "POST /v1/resume/{workload}",
    "POST /v1/approvals/{id}/signature",
    "POST /v1/approvals/{id}/reject",
}
"""What does not judge by what the repository wants."""


async def test_every_other_route_waits_for_the_first_commit(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of them can say before it that there is nothing, or no such thing; and none can forget to wait."""
    routes = {f"{each.method} {each.path}": each for each in domains.load().routes}
    assert set(routes) >= BEFORE_THE_FIRST_COMMIT
    active = running.story.engine.active
    desired, active.desired = active.desired, None
    monkeypatch.setattr(loading, "LOAD_TIMEOUT", 0.02)
    for name in sorted(routes.keys() - BEFORE_THE_FIRST_COMMIT):
        path = re.sub(r"{\w+}", "web", routes[name].path)
        ask = running.client.get if routes[name].method == "GET" else running.client.post
        error = await running.refused(partial(ask, path, {}))
        assert error.reason == "starting", name
    active.desired = desired


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        (at("restart", "late"), {}, "queued"),
        (at("rollback", "late"), {}, "nothing-to-go-back-to"),
        (at("update", "late"), {}, "queued"),
        (at("adopt", "late"), {}, "no-such-account"),
        (at("suspend", "late"), {}, "suspended"),
        (at("resume", "late"), {}, "nothing-to-resume"),
    ],
)
async def test_what_is_asked_right_after_a_start_is_answered_by_what_the_repository_has(
    running: Running, path: str, body: dict[str, Any], answer: str
) -> None:
    """A workload that this host has no record of yet is in the first commit: until then nobody says that it is not."""
    active = running.story.engine.active
    assert active.desired is not None
    late = replace(active.desired.workloads["web"], name="late")
    desired = replace(active.desired, workloads={**active.desired.workloads, "late": late})
    active.desired = None
    answers: list[str] = []

    async def ask() -> None:
        try:
            found = await running.ask(lambda: running.client.post(path, body))
            answers.extend(key for key in ("queued", "suspended") if found.get(key))
        except DaemonError as error:
            answers.append(error.reason)

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await running.get("status")  # on a later connection, so the question before it has arrived
        assert answers == []
        active.desired = desired
        running.story.engine.passes()
    assert answers == [answer]


async def test_what_there_is_to_update_is_told_once_it_is_known(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon listens before it has read the repository: neither `nothing` is the answer then, nor a failure."""
    active = running.story.engine.active
    desired, active.desired = active.desired, None
    answers: list[Any] = []

    async def ask() -> None:
        answers.append(await running.get("images"))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await running.get("status")  # on a later connection, so the question before it has arrived
        assert answers == []
        active.desired = desired
        running.story.engine.passes()
    assert [each["name"] for each in answers[0]["workloads"]] == ["web"]

    active.desired = None
    monkeypatch.setattr(loading, "LOAD_TIMEOUT", 0.05)
    error = await running.refused(lambda: running.client.post(at("update"), {"wait": False}))
    assert error.reason == "starting"
    error = await running.refused(lambda: running.client.post(at("retained", "web"), {"data": "keep"}))
    assert error.reason == "starting"
    active.desired = desired


async def test_status_says_what_is(running: Running) -> None:
    """The whole document, one workload's, and why."""
    status = await running.get("status")
    assert status["state"] == "converged"
    assert status["troubles"] == []
    (web,) = status["workloads"]
    alone = await running.get("status", "web")
    for row in (*web["units"], *alone["units"]):
        row.pop("since")  # taken from two clocks, which are read one after the other
    assert web == alone
    assert web["state"] == "converged"
    why = await running.get("why", "web")
    assert why["sentence"].startswith("web is converged")


async def test_a_unit_says_since_when(running: Running) -> None:
    """Seconds since the epoch, from systemd's microseconds of CLOCK_MONOTONIC."""
    facts = running.story.dispatcher.facts
    key = FactKey(PlatformFact.UNIT, "web.service", "web")
    state = facts.get(key)
    assert isinstance(state, UnitState)
    ago = time.clock_gettime(time.CLOCK_MONOTONIC) - 5
    facts.set(key, replace(state, since=int(ago * 1e6)))
    (unit,) = (await running.get("status", "web"))["units"]
    began = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC) + ago
    assert unit["since"] == pytest.approx(began, abs=1)
    facts.set(key, replace(state, since=0))
    (unit,) = (await running.get("status", "web"))["units"]
    assert unit["since"] is None


async def test_an_unknown_workload_is_404(running: Running) -> None:
    """With the names that there are."""
    error = await running.refused(lambda: running.client.get(at("why", "nope")))
    assert (error.status, error.reason) == (404, "no-such-workload")
    assert "web" in error.hint


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/nothing", 404),
        ("/v1/runs?limit=0", 400),
        ("/v1/runs?limit=" + "9" * 5000, 400),
        ("/v1/events?since=-1", 400),
        ("/v1/events?since=" + "9" * 5000, 400),
    ],
    ids=["route", "limit", "long limit", "sign", "long number"],
)
async def test_nonsense_is_refused(running: Running, path: str, status: int) -> None:
    """With a status of 4xx and a JSON error, never as a bug."""
    error = await running.refused(lambda: running.client.get(path))
    assert error.status == status


def raw(path: str, request: bytes) -> bytes:
    """Send bytes, return all that comes."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        sock.connect(path)
        sock.sendall(request)
        answer = b""
        while chunk := sock.recv(65536):
            answer += chunk
    return answer


def post(body: bytes, target: str = "/v1/sync", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'{"wait": 7}', b'{"what": true}', b"\xff\xfe", b'{"allow_rewrite": "HEAD"}', b"[" * 20000],
    ids=["cut", "list", "type", "key", "bytes", "ref", "deep"],
)
async def test_a_malformed_body_is_refused(running: Running, body: bytes) -> None:
    """400, and no run."""
    runs = running.story.engine.runs.counters.runs
    answer = await running.ask(lambda: raw(running.path, post(body)))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["reason"] == "bad-request"
    assert running.story.engine.runs.counters.runs == runs


async def test_a_large_body_is_refused(running: Running) -> None:
    """413, before it is parsed."""
    answer = await running.ask(lambda: raw(running.path, post(b" " * (answers.MAX_BODY + 1))))
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_body_that_does_not_come_is_not_waited_for(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is a deadline."""
    monkeypatch.setattr(answers, "BODY_TIMEOUT", 0.1)

    def ask() -> bytes:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(60)
            sock.connect(running.path)
            sock.sendall(post(b"{", length=100))
            answer = b""
            while b"did not arrive" not in answer and (chunk := sock.recv(65536)):
                answer += chunk
            return answer

    assert b"did not arrive" in await running.ask(ask)


async def test_a_bug_is_a_500_with_a_traceback_in_the_log_only(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The client gets the reason "bug" and no text of the exception."""

    def broken(*_args: object) -> None:
        raise RuntimeError("hunter2")

    monkeypatch.setattr(documents, "status", broken)
    with caplog.at_level(logging.ERROR, "eventd"):
        error = await running.refused(lambda: running.client.get(at("status")))
    assert (error.status, error.reason) == (500, "bug")
    assert "hunter2" not in str(error)
    assert any(record.exc_info for record in caplog.records)


async def test_sync_streams_to_its_end(running: Running) -> None:
    """queued, run, progress of every step, done with the report."""
    running.story.world.remote.push(web(more="Environment=A=2"))

    def follow() -> list[dict[str, Any]]:
        with running.client.stream("POST", at("sync"), body={"wait": True}, idle=60) as stream:
            return list(stream)

    lines = await running.ask(follow)
    kinds = [line["type"] for line in lines]
    assert kinds[:2] == ["queued", "run"]
    assert kinds[-1] == "done"
    assert "progress" in kinds
    assert lines[-1]["run"]["result"] == "ok"


async def test_sync_without_wait_is_queued(running: Running) -> None:
    """202 at once."""
    assert (await running.ask(lambda: running.client.post(at("sync"), {})))["queued"] is True


async def test_a_client_that_leaves_in_the_middle_hurts_nobody(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """The run goes on to its end, nobody listens for its progress any more, and nothing is logged as an error."""
    engine = running.story.engine
    running.story.world.model.behaviours.set("web", "web.service", start=0.5)
    running.story.world.remote.push(web(more="Environment=A=3"))

    def leave() -> None:
        stream = running.client.stream("POST", at("sync"), body={"wait": True}, idle=60)
        next(iter(stream))
        stream.close()

    with caplog.at_level(logging.WARNING):
        await running.ask(leave)
        head = running.story.world.remote.head
        queries = engine.queries
        await until(running.story, lambda: queries.last_run is not None and queries.last_run.commit == head)
    async with asyncio.timeout(60):
        while len(engine.steps):  # noqa: ASYNC110 - a listener that leaves tells nobody
            await asyncio.sleep(0.02)
    assert engine.queries.last_run is not None
    assert engine.queries.last_run.result == "ok"
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


async def test_a_reader_that_lags_does_not_fail_the_run(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More steps than are kept, at once: some are left out, nothing is raised in the run, the end comes."""
    engine = running.story.engine
    real, seen = Turns.take, []

    async def busy(self: Turns, name: str, run: int, batch: Batch, interrupt: anyio.Event) -> WorkloadReport:
        for number in range(PROGRESS_KEPT + 1000):
            if len(engine.steps):
                engine.steps(Progress(run, name, f"step {number}", "end"))
                seen.append(number)
        return await real(self, name, run, batch, interrupt)

    monkeypatch.setattr(Turns, "take", busy)
    running.story.world.remote.push(web(more="Environment=A=4"))

    def follow() -> list[dict[str, Any]]:
        with running.client.stream("POST", at("sync"), body={"wait": True}, idle=60) as stream:
            return list(stream)

    lines = await running.ask(follow)
    assert len(seen) > PROGRESS_KEPT
    assert lines[-1]["type"] == "done"
    assert lines[-1]["run"]["result"] == "ok"


async def test_events_follow_and_end_with_the_daemon(running: Running) -> None:
    """What is there, what comes, and an orderly end of the stream on a drain."""
    got: list[dict[str, Any]] = []
    first = anyio.Event()
    loop = asyncio.get_running_loop()

    def follow() -> None:
        with running.client.stream("GET", at("events"), query={"follow": 1}, idle=60) as stream:
            for event in stream:
                got.append(event)
                loop.call_soon_threadsafe(first.set)

    async with anyio.create_task_group() as group:
        group.start_soon(running.ask, follow)
        await first.wait()
        running.story.dispatcher.emit(KernelOrigin.DAEMON, KernelEvent.READ, "the last word")
        await asyncio.sleep(0.1)
        running.server.end_streams()
    assert got[-1]["subject"] == "the last word"
    assert [e["sequence"] for e in got] == list(range(1, len(got) + 1))


async def test_the_latest_events_alone(running: Running) -> None:
    """Of those after `since`; more than there are is all of them."""

    def events(query: dict[str, int]) -> list[int]:
        with running.client.stream("GET", at("events"), query=query, idle=60) as stream:
            return [each["sequence"] for each in stream]

    everything = await running.ask(lambda: events({}))
    assert await running.ask(lambda: events({"last": 2})) == everything[-2:]
    assert await running.ask(lambda: events({"last": 4096})) == everything
    assert await running.ask(lambda: events({"since": everything[-2], "last": 3})) == everything[-1:]


class Operators(ConnectionLimiter):
    """A limiter that takes the next callers for operators, or for root."""

    next_is_operator = True

    def enter(self, who: Peer, now: float) -> Use | None:
        """Count it as what it is taken for."""
        return super().enter(Peer(who.pid, 4711, 7, frozenset()), now) if self.next_is_operator else None


class Held(Pace):
    """Lets a request begin and write one page; the next page waits until it is released."""

    def __init__(self, share: float, burst: float) -> None:
        super().__init__(share, burst)
        self.turns = 0
        self.released = asyncio.Event()

    async def turn(self) -> None:
        """Wait from the second time on."""
        self.turns += 1
        if self.turns > 1:
            await self.released.wait()


async def test_a_long_answer_is_written_in_pages_and_root_does_not_wait_for_it(running: Running) -> None:
    """Operators have used up their time: the answer to one stops after a page, while root is given a whole one."""
    for number in range(1000):
        running.story.dispatcher.emit(KernelOrigin.DAEMON, KernelEvent.READ, f"{number}")
    limiter = running.server.limiter = Operators(lambda _uid: "", operators=7)
    pace = limiter.kinds[Role.OPERATOR].pace = Held(0.5, 1.0)

    def ask() -> tuple[socket.socket, bytes]:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(60)
        sock.connect(running.path)
        sock.sendall(b"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while b'"sequence"' not in answer:
            answer += sock.recv(65536)
        return sock, answer

    sock, answer = await running.ask(ask)
    limiter.next_is_operator = False

    def events() -> int:
        with running.client.stream("GET", at("events"), idle=60) as stream:
            return len(list(stream))

    assert await running.ask(events) == running.story.dispatcher.sequence
    assert (await running.get("status"))["state"] == "converged"
    assert 0 < answer.count(b'"sequence"') <= PAGE
    assert pace.turns == 2, "it waits"
    pace.released.set()

    def rest() -> bytes:
        more = b""
        with sock:
            while chunk := sock.recv(1 << 20):
                more += chunk
        return more

    assert (answer + await running.ask(rest)).count(b'"sequence"') == running.story.dispatcher.sequence


@root_only
async def test_there_is_a_socket_for_each_kind_of_caller(running: Running) -> None:
    """Root's is root's alone, everybody's is everybody's, and without operators' group theirs is root's too."""
    folder = Path(running.path).parent
    modes = {each.name: each.stat().st_mode & 0o777 for each in folder.glob("*.sock")}
    assert modes == {
        "root.sock": 0o600,
        "operators.sock": 0o600,
        Path(running.path).name: 0o666,
        "webhook.sock": 0o660,
    }
    for name in ("root.sock", "operators.sock"):
        client = Client(str(folder / name), timeout=60)
        assert (await running.ask(lambda client=client: client.get(at("status"))))["state"] == "converged"  # type: ignore[misc]


async def test_a_sync_ends_with_the_daemon(running: Running) -> None:
    """Who waits for a run that the drain cuts off is told so, and not left alone."""
    running.story.world.remote.down = True
    running.story.engine.runs.draining.stopping = True
    lines: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    first = anyio.Event()

    def follow() -> None:
        with running.client.stream("POST", at("sync"), body={"wait": True}, idle=60) as stream:
            for line in stream:
                lines.append(line)
                loop.call_soon_threadsafe(first.set)

    async with anyio.create_task_group() as group:
        group.start_soon(running.ask, follow)
        await first.wait()
        running.server.end_streams()
    assert [line["type"] for line in lines] == ["queued", "error"]
    assert lines[-1]["reason"] == "stopping"


async def test_a_slow_follower_holds_up_nobody_and_is_told_what_it_missed(running: Running) -> None:
    """It reads nothing while thousands of events go by; then it gets a gap that says how many, and the rest."""
    dispatcher = running.story.dispatcher
    text = "x" * 500

    def open_stream() -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(60)
        sock.connect(running.path)
        sock.sendall(b"GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        sock.recv(1000)
        return sock

    sock = await running.ask(open_stream)
    for _ in range(20):
        for _ in range(600):
            dispatcher.emit(KernelOrigin.DAEMON, KernelEvent.READ, text)
        await asyncio.sleep(0.01)
    assert (await running.get("status"))["state"] == "converged", "others are answered"
    last = dispatcher.sequence
    running.server.end_streams()

    def drain() -> bytes:
        answer = b""
        with sock, contextlib.suppress(TimeoutError):
            while f'"sequence":{last},'.encode() not in answer:
                chunk = sock.recv(1 << 20)
                if not chunk:
                    break
                answer += chunk
        return answer

    answer = await running.ask(drain)
    assert b'"missed":' in answer


async def test_a_follower_that_left_is_not_kept(running: Running) -> None:
    """Though no event comes that would show that nobody reads."""
    before = len(asyncio.all_tasks())
    for _ in range(5):
        await running.ask(
            lambda: running.client.stream("GET", at("events"), query={"follow": 1}, idle=60).close()
        )
    async with asyncio.timeout(60):
        while len(asyncio.all_tasks()) > before:  # noqa: ASYNC110 - a task that ends tells nobody
            await asyncio.sleep(0.02)


async def test_a_plan_says_its_verdicts(running: Running) -> None:
    """A hold with what it waits for, a denial with why."""
    running.story.manager("web").stop("web.service")
    engine = running.story.engine
    engine.runs.draining.stopping = True
    hold = Hold("gate", "it waits", waits_for=("unit:x.target",))
    engine.judge.policies = (lambda _case: hold,)
    key = FactKey(PlatformFact.UNIT, "web.service", "web")
    gone = asyncio.Event()
    running.story.dispatcher.facts.watch((key,), lambda _key: gone.set())
    async with asyncio.timeout(60):
        while not (rows := (await running.get("plan"))["workloads"]):
            await gone.wait()
            gone.clear()
    (verdict, *_) = rows[0]["verdicts"]
    assert (verdict["verdict"], verdict["reason"], verdict["waits_for"]) == (
        "hold",
        "gate",
        ["unit:x.target"],
    )
    engine.judge.policies = (lambda _case: Deny("protected", "no"),)
    (verdict, *_) = (await running.get("plan"))["workloads"][0]["verdicts"]
    assert (verdict["verdict"], verdict["waits_for"]) == ("deny", [])


async def test_the_webhook_socket_has_one_route(running: Running) -> None:
    """It can say "pushed", to the branch that counts, and see nothing."""
    client = Client(running.webhook, timeout=60)
    before = running.story.dispatcher.sequence
    answer = await running.ask(lambda: client.post("/v1/pushed", {"branch": "other", "unknown": 1}))
    assert "ignored" in answer
    assert running.story.dispatcher.sequence == before
    missing = FetchFailure(BRANCH_MISSING, "no branch main", "it has no branch at all", 0.0)
    running.story.dispatcher.facts.set(FETCH, missing)
    # Where the branch is missing, the error about it names those that there are: it has to be looked again.
    assert (await running.ask(lambda: client.post("/v1/pushed", {"branch": "other"})))["queued"]
    running.story.dispatcher.facts.set(FETCH, None)
    assert (await running.ask(lambda: client.post("/v1/pushed", {"branch": "main"})))["queued"]
    error = await running.refused(lambda: client.get(at("status")))
    assert error.status == 404
    error = await running.refused(lambda: client.post("/v1/pushed", {"branch": "x" * 1000}))
    assert error.status == 400


async def test_the_metrics_are_readable(running: Running) -> None:
    """Prometheus text, with the removed workloads as wanted."""
    text = await running.ask(lambda: running.client.text("/metrics"))
    assert 'eventd_workload_converged{workload="web"} 1.0' in text
    assert "eventd_last_run_success 1.0" in text


async def test_a_path_that_cannot_be_bound_is_an_error(running: Running, tmp_path: Path) -> None:
    """Too long for a socket, or in a folder that is not there."""
    for path in (str(tmp_path / ("x" * 200)), str(tmp_path / "no" / "sock")):
        async with AsyncExitStack() as stack:
            with pytest.raises(PermanentError) as error:
                await running.server.listen(stack, path, "no-such-group")
            assert error.value.reason == "socket-unusable"


def as_account(uid: int, gid: int, work: Callable[[], str]) -> str:
    """Fork, become another account, and return what `work` says."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        text = "died"
        try:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
            text = work()
        except BaseException as error:  # noqa: BLE001 - the only way out of a forked child is _exit
            text = repr(error)
        finally:
            os.write(writing, text.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text


def asked(path: str, request: bytes) -> Callable[[], str]:
    """Return what asks, and says the status line."""

    def ask() -> str:
        return raw(path, request).partition(b"\r\n")[0].decode()

    return ask


GET = b"GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture
def open_limiter(running: Running, tmp_path: Path) -> Running:
    """The socket's own mode lets everybody in: what is tested is the answer to who is there."""
    Path(running.path).chmod(0o666)
    # They stay so: tests that run beside this one share the upper folders, and need them as open.
    for folder in (tmp_path, *tmp_path.parents):
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(mode | 0o011)
    return running


@root_only
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_an_outsider_gets_no_answer(open_limiter: Running) -> None:
    """SO_PEERCRED says who it is, whatever the file mode lets through; root is answered."""
    path = open_limiter.path
    work = asked(path, GET)
    assert (await open_limiter.ask(lambda: as_account(NOBODY, NOBODY, work))).split()[1] == "403"
    assert (await open_limiter.ask(work)).split()[1] == "200"


@root_only
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_a_reader_reads_and_changes_nothing(open_limiter: Running) -> None:
    """A member of the operators' group: GET is answered, POST and a fetch are not."""
    open_limiter.server.limiter.operators = NOBODY
    path = open_limiter.path
    plan = b"GET /v1/plan?fetch=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for request, status in ((GET, "200"), (post(b"{}"), "403"), (plan, "403")):
        work = asked(path, request)
        said = await open_limiter.ask(lambda work=work: as_account(NOBODY, NOBODY, work))  # type: ignore[misc]
        assert said.split()[1] == status, request


async def test_no_daemon_is_said_as_such(tmp_path: Path) -> None:
    """A socket that is left over, or none."""
    with pytest.raises(NoDaemonError):
        Client(str(tmp_path / "none"), timeout=1).get(at("status"))
    path = str(tmp_path / "left")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
    with pytest.raises(DisconnectedError):
        Client(path, timeout=1).get(at("status"))
