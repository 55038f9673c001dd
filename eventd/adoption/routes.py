"""The routes by which root hands an account over to eventd and takes it back."""

from __future__ import annotations

from aiohttp import web
from typing_extensions import TypedDict

from eventd.adoption.model import Candidate, Obstacle, Password, Signs, findings, meaning, obstacles
from eventd.adoption.model_facts import StoreVolume
from eventd.adoption.model_finds import Finds, Moved, Project
from eventd.api import answers, model_answers
from eventd.api.following import FollowedLine, asked
from eventd.api.model_rights import Right, Scope, View
from eventd.api.routing import Api, Route
from eventd.api.visit import visit_of
from eventd.kernel.model.errors import EventdError, PermanentError
from eventd.kernel.model.facts import FactKey
from eventd.kernel.queue import RunHandle
from eventd.platform.model_facts import PlatformFact
from eventd.status import documents_own as own
from eventd.status import documents_run

ADOPT = Right(
    "adopt", Scope.NO, Scope.NO, "Hand an account over to eventd, or take it back: `eventctl adopt`"
)

INSPECT_TIMEOUT = 15.0
"""Seconds for inspecting a home. It starts a process, which may take a while on a busy host."""


class AdoptRequest(answers.Waiting):
    """POST /v1/adopt/{name}."""

    with_login: bool = False
    """Adopt it although a person logs in with this account."""


class AsideRequest(answers.Body):
    """POST /v1/adopt/{name}/aside."""

    with_login: bool = False
    """Adopt it although a person logs in with this account."""


class Found(TypedDict):
    """What an account already has."""

    quadlets: list[str]
    units: list[str]
    projects: list[Project]
    volumes: list[StoreVolume]
    containers: int
    lingering: bool
    problem: str


class Candidacy(TypedDict):
    """GET /v1/adopt/{name}."""

    name: str
    uid: int
    home: str
    shell: str
    sessions: list[str]
    password: Password
    ssh_keys: list[str]
    obstacles: list[Obstacle]
    found: Found
    findings: list[str]
    means: list[str]


class Disowned(TypedDict):
    """The answer to disown: the run that recorded it."""

    run: documents_run.Run | None


async def _candidate(api: Api, name: str) -> Candidate:
    account = await api.queries.account(name)
    if account is None:
        raise PermanentError(
            f"the account {name} does not exist",
            reason="no-such-account",
            hint="eventd creates the accounts of workloads itself; adopt is for an existing account",
        )
    desired = api.queries.desired
    sessions = api.queries.facts.get(FactKey(PlatformFact.SESSIONS, name))
    return Candidate(
        account,
        await api.signs.read(account, timeout=INSPECT_TIMEOUT) if api.signs is not None else Signs(),
        sessions if isinstance(sessions, frozenset) else frozenset(),
        api.protected(name, account.uid),
        recorded=name in api.queries.records.workloads,
        wanted=desired is not None and name in {*desired.workloads, *desired.refused},
    )


async def _document(api: Api, candidate: Candidate) -> Candidacy:
    account = candidate.account
    facts = api.queries.facts
    lingers = facts.get(FactKey(PlatformFact.LINGER, account.name)) is True
    finds = Finds()
    if not candidate.protected:
        try:
            finds = await api.queries.found_in(account, timeout=INSPECT_TIMEOUT)
        except EventdError as error:
            finds = Finds(problem=error.message)
    folders = api.queries.context.layout.folders(account.uid)
    return {
        "name": account.name,
        "uid": account.uid,
        "home": account.home,
        "shell": account.shell,
        "sessions": sorted(candidate.sessions),
        "password": candidate.signs.password,
        "ssh_keys": list(candidate.signs.ssh_keys),
        "obstacles": list(obstacles(candidate)),
        "found": {
            "quadlets": list(finds.quadlets),
            "units": list(finds.units),
            "projects": list(finds.projects),
            "volumes": list(finds.volumes),
            "containers": finds.containers,
            "lingering": lingers,
            "problem": finds.problem,
        },
        "findings": list(findings(account, finds, lingers=lingers)),
        "means": list(meaning(account, folders)),
    }


async def _get_host_account(api: Api, request: web.Request, _view: View) -> web.Response:
    return answers.document(await _document(api, await _candidate(api, request.match_info["name"])))


def _require(candidate: Candidate, *, with_login: bool) -> None:
    """Raise if the account cannot be adopted."""
    left = [each for each in obstacles(candidate) if not (each.by_login and with_login)]
    if left:
        raise PermanentError(
            "; ".join(each.message for each in left), reason=left[0].reason, hint=left[0].hint
        )


async def _adopt(api: Api, request: web.Request, view: View) -> web.StreamResponse:
    name = request.match_info["name"]
    body = await answers.body(request, AdoptRequest)
    candidate = await _candidate(api, name)
    _require(candidate, with_login=body.with_login)
    uid, visit = candidate.account.uid, visit_of(request)
    by = visit.peer.uid if visit is not None else -1

    async def begin(handle: RunHandle) -> None:
        await api.commands.adopt(name, uid, by, handle, with_login=body.with_login)

    return await asked(api, request, view, begin, wait=body.wait)


async def _aside(api: Api, request: web.Request, _view: View) -> web.Response:
    """Move the account's own files aside, before it is handed over."""
    body = await answers.body(request, AsideRequest)
    candidate = await _candidate(api, request.match_info["name"])
    _require(candidate, with_login=body.with_login)
    account = candidate.account
    moved = await api.commands.move_aside(account)
    if moved.problem:
        raise PermanentError(
            f"not all files of {account.name} could be moved into {moved.aside}: {moved.problem}",
            reason="not-moved-aside",
            hint=f"move the rest by hand, in eventctl shell {account.name}; the account is not handed over yet",
        )
    return answers.document(moved)


async def _disown(api: Api, request: web.Request, view: View) -> web.Response:
    name = request.match_info["name"]
    await answers.body(request, answers.Body)
    visit = visit_of(request)
    report = await api.commands.disown(name, visit.peer.uid if visit is not None else -1)
    return answers.document(Disowned(run=own.run(documents_run.run(report), view)))


ROUTES = (
    Route(
        "GET",
        "/v1/adopt/{name}",
        ADOPT,
        _get_host_account,
        'what it means to hand an account over: `{"name", "uid", "home", "shell", "sessions", '
        '"password", "ssh_keys", "obstacles": [{"reason", "message", "hint", "by_login"}], "found": '
        '{"quadlets", "units", "projects", "volumes", "containers", "lingering", "problem"}, '
        '"findings", "means"}`; 404 if there is no such account',
        document=Candidacy,
    ),
    Route(
        "POST",
        "/v1/adopt/{name}",
        ADOPT,
        _adopt,
        '`{"with_login": false, "wait": false}`: do it; 202 `{"queued": true}`, or with `wait` the '
        "lines of a [Sync](#sync)",
        document=model_answers.Queued,
        lines=FollowedLine,
        body=AdoptRequest,
    ),
    Route(
        "POST",
        "/v1/adopt/{name}/aside",
        ADOPT,
        _aside,
        '`{"with_login": false}`: move what is in the way into a folder of the home, as the account; '
        '`{"aside", "moved", "stopped", "problem"}`',
        document=Moved,
        body=AsideRequest,
    ),
    Route(
        "POST",
        "/v1/disown/{name}",
        ADOPT,
        _disown,
        '`{}`: forget it; `{"run": Run}`',
        document=Disowned,
        body=answers.Body,
    ),
)
