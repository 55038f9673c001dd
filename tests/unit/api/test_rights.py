"""Scope: who may ask what over the socket, and what a workload learns; MATRIX says it, not the daemon's own table."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from eventd.api import connection_limiter
from eventd.api.access import Peer, roles_of
from eventd.api.connection_limiter import ConnectionLimiter
from eventd.api.model_rights import Role, Scope, scope, view, workload_of
from eventd.api.routing import Api, Route
from eventd.api.server import Server
from eventd.boot.model import BootRecord
from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.facts import FactKey, Facts
from eventd.platform.model_facts import Account, PlatformFact
from eventd.state.adapter import run_json
from eventd.status import documents
from eventd.workloads.model_records import Ownership, Records, WorkloadRecord
from eventd_simulators.faults import Faults
from tests.simulated.daemon import DOMAINS, Story, container

NONSENSE = '{"nonsense": 1}'
"""A body that no route takes: who may ask is told that, and nothing happens."""
OWN, OTHER, NEVER = "web", "neighbour", "nosuchthing"
ROLES = (Role.ROOT, Role.OPERATOR, Role.WORKLOAD, Role.NOBODY)
MATRIX = """
                                               root operator workload nobody webhook
GET  /v1/status                                all  all      own      no     no
GET  /v1/status/{workload}                     all  all      own      no     no
GET  /v1/why/{workload}                        all  all      own      no     no
GET  /v1/gates                                 all  all      own      no     no
GET  /v1/plan                                  all  all      own      no     no
GET  /v1/plan?fetch=1                          all  no       no       no     no
GET  /v1/boot                                  all  all      no       no     no
GET  /v1/boot.svg                              all  all      no       no     no
GET  /v1/doctor                                all  all      no       no     no
GET  /metrics                                  all  all      no       no     no
GET  /v1/audit                                 all  all      own      no     no
GET  /v1/audit/{workload}                      all  all      own      no     no
GET  /v1/runs                                  all  all      own      no     no
GET  /v1/runs/{id}                             all  all      own      no     no
GET  /v1/state                                 all  all      no       no     no
POST /v1/state/acknowledge                     all  no       no       no     no
GET  /v1/events                                all  all      own      no     no
POST /v1/sync                                  all  no       no       no     no
GET  /v1/adopt/{name}                          all  no       no       no     no
POST /v1/adopt/{name}                          all  no       no       no     no
POST /v1/adopt/{name}/aside                    all  no       no       no     no
POST /v1/disown/{name}                         all  no       no       no     no
POST /v1/restart/{workload}                    all  no       own      no     no
POST /v1/rollback/{workload}                   all  no       own      no     no
POST /v1/suspend                               all  no       no       no     no
POST /v1/suspend/{workload}                    all  no       no       no     no
POST /v1/resume                                all  no       no       no     no
POST /v1/resume/{workload}                     all  no       own      no     no
POST /v1/update                                all  no       own      no     no
POST /v1/update/{workload}                     all  no       own      no     no
GET  /v1/images                                all  all      own      no     no
GET  /v1/images/{workload}                     all  all      own      no     no
GET  /v1/approvals                             all  all      no       no     no
GET  /v1/approvals/{id}                        all  all      no       no     no
POST /v1/approvals/{id}/signature              all  all      no       no     no
POST /v1/approvals/{id}/reject                 all  no       no       no     no
GET  /v1/retained                              all  all      no       no     no
GET  /v1/retained/{name}                       all  all      no       no     no
POST /v1/retained/{name}                       all  no       no       no     no
GET  /v1/storage                               all  all      own      no     no
POST /v1/storage/{volume}/eject                all  no       no       no     no
POST /v1/storage/{volume}/attach               all  no       no       no     no
POST /v1/storage/{volume}/decommission         all  no       no       no     no
POST /v1/storage/{volume}/migrate              all  no       no       no     no
POST /v1/storage/{volume}/forget-data          all  no       no       no     no
POST /v1/pushed                                no   no       no       no     all
"""
"""Every route and every kind of caller, by hand: a right that changes has to be changed here as well.

