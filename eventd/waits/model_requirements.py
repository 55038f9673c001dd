"""Turns what a wait or a gate requires into edges, to the points that must come before its predicate holds.

Pure. Owns the point of each atom, the server of a URL, and the sentence of each edge. A `not` requires no point, an
`any` requires one of several. Next: `eventd.waits.model_cycles`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from eventd.gates.model_predicate_atoms import (
    Answers,
    Atom,
    ContainerHealthy,
    ManagerUp,
    Present,
    ProbeKind,
    SessionOf,
    UnitIs,
    WorkloadIs,
)
from eventd.gates.model_predicates import All, Any, Not, Predicate
from eventd.mounts.model_facts import MountFact
from eventd.waits.model_catalogue import Catalogue, node_of
from eventd.waits.model_draft import Draft, at
from eventd.waits.model_graph import Edge, EdgeKind, Node, NodeKind, Phase, Point, behind
from eventd.waits.model_serving import Directory, Server
from eventd.waits.model_units import UnitSpec, mount_unit

_PHASES: Mapping[str, Phase] = {"active": Phase.UP, "activating": Phase.BEGIN}
"""States that a start brings about; `inactive` and `failed` need no start."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A point that requires a predicate, and where that is written."""

    point: Point
    kind: EdgeKind
    subject: str
    """The beginning of its sentences: `deploy-proxy.service does not finish starting`."""
    file: str
    line: int
    text: str
    servers: tuple[Server, ...] = ()
    """The declared servers of what it requires."""

    def edge(self, awaited: Point, what: str) -> Edge:
        """Return the edge to the awaited point. `what`: the clause that is true once the point has come."""
        sentence = f"{self.subject} before {what} ({at(self.file, self.line)})"
        return Edge(self.point, awaited, self.kind, sentence, self.file, self.line, self.text)


def add_requirement(
    draft: Draft, catalogue: Catalogue, requirement: Requirement, predicate: Predicate
) -> None:
    """Add the edges that say that a point does not come before a predicate holds."""
    match predicate:
        case All(members):
            for member in members:
                add_requirement(draft, catalogue, requirement, member)
        case Any(members):
            node = f"gate:{requirement.point.node}/{requirement.point.phase}/{predicate.text}"
            draft.nodes[node] = Node(
                node, NodeKind.GATE, predicate.text, draft.nodes[requirement.point.node].scope
            )
            point = Point(node, Phase.UP)
            draft.any_of.add(point)
            draft.edges.append(requirement.edge(point, f"{predicate.text} holds"))
            for number, member in enumerate(members):
                inner = replace(requirement, point=point, subject=f"{predicate.text} does not hold")
                if isinstance(
                    member, All | Not
                ):  # it gets a point of its own, so that it counts as one alternative
                    point_of_all = Point(f"{node}/{number}", Phase.UP)
                    draft.nodes[point_of_all.node] = Node(point_of_all.node, NodeKind.GATE, member.text)
                    draft.edges.append(inner.edge(point_of_all, f"{member.text} holds"))
                    inner = replace(requirement, point=point_of_all, subject=f"{member.text} does not hold")
                add_requirement(draft, catalogue, inner, member)
        case Not():
            pass
        case _:
            point_or_none = _point(draft, catalogue, requirement, predicate)
            if point_or_none is not None:
                draft.edges.append(requirement.edge(point_or_none, clause(predicate)))


def _point(draft: Draft, catalogue: Catalogue, requirement: Requirement, atom: Atom) -> Point | None:
    """Return the point that an atom requires; None if no start brings it about."""
    match atom:
        case UnitIs(name=name, workload=workload, state=state):
            if state not in _PHASES:
                return None
            found = catalogue.find(name, workload)
            if found is None:
                return draft.fact(f"fact:{atom.text}", f"unit {name}")
            return Point(node_of(found), _PHASES[state])
        case WorkloadIs(name=name, state=state):
            if f"workload:{name}" not in draft.nodes:
                return draft.fact(f"workload:{name}", f"workload {name}")
            return Point(f"workload:{name}", Phase.HEALTHY if state == "healthy" else Phase.UP)
        case ContainerHealthy(name=name, workload=workload, unit=unit):
            found = catalogue.find(unit or catalogue.containers.get((workload, name), ""), workload)
            if found is None:
                return draft.fact(f"fact:{workload}/{atom.text}", f"container {name}")
            return Point(node_of(found), Phase.UP if unit else Phase.SERVES)
        case Answers():
            return _answer(draft, catalogue, requirement, atom)
        case Present(kind=MountFact.MOUNT, name=path) if found := catalogue.find(mount_unit(path)):
            return Point(node_of(found), Phase.UP)
        case _:
            return draft.fact(f"fact:{atom.text}", atom.text)


