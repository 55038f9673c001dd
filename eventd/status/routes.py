"""Routes that read: status, why, gates, the plan, the boot, doctor and metrics."""

from __future__ import annotations

from aiohttp import web

from eventd.api import answers
from eventd.api.model_rights import Right, Scope, View
from eventd.api.routing import Api, Needs, Route
from eventd.boot.documents import Boot, boot
from eventd.boot.model_svg import svg
from eventd.doctor.documents import Doctor
from eventd.gates.documents import Gates, gates
from eventd.status import documents_own as own
from eventd.status import documents_plan as plan_document
from eventd.status import documents_why as why_document
from eventd.status.documents import Status
from eventd.status.documents_workload import WorkloadStatus

STATUS = Right("status", Scope.ALL, Scope.OWN, "The status of workloads: `eventctl status`")
WHY = Right(
    "why", Scope.ALL, Scope.OWN, "One workload's state in a sentence, and the facts behind it: `eventctl why`"
)
GATES = Right("gates", Scope.ALL, Scope.OWN, "What workloads wait for: `eventctl gates`")
PLAN = Right("plan", Scope.ALL, Scope.OWN, "What a run would do now, with diffs: `eventctl plan`")
FETCH = Right("fetch", Scope.NO, Scope.NO, "Fetch first, and plan the new revision: `eventctl plan --fetch`")
BOOT = Right("boot", Scope.ALL, Scope.NO, "The record of the boot: `eventctl boot`")
DOCTOR = Right("doctor", Scope.ALL, Scope.NO, "What the daemon finds wrong with this host: `eventctl doctor`")
METRICS = Right("metrics", Scope.ALL, Scope.NO, "Prometheus metrics: `eventctl metrics`")


async def _status(api: Api, _request: web.Request, view: View) -> web.Response:
    return answers.document(own.status(api.queries, api.identity, view))


async def _status_one(api: Api, request: web.Request, view: View) -> web.Response:
    return answers.document(own.workload(api.queries, await api.workload(request, view), view))


async def _why(api: Api, request: web.Request, view: View) -> web.Response:
    return answers.document(why_document.why(api.queries, await api.workload(request, view), view))


async def _gates(api: Api, _request: web.Request, view: View) -> web.Response:
    return answers.document(await gates(api.queries, api.live_graph, view))


async def _plan(api: Api, request: web.Request, view: View) -> web.Response:
    fetched = await api.commands.preview() if "1" in request.query.getall("fetch", ()) else None
    return answers.document(await plan_document.plan(api.queries, fetched, view))


async def _boot(api: Api, _request: web.Request, _view: View) -> web.Response:
    return answers.document(boot(await api.boot()))


async def _boot_svg(api: Api, _request: web.Request, _view: View) -> web.Response:
    return web.Response(text=svg(await api.boot()), content_type="image/svg+xml")


async def _doctor(api: Api, _request: web.Request, _view: View) -> web.Response:
    return answers.document(Doctor(checks=await api.doctor()))


async def _metrics(api: Api, _request: web.Request, _view: View) -> web.Response:
    return web.Response(
        body=api.metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    )


ROUTES = (
    Route(
        "GET",
        "/v1/status",
        STATUS,
        _status,
        "[Status](#status)",
        needs=Needs.NOTHING,
        document=Status,
    ),
    Route(
        "GET",
        "/v1/status/{workload}",
        STATUS,
        _status_one,
        "[WorkloadStatus](#workloadstatus); 404 if there is no such workload",
        needs=Needs.NOTHING,
        document=WorkloadStatus,
    ),
    Route("GET", "/v1/why/{workload}", WHY, _why, "[Why](#why)", document=why_document.Why),
    Route("GET", "/v1/gates", GATES, _gates, "[Gates](#gates)", document=Gates),
    Route(
        "GET",
        "/v1/plan",
        PLAN,
        _plan,
        "[Plan](#plan) against the loaded revision; with `?fetch=1`, against what the branch points to now",
        queries={("fetch", "1"): FETCH},
        document=plan_document.Plan,
    ),
    Route("GET", "/v1/boot", BOOT, _boot, "[Boot](#boot)", needs=Needs.HOST, document=Boot),
    Route(
        "GET",
        "/v1/boot.svg",
        BOOT,
        _boot_svg,
        "the same as a picture",
        needs=Needs.HOST,
        document=None,
    ),
    Route(
        "GET",
        "/v1/doctor",
        DOCTOR,
        _doctor,
        '`{"checks": [{"name", "ok", "message", "hint"}]}`: what the daemon checks on this host: its '
        "state, its errors, a repository that cannot be reached",
        needs=Needs.NOTHING,
        document=Doctor,
    ),
    Route(
        "GET",
        "/metrics",
        METRICS,
        _metrics,
        "Prometheus' text format: [metrics](metrics.md)",
        needs=Needs.NOTHING,
        document=None,
    ),
)
