"""Scope: what every route answers, over the simulated host with workloads in several states, is what the schema says.

The schema is docs/reference/api.schema.json. Here it is read strictly: a key that it has not is a failure too.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import anyio.to_thread
import pytest
from aiohttp import web
from multidict import MultiDict

from eventd.api import answers
from eventd.api.model_rights import EVERYTHING, View
from eventd.api.routing import Api
from eventd.boot.model import BootRecord
from eventd.doctor import documents as doctor_document
from eventd.gates.source_needs import NETWORK
from eventd.kernel.model.errors import EventdError
from eventd.platform.model_facts import Account
from eventd.state.adapter import run_json
from eventd.status import documents
from eventd.storage.adapter_disk_usage import Usage
from eventd.storage.controller_sizes import Sizes
from eventd.storage.documents import Storage
from eventd_policies.approvals_reversibility import reversibility
from eventd_simulators.inprocess.store import Disk
from eventd_simulators.virtual_time import run
from tests.simulated.daemon import DOMAINS, container
from tests.simulated.test_storage import UUID, DiskStory
from tests.simulated.test_storage_moves import BIG, TWO
from tests.unit.boot import boots

SCHEMA = Path(__file__).parents[2] / "docs" / "reference" / "api.schema.json"
KNOWN = {
    "$ref", "anyOf", "const", "enum", "type", "properties", "required", "items", "additionalProperties",
}  # fmt: skip
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "boolean": (bool,), "null": (type(None),), "number": (int, float), "integer": (int,),
}  # fmt: skip
OWN = View(everything=False, own="web")
NOT_JSON = {"GET /metrics", "GET /v1/boot.svg"}
FILES: Mapping[str, str | bytes] = {
    "storage.toml": TWO
    + '[volume.spare]\nuuid = "77777777-2222-3333-4444-555555555555"\npath = "/srv/spare"\n',
    **container("web"),
    **container("app", more="Volume=/srv/media/app:/data"),
    **container("bad", "missing"),
    **container("held"),
    "workloads/held/workload.toml": 'requires = ["file:/nowhere"]\n',
    **container("left", more="Nonsense=1"),
    **container("a"),
    "workloads/a/workload.toml": 'requires = ["workload:b=active"]\n',
    **container("b"),
    "workloads/b/workload.toml": 'requires = ["workload:a=active"]\n',
    **container("anna"),
    **container("gone"),
}


class Store:
    """The simulated store, with reports as the real one keeps them."""

    def __init__(self, story: DiskStory) -> None:
        self._store, self._story = story.host.store, story

    async def runs(self, limit: int) -> list[str]:
        """The last run is all that is asked for."""
        last = self._story.engine.queries.last_run
        return [json.dumps(run_json(last))][:limit] if last is not None else []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@dataclass
class Written:
    """An answer of lines."""

    text: str = ""

    async def write(self, data: bytes) -> None:
        """Take a page of them."""
        self.text += data.decode()


@dataclass
class Asked:
    """As much of a request as routes read."""

    query: MultiDict[str] = field(default_factory=MultiDict)
    match_info: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    transport: None = None

    async def read(self) -> bytes:
        """Return the body."""
        return self.body


@dataclass
class Answer:
    """A document, or one line."""

    route: str
    label: str
    lines: bool
    body: Any
    said: Any


@dataclass
class Told:
    """A daemon, and what it answered so far."""

    api: Api
    story: DiskStory
    answers: list[Answer] = field(default_factory=list)

    async def ask(self, text: str, body: Any = None, *, view: View = EVERYTHING) -> Any:
        """Ask as in `GET /v1/status/web?all=1`; keep the answer, or its lines, and return it."""
        method, _, rest = text.partition(" ")
        path, _, query = rest.partition("?")
        for route in DOMAINS.routes:
            pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.path)
            if route.method == method and (found := re.fullmatch(pattern, path)):
                break
        else:
            raise AssertionError(text)
        pairs = [(key, value) for key, _, value in (each.partition("=") for each in query.split("&") if each)]
        request = Asked(MultiDict(pairs), found.groupdict(), json.dumps(body or {}).encode())
        try:
            response = await route.handle(self.api, cast("web.Request", request), view)
        except EventdError as error:
            raise AssertionError(f"{text}: {error}") from error
        text_of = cast("Written | web.Response", response).text or ""
        said = [json.loads(line) for line in text_of.splitlines()]
        assert said, text
        lines = not isinstance(response, web.Response)
        name = f"{route.method} {route.path}"
        self.answers += [Answer(name, text, lines, body or {}, each) for each in said]
        return said[0]


class Schema:
    """The published schema, and what an answer has against it: the words of JSON Schema that pydantic writes."""

    def __init__(self) -> None:
        self.document = json.loads(SCHEMA.read_text(encoding="utf-8"))
        self.routes: dict[str, dict[str, Any]] = self.document["routes"]

    def problems(self, schema: dict[str, Any], value: Any, at: str) -> Iterator[str]:
        """Yield what is wrong, with its place."""
        left = schema.keys() - {"title", "description", "default", "minLength", "maxLength", "pattern"}
        assert left <= KNOWN, left - KNOWN
        if "$ref" in schema:
            yield from self.problems(self.document["$defs"][schema["$ref"].rpartition("/")[2]], value, at)
        if "anyOf" in schema:
            tried = [list(self.problems(each, value, at)) for each in schema["anyOf"]]
            yield from min(tried, key=len) if all(tried) else ()
        if "const" in schema and value != schema["const"]:
            yield f"{at}: {value!r} is not {schema['const']!r}"
        if "enum" in schema and value not in schema["enum"]:
            yield f"{at}: {value!r} is none of {schema['enum']}"
        match schema.get("type"):
            case None:
                return
            case "object" if isinstance(value, dict):
                yield from self._object(schema, value, at)
            case "array" if isinstance(value, list):
                for index, each in enumerate(value):
                    yield from self.problems(schema["items"], each, f"{at}[{index}]")
            case "string" | "boolean" | "null" | "number" | "integer" as kind if type(value) in TYPES[kind]:
                return
            case kind:
                yield f"{at}: {value!r} is no {kind}"

    def _object(self, schema: dict[str, Any], value: dict[str, Any], at: str) -> Iterator[str]:
        named, more = schema.get("properties", {}), schema.get("additionalProperties")
        yield from (f"{at}: no {key}" for key in schema.get("required", ()) if key not in value)
        for key, each in value.items():
            if key in named:
                yield from self.problems(named[key], each, f"{at}.{key}")
            elif isinstance(more, dict):
                yield from self.problems(more, each, f"{at}.{key}")
            else:
                yield f"{at}: the schema has no {key}"


async def _story() -> Told:
    story = DiskStory()
    story._last = (reversibility,)
    await story.start()
    story.world.model.accounts.add("anna", shell="/bin/bash")
    story.drives.plug("sdb1", UUID)
    story.drives.plug("sdc1", BIG)
    story.drives.plug("sdd1", "99999999-2222-3333-4444-555555555555", label="STRANGER")
    return Told(api_of(story), story)


def api_of(story: DiskStory) -> Api:
    """Return what the routes of this life are made of."""
    engine = story.engine
    story.host.store.runs = Store(story).runs  # type: ignore[method-assign]
    queries = engine.queries

    async def measure(_account: Account, _path: str, _left_out: object) -> Usage:
        return Usage(5000, whole=True)

    async def doctor() -> list[Any]:
        return doctor_document.checks(queries, NETWORK, provider="/usr/bin/docker-compose")

    async def boot() -> BootRecord:
        return boots.record(boots.workload("db", *boots.start("db", 15.0, 20.0), converged=21.0))

    identity = documents.Identity("simhost", "https://forge/repo", "main", 1000.0)
    api = Api(queries, engine.commands, identity, doctor, lambda _commit: None, boot)
    api.storage = Storage(story.controller, Sizes(measure))
    return api


async def tell(told: Told) -> None:
    """Bring a host into many states, and ask it everything."""
    story = told.story
    await told.ask("GET /v1/status")
    story.push(FILES)
    await story.quiet(300)
    story.world.homes["gone"] = 1
    await told.ask("POST /v1/suspend/app", {"reason": "a look at the disk"})
    files = {path: text for path, text in FILES.items() if "/gone/" not in path}
    story.push({**files, **container("web", "unhealthy", more="Notify=healthy\nHealthCmd=false")})
    await story.quiet(300)
    for path in ("status", "gates", "plan", "doctor", "runs", "audit", "state", "storage", "images", "boot"):
        await told.ask(f"GET /v1/{path}")
    await told.ask("GET /v1/images/web?check=1")
    for name in ("web", "app", "bad", "held", "left", "a", "gone", "anna", "volume:media"):
        await told.ask(f"GET /v1/status/{name}")
        await told.ask(f"GET /v1/why/{name}")
    await told.ask("GET /v1/audit/web")
    await told.ask("GET /v1/plan?fetch=1")
    for path in ("status", "status/web", "why/web", "gates", "plan", "runs", "audit", "storage", "images"):
        await told.ask(f"GET /v1/{path}", view=OWN)
    await told.ask("GET /v1/adopt/anna")
    await told.ask("GET /v1/retained")
    await told.ask("GET /v1/retained/gone")
    await told.ask("POST /v1/retained/gone", {"data": "delete"})
    await story.quiet(100)
    (row,) = (await told.ask("GET /v1/approvals"))["approvals"]
    await told.ask(f"GET /v1/approvals/{row['id']}")
    path = f"POST /v1/approvals/{row['id']}"
    await told.ask(f"{path}/reject")
    await told.ask(f"{path}/reject", {"undo": True})
    await story.quiet(100)
    await told.ask("POST /v1/retained/gone", {"data": "delete"})
    await story.quiet(100)
    open_ = (await told.ask("GET /v1/approvals"))["approvals"]
    (row,) = (each for each in open_ if each["state"] == "requested")
    path = f"POST /v1/approvals/{row['id']}"
    signature = f"alice {hashlib.sha256(row['document'].encode()).hexdigest()}"
    await told.ask(f"{path}/signature", {"signature": signature})
    await story.quiet(100)
    await told.ask("GET /v1/approvals?all=1")
    await told.ask("POST /v1/adopt/anna/aside", {"with_login": True})
    await told.ask("POST /v1/adopt/anna", {"with_login": True, "wait": True})
    await story.quiet(100)
    await told.ask("POST /v1/disown/anna")
    await told.ask("POST /v1/restart/app")
    await told.ask("POST /v1/resume/app")
    await told.ask("POST /v1/suspend", {})
    await told.ask("GET /v1/status")
    await told.ask("POST /v1/resume", {"wait": True})
    await told.ask("POST /v1/rollback/web", {"wait": True})
    await story.quiet(100)
    await told.ask("GET /v1/status/web")
    await told.ask("GET /v1/why/web")
    await told.ask("POST /v1/resume/web")
    await story.quiet(100)
    await told.ask("POST /v1/update")
    await story.quiet(100)
    await told.ask("POST /v1/update/app", {"wait": True})
    await told.ask("GET /v1/images/app")
    await told.ask("POST /v1/storage/media/eject")
    await story.quiet(100)
    await told.ask("POST /v1/storage/media/attach", {"wait": True})
    await told.ask("POST /v1/storage/media/migrate", {"to": "big"})
    await told.ask("GET /v1/storage")
    await told.ask("POST /v1/storage/media/migrate", {"to": "big", "wait": True})
    await told.ask("POST /v1/storage/media/forget-data")
    await told.ask("POST /v1/storage/spare/decommission")
    await told.ask("GET /v1/storage")
    await told.ask("POST /v1/sync")
    await told.ask("POST /v1/sync", {"wait": True})
    (latest, *_) = (await told.ask("GET /v1/runs"))["runs"]
    await told.ask(f"GET /v1/runs/{latest['id']}")
    story.drives.pull("sdb1")
    story.world.disk = Disk(markers=dict(story.world.disk.markers))
    await story.kill()
    await story.start()
    await story.quiet(100)
    told.api = api_of(story)
    await told.ask("GET /v1/state")
    await told.ask("GET /v1/doctor")
    await told.ask("GET /v1/status")
    await told.ask("POST /v1/state/acknowledge")
    await told.ask("GET /v1/events?last=40")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have threads and streams stay on virtual time."""

    async def here(function: Callable[..., Any], *arguments: Any, **_: Any) -> Any:
        return function(*arguments)

    async def stream(*_: Any, **__: Any) -> Written:
        return Written()

    async def turn(_request: Any) -> None:
        return None

    monkeypatch.setattr(anyio.to_thread, "run_sync", here)
    monkeypatch.setattr(answers, "stream", stream)
    monkeypatch.setattr(answers, "turn", turn)