webhook: whoever connects to the webhook listener's socket, root too. "no" is 403, and 404 where a socket has no such
route.
"""


RIGHTS = {right.name: right for right in DOMAINS.rights()}


def matrix() -> dict[tuple[str, str], dict[str, str]]:
    """Return (method, path) -> caller -> right."""
    head, *rows = MATRIX.strip().splitlines()
    split = [row.split() for row in rows]
    return {(method, path): dict(zip(head.split(), rest, strict=True)) for method, path, *rest in split}


class As(ConnectionLimiter):
    """A limiter that gives everybody the same role: the workload `web`, for WORKLOAD."""

    def __init__(self, role: Role) -> None:
        super().__init__(lambda _uid: OWN if role is Role.WORKLOAD else "")
        self.role = role

    def roles(self, who: Peer) -> frozenset[Role]:
        """Whoever it is."""
        del who
        return frozenset({self.role})


def tell_runs(story: Any) -> None:
    """Have the store tell the last run, which is all that a test asks for."""

    async def runs(limit: int) -> list[str]:
        last = story.engine.queries.last_run
        return [json.dumps(run_json(last))][:limit] if last is not None else []

    story.host.store.runs = runs


class Asked:
    """A server, and what it answers to one role."""

    def __init__(self, story: Story, server: Server, path: str) -> None:
        self.story, self.server, self.path = story, server, path

    def enter_as(self, role: Role, **limits: Any) -> None:
        """Have the next callers come in this role, with these limits (else: more than any test needs)."""
        self.server.limiter = As(role)
        wide = {"connections": 1000, "burst": 1000, "changes": 1000, "streams": 100}
        for key, each in self.server.limiter.limits.items():
            self.server.limiter.limits[key] = replace(each, **(limits or wide))

    async def ask(self, method: str, path: str, body: str = "{}") -> tuple[int, str]:
        """Return status and body."""
        request = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        if method == "POST":
            request += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        else:
            request += "\r\n"
        text = await anyio.to_thread.run_sync(_raw, self.path, request.encode())
        head, _, rest = text.partition(b"\r\n\r\n")
        return int(head.split()[1]), rest.decode()


def _raw(path: str, request: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(path)
        answer = b""
        with suppress(BrokenPipeError):  # who is not let in is answered before it has asked
            sock.sendall(request)
        with suppress(ConnectionResetError):
            while chunk := sock.recv(1 << 16):
                answer += chunk
    return answer


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    """Two converged workloads, `web` and its neighbour."""
    story = Story(Faults(latency=(0.0, 0.0)))
    await story.start()
    grace = '[health]\ngrace = "0s"\n'
    story.push(
        {
            path: text
            for name in (OWN, OTHER)
            for path, text in {**container(name), f"workloads/{name}/workload.toml": grace}.items()
        }
    )
    engine = story.engine
    changed = asyncio.Event()
    engine.passes.subscribe("test", changed.set)
    async with asyncio.timeout(30):
        while not all(engine.queries.status(name).state.value == "converged" for name in (OWN, OTHER)):
            await changed.wait()
            changed.clear()

    async def no_checks() -> list[dict[str, Any]]:
        return []

    async def no_boot() -> BootRecord:
        raise PermanentError("no boot here", reason="no-boot")

    tell_runs(story)
    identity = documents.Identity("host", "https://forge/neighbour", "main", time.time())
    api = Api(engine.queries, engine.commands, identity, no_checks, lambda _commit: None, no_boot)
    server = Server(api, "no-such-group", DOMAINS.routes)
    async with AsyncExitStack() as stack:
        path = str(tmp_path / "eventd.sock")
        await server.listen(stack, path, "no-such-group")
        yield Asked(story, server, path)
    await story.kill()


def calls(route: Route) -> list[str]:
    """Return what can be asked of a route: its path, and with the queries that make another request of it."""
    return [route.path, *(f"{route.path}?{key}={value}" for key, value in route.queries)]


def filled(path: str, workload: str) -> str:
    """Return a path with its parts filled in."""
    return re.sub(r"\{(\w+)\}", lambda part: "1" if part[1] == "id" else workload, path)


def test_the_matrix_has_every_route_and_no_other() -> None:
    """A new route, or a query that makes another request of one, needs its line; a line needs its route."""
    served = [(route.method, path) for route in DOMAINS.routes for path in calls(route)]
    assert len(served) == len(set(served))
    assert {*served, ("POST", "/v1/pushed")} == set(matrix())


def test_the_rights_are_what_the_issue_says() -> None:
    """Root does all; operators change nothing; nobody gets nothing; a workload is never shown everything."""
    changes = {
        *("fetch", "sync", "restart", "rollback", "suspend", "update", "adopt", "remove", "storage-change"),
    }
    for request in RIGHTS.values():
        assert scope(request, Role.ROOT) is Scope.ALL
        assert scope(request, Role.NOBODY) is Scope.NO
        assert scope(request, Role.WORKLOAD) is not Scope.ALL
        assert scope(request, Role.OPERATOR) is not Scope.OWN
    assert {scope(RIGHTS[name], Role.OPERATOR) for name in changes} == {Scope.NO}
    mine = {name for name, right in RIGHTS.items() if scope(right, Role.WORKLOAD) is Scope.OWN}
    assert mine & changes == {"restart", "rollback", "update"}
    assert "metrics" not in mine


def test_two_roles_are_the_union_of_both() -> None:
    """An operator who is a workload reads everything and restarts itself."""
    both = (Role.OPERATOR, Role.WORKLOAD)
    status, restart = view(RIGHTS["status"], both, OWN), view(RIGHTS["restart"], both, OWN)
    assert status is not None
    assert status.sees(OTHER)
    assert restart is not None
    assert (restart.sees(OWN), restart.sees(OTHER), restart.sees("")) == (True, False, False)
    assert view(RIGHTS["sync"], both, OWN) is None
    assert roles_of(Peer(1, 4711, 5, frozenset({7})), 7, OWN) == set(both)
    assert roles_of(Peer(1, 4711, 7), 7, "") == {Role.OPERATOR}
    assert roles_of(Peer(1, 4711, 5), None, "") == {Role.NOBODY}
    assert roles_of(Peer(1, 0, 5), None, OWN) == {Role.ROOT}


def test_a_number_that_has_changed_hands_is_no_workload() -> None:
    """Uid reuse: the record's name and uid have to be those of the account that is there now."""
    records, facts = Records(), Facts()
    records.workloads = {
        "gone": WorkloadRecord("gone", 1001, Ownership.CREATED, 1),
        "web": WorkloadRecord("web", 1001, Ownership.CREATED, 2),
        "left": WorkloadRecord("left", 1003, Ownership.CREATED, 2, retained=True),
    }
    assert workload_of(1001, records, facts) == ""  # nothing has been read yet
    for name, uid in (("web", 1001), ("left", 1003)):
        facts.set(FactKey(PlatformFact.ACCOUNT, name), Account(name, uid, uid, f"/home/{name}"))
    assert workload_of(1001, records, facts) == "web"
    assert workload_of(1003, records, facts) == "left"
    facts.set(FactKey(PlatformFact.ACCOUNT, "web"), Account("web", 1002, 1002, "/home/web"))
    assert workload_of(1001, records, facts) == ""
    assert workload_of(1002, records, facts) == ""


