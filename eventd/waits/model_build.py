"""Builds the wait graph of a folder of unit files with a `waits.toml`, or of a host's desired state.

Pure. Combines `model_ordering` and `model_requirements`, and adds what eventd does: it starts nothing of a workload
before `requires` holds, and the workload is healthy once `expect` holds. Next: `eventd.waits.model_cycles`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from eventd.desired.model import Desired, UnitRole, Workload
from eventd.gates.model_predicate_atoms import Answers, Present, UnitIs
from eventd.gates.model_predicate_scope import quadlet_files
from eventd.gates.model_predicates import Predicate
from eventd.unitfiles.model_quadlet import KINDS, split
from eventd.waits.model_catalogue import Catalogue, Key, by_key, node_of
from eventd.waits.model_declared import Stage, Wait
from eventd.waits.model_draft import Draft, at
from eventd.waits.model_gates import Part, PlacedGates, placed_gates
from eventd.waits.model_graph import Edge, EdgeKind, Graph, Node, NodeKind, Phase, Point
from eventd.waits.model_ordering import add_units, order
from eventd.waits.model_quadlets import spec_of_quadlet
from eventd.waits.model_requirements import Requirement, add_requirement
from eventd.waits.model_serving import Server
from eventd.waits.model_units import LiveGraph, Relation, UnitSpec, spec_of_file, spec_of_live

DAEMON = "eventd.service"


def folder_graph(catalogue: Catalogue, waits: Iterable[Wait]) -> Graph:
    """Return the graph of plain units and what their scripts wait for. The units that waits name have to exist."""
    draft = Draft()
    add_units(draft, catalogue)
    for wait in waits:
        _wait(draft, catalogue, wait)
    return draft.graph()


def desired_graph(desired: Desired, live: LiveGraph, hostnames: frozenset[str] = frozenset()) -> Graph:
    """Return the graph of a host: its system units as they are, its workloads as desired."""
    gates = placed_gates(desired)
    specs = [spec_of_live(unit) for unit in live.units]
    containers: dict[Key, str] = {}
    for workload in desired.workloads.values():
        specs += workload_specs(workload)
    for name, each in gates.items():
        containers |= {(name, made.name): made.unit for made in each.scope.containers.values()}
    catalogue = Catalogue(by_key(specs), {}, live.listeners, hostnames | live.hostnames, containers)
    draft = Draft()
    add_units(draft, catalogue)
    for name in desired.workloads:
        draft.nodes[f"workload:{name}"] = Node(f"workload:{name}", NodeKind.WORKLOAD, name, name)
    for workload in desired.workloads.values():
        _workload(draft, catalogue, workload)
    for each in gates.values():
        _gates(draft, catalogue, each)
    for wait in live.waits:
        if catalogue.find(wait.unit.text) is not None:
            _wait(draft, catalogue, wait)
    return draft.graph()


def workload_specs(workload: Workload) -> tuple[UnitSpec, ...]:
    """Return the specs of a workload's units, as its user manager will have them."""
    files = quadlet_files(workload)
    found: list[UnitSpec] = []
    for unit in workload.units:
        if unit.file not in files:
            continue
        quadlet = split(unit.file)[1] in KINDS
        read = spec_of_quadlet if quadlet else spec_of_file
        spec = read(unit.file if quadlet else unit.name, files[unit.file], scope=workload.name)
        found.append(replace(spec, name=unit.name))
    return tuple(found)


def _wait(draft: Draft, catalogue: Catalogue, wait: Wait) -> None:
    """Add what a unit's script waits for. It delays the end of the unit's start, its service, or neither."""
    spec = catalogue.find(wait.unit.text)
    assert spec is not None, "names are checked before"
    stage = wait.stage or _guess(spec, wait.predicate)
    node = node_of(spec)
    servers = tuple(
        Server(other.name, other.scope, f"served_by in {at(each.file, each.line)}")
        for each in wait.served_by
        if (other := _server(catalogue, each.text)) is not None
    )
    points: list[tuple[Phase, str]] = []
    if stage is not Stage.MAIN or spec.blocking:
        points.append((Phase.UP, f"{spec.name} does not finish starting"))
    if stage is Stage.PRE or wait.before_serving:
        points.append((Phase.SERVES, f"{spec.name} answers nobody"))
    if not points:
        draft.notes.append(
            f"{spec.name} waits for {wait.place.text} in its main process, after its start job has ended:"
            " what is ordered after it does not wait"
        )
    for phase, subject in points:
        place = wait.place
        requirement = Requirement(
            Point(node, phase), EdgeKind.WAIT, subject, place.file, place.line, place.text, servers
        )
        add_requirement(draft, catalogue, requirement, wait.predicate)


