"""GET /v1/gates: every gate, what it waits for, and the wait graph. Times are seconds since the epoch.

The graph is made on request, from the desired state and the host at that moment. It includes workloads that were
refused as circular, since those are what one looks for.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import anyio
import anyio.to_thread
from typing_extensions import TypedDict

from eventd.api.model_rights import EVERYTHING, View
from eventd.desired.controller_load import ReadLive
from eventd.desired.model import Desired
from eventd.gates.model import WorkloadGates, read_gates
from eventd.gates.model_predicates import Predicate, missing
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.report import WorkloadState
from eventd.queries import Queries
from eventd.waits.model_build import desired_graph
from eventd.waits.model_cycles import cycles
from eventd.waits.model_document import CycleRow, EdgeRow, NodeRow, WaitGraph, document, relevant
from eventd.waits.model_units import LiveGraph

REFUSED = "it waits for itself, so its workload is refused"


class Gate(TypedDict):
    """A gate of a workload."""

    workload: str
    kind: str
    predicate: str
    holds: bool
    since: float | None
    missing: list[str]


class Gates(TypedDict):
    """GET /v1/gates."""

    gates: list[Gate]
    nodes: list[NodeRow]
    edges: list[EdgeRow]
    cycles: list[CycleRow]
    notes: list[str]


async def gates(queries: Queries, live_graph: ReadLive | None, view: View = EVERYTHING) -> Gates:
    """Return the document. The graph covers all workloads: a caller who may see only one does not get it."""
    desired, circular = queries.desired, queries.circular
    if not view.everything:
        mine = queries.gates.get(view.own)
        rows = list(_rows(queries, view.own, mine)) if mine is not None else []
        return {"gates": rows, "nodes": [], "edges": [], "cycles": [], "notes": []}
    if desired is None:
        return {"gates": [], "nodes": [], "edges": [], "cycles": [], "notes": ["no commit has been read yet"]}
    whole = replace(desired, workloads={**desired.workloads, **circular})
    refused = read_gates(replace(desired, workloads=circular))[0]
    live, notes = LiveGraph(), list[str]()
    written = any(each.written for each in queries.gates.values())
    if live_graph is not None and (written or refused):
        try:
            live = await live_graph(whole)
        except EventdError as error:
            notes.append(f"cannot read the units of this host: {error}")
    # The rows first: they have to be of one moment, and facts belong to this thread.
    rows = [row for name, each in sorted(queries.gates.items()) for row in _rows(queries, name, each)]
    rows += [row for name, each in sorted(refused.items()) for row in _refused(name, each)]
    drawn = await anyio.to_thread.run_sync(_graph, whole, live)
    return {"gates": rows, **drawn, "notes": [*notes, *drawn["notes"]]}


def _graph(desired: Desired, live: LiveGraph) -> WaitGraph:
    graph = desired_graph(desired, live)
    found = cycles(graph)
    return document(relevant(graph, found), found)


def _kinds(gates: WorkloadGates) -> Iterator[tuple[str, Predicate]]:
    for kind, predicate in (("requires", gates.requires), ("expect", gates.expect)):
        if predicate is not None:
            yield kind, predicate


def _rows(queries: Queries, name: str, gates: WorkloadGates) -> Iterator[Gate]:
    facts, held = queries.facts, queries.hold_of(name)
    status = queries.statuses.get(name)
    converged = status is not None and status.state in (
        WorkloadState.CONVERGED,
        WorkloadState.AT_RISK,
    )
    for kind, predicate in _kinds(gates):
        # Probes run only while they are waited for. A workload that is past its gate has met it.
        past = converged and predicate.value(facts) is None
        lacks = () if past else missing(predicate, facts)
        since = None
        if lacks and held is not None and kind == "requires":
            since = round(time.time() - (anyio.current_time() - held.since), 3)
        yield {
            "workload": name,
            "kind": kind,
            "predicate": predicate.text,
            "holds": not lacks,
            "since": since,
            "missing": [part.sentence for part in lacks],
        }


def _refused(name: str, gates: WorkloadGates) -> Iterator[Gate]:
    """Yield the gates of refused workloads. Their facts are not kept, so their values are unknown."""
    for kind, predicate in _kinds(gates):
        yield {
            "workload": name,
            "kind": kind,
            "predicate": predicate.text,
            "holds": False,
            "since": None,
            "missing": [REFUSED],
        }