@pytest.mark.usefixtures("at_once")
def test_every_route_answers_as_the_schema_says() -> None:
    """Every key of every document, and of every line, has its type there; no route is left out."""

    async def story() -> Told:
        told = await _story()
        await tell(told)
        return told

    told, schema = run(story()), Schema()
    wrong: list[str] = []
    for each in told.answers:
        route = schema.routes[each.route]
        wrong += schema.problems(route["lines" if each.lines else "answer"], each.said, each.label)
        if "body" in route:
            wrong += schema.problems(route["body"], each.body, each.label)
    assert wrong == []
    asked = {each.route for each in told.answers}
    assert asked == {f"{route.method} {route.path}" for route in DOMAINS.routes} - NOT_JSON
    assert asked == schema.routes.keys() - NOT_JSON - {"POST /v1/pushed"}


def test_a_refusal_is_as_the_schema_says() -> None:
    """It is every route's answer with a status of 400 or more."""
    schema = Schema()
    refused = answers.refusal(404, "no-such-run", "there is no run 0", "eventctl runs lists them")
    assert list(schema.problems(schema.document["error"], json.loads(refused.text or ""), "")) == []


def test_an_answer_that_is_not_as_the_schema_says_is_seen() -> None:
    """A key that is missing, one too many, a value of another type, a word that is none of the known ones."""
    schema = Schema()
    queued = schema.routes["POST /v1/restart/{workload}"]["answer"]
    check = {"checks": [{"name": "a", "ok": True, "message": "", "hint": ""}]}
    doctor = schema.routes["GET /v1/doctor"]["answer"]
    assert list(schema.problems(doctor, check, "")) == []
    assert list(schema.problems(queued, {}, "a")) == ["a: no queued"]
    assert list(schema.problems(queued, {"queued": True, "more": 1}, "a")) == ["a: the schema has no more"]
    check["checks"][0]["ok"] = "yes"
    assert list(schema.problems(doctor, check, "a")) == ["a.checks[0].ok: 'yes' is no boolean"]
    line = {"type": "finished", "run": None}
    assert list(schema.problems(schema.routes["POST /v1/sync"]["lines"], line, "a"))