def _answer(draft: Draft, catalogue: Catalogue, requirement: Requirement, atom: Answers) -> Point:
    """Add a URL or a port, and its servers."""
    declared = ", ".join(sorted(server.unit for server in requirement.servers))
    node = f"answer:{atom.text}" + (f" by {declared}" if declared else "")
    point = Point(node, Phase.UP)
    if node in draft.nodes:
        return point
    draft.nodes[node] = Node(node, NodeKind.ANSWER, atom.text)
    directory = Directory(tuple(catalogue.specs.values()), catalogue.listeners, catalogue.hostnames)
    servers = requirement.servers or directory.servers(atom.target)
    if not servers and atom.target.kind is not ProbeKind.DNS:
        draft.notes.append(_unknown_server(draft, directory, requirement, atom))
    if len(servers) > 1:
        draft.any_of.add(point)
    for server in servers:
        spec = catalogue.find(server.unit, server.scope)
        awaited = draft.fact(f"fact:unit {server.unit}", server.unit)
        if spec is not None:
            awaited = Point(node_of(spec), Phase.UP if server.socket_only else Phase.SERVES)
            if spec.triggers and not server.socket_only:
                _add_socket_service(draft, catalogue, spec)
        sentence = f"{atom.target.url or atom.text} is answered by {draft.label(awaited.node)}"
        sentence += f" ({server.because})"
        draft.edges.append(Edge(point, awaited, EdgeKind.SERVED, sentence, server.file, 0, server.because))
    return point


def _add_socket_service(draft: Draft, catalogue: Catalogue, socket: UnitSpec) -> None:
    """Add that a socket's service answers its connections."""
    service = catalogue.find(socket.triggers, socket.scope)
    if service is None:
        return
    waiter, awaited = Point(node_of(socket), Phase.SERVES), Point(node_of(service), Phase.SERVES)
    sentence = f"{draft.label(waiter.node)} passes its connections to {draft.label(awaited.node)}"
    draft.edges.append(Edge(waiter, awaited, EdgeKind.SERVED, sentence, socket.file))


def _unknown_server(draft: Draft, directory: Directory, requirement: Requirement, atom: Answers) -> str:
    """Return a note that the server of an address is unknown, with candidates, and those that would be circular."""
    note = f"the server of {atom.target.url or atom.text} is not known ({at(requirement.file, requirement.line)})"
    if requirement.kind is not EdgeKind.WAIT:
        return note
    others = {node_of(spec) for spec in directory.mentioning(atom.target)} - {requirement.point.node}
    late = {point.node for point in behind(draft.edges, requirement.point) if point.phase is Phase.SERVES}
    if others:
        note += f"; {_names(draft, others)} name{'s' if len(others) == 1 else ''} that host"
    if late := {node for node in late - {requirement.point.node} if node.endswith(".service")}:
        whom = draft.label(requirement.point.node)
        note += f"; if it is {_names(draft, late)}, this is circular, because that starts only after {whom}"
    return f"{note}; set served_by"


def _names(draft: Draft, nodes: set[str]) -> str:
    names = sorted(draft.label(node) for node in nodes)
    return " or ".join(names[:4]) + (f" or {len(names) - 4} more" if len(names) > 4 else "")


def clause(atom: Atom) -> str:
    """Return a clause that says that an atom holds."""
    match atom:
        case UnitIs(name=name, state=state, workload=workload):
            return f"unit {name}{f' of {workload}' if workload else ''} is {state}"
        case WorkloadIs(name=name, state=state):
            return f"workload {name} is {state}"
        case ContainerHealthy(name=name, workload=workload):
            return f"container {name}{f' of {workload}' if workload else ''} is healthy"
        case Answers(target=probe) if probe.kind is ProbeKind.HTTP:
            return f"{probe.url} answers" + (f" with {probe.status}" if probe.status else "")
        case Answers(target=probe) if probe.kind is ProbeKind.DNS:
            return f"{probe.host} resolves"
        case Answers():
            return f"{atom.text} accepts connections"
        case ManagerUp(user=user):
            return f"the user manager of {user} is up"
        case SessionOf(user=user):
            return f"{user} is logged in"
        case Present(kind=kind, name=name):
            return f"{kind} {name} is there"
