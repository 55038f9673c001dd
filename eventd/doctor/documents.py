"""The daemon's part of `eventctl doctor`: whether the host is as desired, and its own and its sources' errors."""

from __future__ import annotations

from typing_extensions import TypedDict

from eventd.api.model_answers import Check
from eventd.compose import documents as compose_document
from eventd.desired.controller_activation import FETCH
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.report import WorkloadState
from eventd.platform.model_facts import unit as as_unit
from eventd.queries import Queries
from eventd.repository.model_facts import FetchFailure
from eventd.state import documents as recovery_document
from eventd.status import documents

_MOST = 5
"""Workloads to name; `eventctl status` has all."""


class Doctor(TypedDict):
    """GET /v1/doctor."""

    checks: list[Check]


def checks(queries: Queries, network: FactKey, *, provider: str) -> list[Check]:
    """Return GET /v1/doctor; `network`: the fact of network-online.target, `provider`: the compose program."""
    unit = as_unit(queries.facts.get(network))
    reached = (
        "reached" if unit is not None and unit.up else "not reached (eventd does not need it; a gate may)"
    )
    return [
        _check("network-online.target", reached),
        _status(queries),
        *_fetch(queries),
        *(
            _check(f"trouble: {name}", error.message, error.hint or "journalctl -u eventd -n 50", ok=False)
            for name, error in documents.source_errors(queries)
        ),
        *_commit(queries),
        *compose_document.checks(queries.desired, queries.facts, provider),
        *recovery_document.checks(queries),
    ]


def _status(queries: Queries) -> Check:
    state = documents.overall(queries)
    rows = {name: queries.status(name) for name in sorted(queries.names())}
    wrong = {WorkloadState.FAILED, WorkloadState.REFUSED}
    bad = [f"{name} {row.state.value}: {row.message}" for name, row in rows.items() if row.state in wrong]
    held = [name for name, row in rows.items() if row.state is WorkloadState.HELD]
    said = state
    if bad:
        more = f" (and {len(bad) - _MOST} more)" if len(bad) > _MOST else ""
        said += "; ".join([": " + bad[0], *bad[1:_MOST]]) + more
    elif held:
        said += f": {', '.join(held[:_MOST])}" + (" …" if len(held) > _MOST else "")
    return _check("status", said, "eventctl status", ok=state not in {"degraded", "failed"})


def _fetch(queries: Queries) -> list[Check]:
    failure = queries.facts.get(FETCH)
    if not isinstance(failure, FetchFailure):
        return []
    return [_check("repository", failure.message, failure.hint or "eventctl status", ok=False)]


def _commit(queries: Queries) -> list[Check]:
    error = queries.load_error
    return (
        [] if error is None else [_check("commit", error.message, error.hint or "eventctl status", ok=False)]
    )


def _check(name: str, message: str, hint: str = "", *, ok: bool = True) -> Check:
    return {"name": name, "ok": ok, "message": message, "hint": "" if ok else hint}