@pytest.mark.parametrize("role", ROLES)
async def test_each_route_answers_each_role_as_the_matrix_says(asked: Asked, role: Role) -> None:
    """Every route there is, and nothing of the neighbour in what a workload reads."""
    asked.enter_as(role)
    seen = set()
    for (method, path), rights in matrix().items():
        status, said = await asked.ask(method, filled(path, OWN), NONSENSE)
        served = path != "/v1/pushed"
        seen.add(rights[role])
        match rights[role]:
            case "no":
                assert status == (403 if served else 404), (role, path, said)
                assert OTHER not in said
            case "all":
                assert status not in (403, 405, 500), (role, path, said)
                if "{workload}" in path:
                    # That it is another's workload is no reason to be refused.
                    assert (await asked.ask(method, filled(path, OTHER), NONSENSE))[0] == status, path
            case "own":
                assert status not in (403, 405, 500), (role, path, said)
                assert OTHER not in said, (path, said)
                await _looks_as_if_there_were_no_other(asked, method, path)
            case other:
                pytest.fail(f"{other!r} is no right")
    assert (
        seen
        == {
            Role.ROOT: {"all", "no"},
            Role.OPERATOR: {"all", "no"},
            Role.WORKLOAD: {"own", "no"},
            Role.NOBODY: {"no"},
        }[role]
    )


@pytest.mark.parametrize("role", ROLES)
async def test_the_webhook_socket_answers_as_the_matrix_says(
    asked: Asked, tmp_path: Path, role: Role
) -> None:
    """Whoever connects there can say "pushed", and finds no other route, root neither."""
    asked.enter_as(role)
    served = []
    async with AsyncExitStack() as stack:
        asked.path = str(tmp_path / "webhook.sock")
        await asked.server.listen_webhook(stack, asked.path, "no-such-group")
        for (method, path), rights in matrix().items():
            status, said = await asked.ask(method, filled(path, OWN), NONSENSE)
            if rights["webhook"] == "all":
                served.append((method, path))
                assert status not in (403, 404, 405, 500), (path, said)
            else:
                assert status == 404, (path, said)
    assert served == [("POST", "/v1/pushed")]