def _server(catalogue: Catalogue, text: str) -> UnitSpec | None:
    """Return the unit that `served_by` names: a system unit, or `WORKLOAD/UNIT`."""
    scope, _, name = text.rpartition("/")
    return catalogue.find(name, scope)


def _guess(spec: UnitSpec, predicate: Predicate) -> Stage:
    """Return which command waits if `stage` is not set: one that names what is waited for, or else the main one."""
    match predicate:
        case Answers(target=probe):
            subject = probe.host
        case UnitIs(name=name) | Present(name=name):
            subject = name
        case _:
            return Stage.MAIN
    if subject in spec.before_main:
        return Stage.PRE
    return Stage.POST if subject in spec.after_main else Stage.MAIN


def _workload(draft: Draft, catalogue: Catalogue, workload: Workload) -> None:
    """Add a workload, its units, and the order in which eventd starts them."""
    node = f"workload:{workload.name}"
    draft.inner(node, Phase.UP, Phase.BEGIN)
    draft.inner(node, Phase.HEALTHY, Phase.UP)
    daemon = catalogue.find(DAEMON)
    if daemon is not None:
        sentence = f"workload {workload.name} is started by {DAEMON}"
        draft.edges.append(
            Edge(Point(node, Phase.BEGIN), Point(node_of(daemon), Phase.SERVES), EdgeKind.PART, sentence)
        )
    for unit in workload.units:
        spec = catalogue.find(unit.name, workload.name)
        if spec is None:
            continue
        mine = node_of(spec)
        sentence = f"{draft.label(mine)} is started by eventd as part of workload {workload.name}"
        draft.edges.append(
            Edge(Point(mine, Phase.BEGIN), Point(node, Phase.BEGIN), EdgeKind.PART, sentence, spec.file)
        )
        if unit.role is not UnitRole.ON_DEMAND:
            sentence = f"workload {workload.name} is not active before {draft.label(mine)} is"
            draft.edges.append(
                Edge(Point(node, Phase.UP), Point(mine, Phase.UP), EdgeKind.PART, sentence, spec.file)
            )
        for name in unit.after:
            earlier = catalogue.find(name, workload.name)
            if earlier is not None:
                why = "eventd starts the dependencies of a unit before it"
                draft.edges.append(order(draft, spec, earlier, Relation("After", name, spec.file), why))


def _gates(draft: Draft, catalogue: Catalogue, gates: PlacedGates) -> None:
    """Add what a workload requires and expects."""
    name = gates.workload
    for parts, key, phase, subject in (
        (gates.requires, "requires", Phase.BEGIN, f"eventd starts nothing of workload {name}"),
        (gates.expect, "health.expect", Phase.HEALTHY, f"workload {name} is not healthy"),
    ):
        if parts:
            _gate(draft, catalogue, name, key, parts, Point(f"workload:{name}", phase), subject)


def _gate(
    draft: Draft,
    catalogue: Catalogue,
    workload: str,
    key: str,
    parts: tuple[Part, ...],
    point: Point,
    subject: str,
) -> None:
    """Add a gate that its workload waits for. It is a node of its own, so that a picture shows it."""
    node = f"gate:{workload}/{key}"
    label = f"{workload} starts when" if key == "requires" else f"{workload} is healthy when"
    draft.nodes[node] = Node(node, NodeKind.GATE, label, workload)
    draft.edges.append(Edge(point, Point(node, Phase.UP), EdgeKind.INNER))
    for part in parts:
        place = part.place
        requirement = Requirement(
            Point(node, Phase.UP), EdgeKind.GATE, subject, place.file, place.line, place.text
        )
        add_requirement(draft, catalogue, requirement, part.predicate)