async def _looks_as_if_there_were_no_other(asked: Asked, method: str, path: str) -> None:
    if "{workload}" not in path:
        return
    other, never = [(await asked.ask(method, filled(path, name)), name) for name in (OTHER, NEVER)]
    assert other[0][0] == never[0][0] == 404, (path, other, never)
    assert other[0][1].replace(other[1], "X") == never[0][1].replace(never[1], "X")


async def test_tricks_with_paths_lead_nowhere(asked: Asked) -> None:
    """Encoded names, dots, doubled slashes: the neighbour is seen by none of them."""
    asked.enter_as(Role.WORKLOAD)
    for path in (
        *("/v1/status/neighbou%72", "/v1/status/web/../neighbour", "/v1/status/web%2F..%2Fneighbour"),
        *("/v1//status//neighbour", "//v1/status/neighbour", "/v1/status/neighbour?workload=web"),
        *("/v1/status/web%00neighbour", "/v1/status/web;neighbour", "/v1/runs/../status/neighbour"),
        *("/v1/why/neighbour%20", "/v1/status/NEIGHBOUR", "/v1/plan?fetch=0&fetch=1", "/v1/plan?fetch=%31"),
    ):
        status, said = await asked.ask("GET", path)
        assert status in (403, 404), (path, status)
        assert "uid" not in said, path
        assert said.count("neighbour") <= path.count("neighbour") + 1, (path, said)


async def test_a_workload_sees_its_own_state(asked: Asked) -> None:
    """The list with only itself, its own runs, its own events, its own plan."""
    asked.enter_as(Role.WORKLOAD)
    status = json.loads((await asked.ask("GET", "/v1/status"))[1])
    assert [row["name"] for row in status["workloads"]] == [OWN]
    assert status["state"] == "converged"
    runs = json.loads((await asked.ask("GET", "/v1/runs"))[1])["runs"]
    assert [row["name"] for run in runs for row in run["workloads"]] == [OWN]
    assert {each["scope"] for run in runs for each in run["triggers"]} <= {OWN, ""}
    events = [
        json.loads(line) for line in (await asked.ask("GET", "/v1/events"))[1].splitlines() if "{" in line
    ]
    assert events
    assert {each["scope"] for each in events} == {OWN}


async def test_a_workload_restarts_itself_and_waits_for_it(asked: Asked) -> None:
    """Its unit has another invocation, the neighbour's the same; the answer tells of nobody else."""
    asked.enter_as(Role.WORKLOAD)
    facts = asked.story.dispatcher.facts

    def invocations() -> list[Any]:
        keys = [FactKey(PlatformFact.UNIT, f"{name}.service", name) for name in (OWN, OTHER)]
        return [getattr(facts.get(key), "invocation", None) for key in keys]

    before = invocations()
    status, said = await asked.ask("POST", f"/v1/restart/{OWN}", '{"wait": true}')
    assert status == 200
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert lines[-1]["type"] == "done"
    assert lines[-1]["run"]["result"] == "ok"
    assert [row["name"] for row in lines[-1]["run"]["workloads"]] == [OWN]
    assert any("restart" in line.get("step", "") for line in lines)
    after = invocations()
    assert after[0] != before[0]
    assert after[1] == before[1]
    assert OTHER not in said


async def test_who_connects_too_often_is_told_so_and_nobody_else_is(asked: Asked) -> None:
    """A workload's flood has an end; root, and another caller, are answered all the while."""
    asked.enter_as(Role.WORKLOAD, connections=2, burst=5, rate=0.001)
    flooding = asked.server.limiter
    answers = [await asked.ask("GET", "/v1/status") for _ in range(8)]
    assert [status for status, _ in answers] == [200] * 5 + [429] * 3
    assert json.loads(answers[-1][1])["error"]["reason"] == "too-many-connections"
    assert flooding.refused == 3
    asked.enter_as(Role.OPERATOR)
    assert (await asked.ask("GET", "/v1/status"))[0] == 200


async def test_connections_followers_and_changes_of_one_caller_are_bounded(asked: Asked) -> None:
    """Each has its own limit, and is given back."""
    asked.enter_as(Role.WORKLOAD, connections=3, burst=1000, streams=1, changes=2, change_rate=0.001)
    held = []
    for _ in range(3):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(asked.path)
        held.append(sock)
    assert (await asked.ask("GET", "/v1/status"))[0] == 429
    held.pop().close()
    await _until(lambda: _use(asked).connections == 2)
    assert (await asked.ask("GET", "/v1/status"))[0] == 200
    follow = b"GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n"
    held[0].sendall(follow)
    await _until(lambda: _use(asked).streams == 1)
    status, said = await asked.ask("GET", "/v1/events?follow=1")
    assert (status, json.loads(said)["error"]["reason"]) == (429, "too-many-requests")
    for sock in held:
        sock.close()
    await _until(lambda: (_use(asked).connections, _use(asked).streams) == (0, 0))
    answers = [(await asked.ask("POST", f"/v1/restart/{OWN}"))[0] for _ in range(3)]
    assert answers == [202, 202, 429]


async def test_who_sends_nothing_or_too_much_is_hung_up_on(asked: Asked) -> None:
    """A connection of a workload has an end in seconds and in bytes."""
    asked.enter_as(Role.WORKLOAD, seconds=0.2)
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(30)
    sock.connect(asked.path)
    assert await anyio.to_thread.run_sync(_ending, sock) == b""
    asked.enter_as(Role.WORKLOAD, received=10_000)
    pipelined = b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n" * 1000
    answer = await anyio.to_thread.run_sync(_flooded, asked.path, pipelined)
    assert answer.count(b"HTTP/1.1 200") <= 1
    assert (await asked.ask("GET", "/v1/status"))[0] == 200


async def test_others_get_one_answer_per_connection(asked: Asked) -> None:
    """So that each of their requests is counted; root's connection goes on."""
    two = b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"
    two += b"GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for role, answers in ((Role.WORKLOAD, 1), (Role.ROOT, 2)):
        asked.enter_as(role)
        text = await anyio.to_thread.run_sync(_raw, asked.path, two)
        assert text.count(b"HTTP/1.1 200") == answers


def test_uids_of_a_range_are_counted_together() -> None:
    """A workload speaks with 65,536 uids that are nobody: they share what one stranger gets."""
    gate, limits = ConnectionLimiter(lambda _uid: ""), connection_limiter.LIMITS[Role.NOBODY]
    for number in range(limits.connections):
        assert gate.enter(Peer(1, 100_000 + number, 5), 0.0) is not None
    with pytest.raises(LookupError):
        gate.enter(Peer(1, 200_000, 5), 0.0)
    gate.operators = 7
    assert gate.enter(Peer(1, 1000, 7), 0.0) is not None
    assert gate.enter(Peer(1, 0, 0), 0.0) is None
    assert len(gate.uses) == 2


def test_a_full_house_has_room_for_who_has_none_yet() -> None:
    """However many hostile workloads hold all that they may, the next one gets a connection, and gives it back."""
    numbers = iter(range(10_000))
    gate = ConnectionLimiter(lambda uid: f"w{uid}")
    most, each = gate.kinds[Role.WORKLOAD].most, connection_limiter.LIMITS[Role.WORKLOAD].connections
    uses = [gate.enter(Peer(1, 2000 + next(numbers) // each, 5), 0.0) for _ in range(most)]
    with pytest.raises(LookupError):
        gate.enter(Peer(1, 2000, 5), 0.0)
    fresh = gate.enter(Peer(1, 9000, 5), 0.0)
    assert fresh is not None
    with pytest.raises(LookupError):
        gate.enter(Peer(1, 9000, 5), 0.0)
    for use in uses:
        assert use is not None
        use.leave()
    assert gate.enter(Peer(1, 9000, 5), 0.0) is fresh


def _use(asked: Asked) -> connection_limiter.Use:
    (use,) = asked.server.limiter.uses.values()
    return use


async def _until(holds: Any) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - the limiter notifies nobody
            await asyncio.sleep(0.01)


def _ending(sock: socket.socket) -> bytes:
    with sock, suppress(ConnectionResetError):
        return sock.recv(100)
    return b""


def _flooded(path: str, data: bytes) -> bytes:
    answer = b""
    with socket.socket(socket.AF_UNIX) as sock, suppress(ConnectionError):
        sock.settimeout(30)
        sock.connect(path)
        sock.sendall(data)
        while chunk := sock.recv(1 << 16):
            answer += chunk
    return answer
