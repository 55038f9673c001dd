"""Turns what a wait or a gate requires into edges: from a predicate to the points that must come before it holds.

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
"""States that need no start: inactive and failed."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Who requires a predicate, and where that is written."""

    point: Point
    kind: EdgeKind
    subject: str
    """`deploy-proxy.service does not finish starting`."""
    file: str
    line: int
    text: str
    servers: tuple[Server, ...] = ()
    """Who is declared to answer."""

    def edge(self, awaited: Point, what: str) -> Edge:
        """Return the edge to a point; `what` is the clause that it makes true."""
        sentence = f"{self.subject} before {what} ({at(self.file, self.line)})"
        return Edge(self.point, awaited, self.kind, sentence, self.file, self.line, self.text)


def need(draft: Draft, catalogue: Catalogue, ask: Ask, predicate: Predicate) -> None:
    """Add that a point does not come before a predicate holds."""
    match predicate:
        case All(members):
            for member in members:
                need(draft, catalogue, ask, member)
        case Any(members):
            node = f"gate:{ask.point.node}/{ask.point.phase}/{predicate.text}"
            draft.nodes[node] = Node(node, NodeKind.GATE, predicate.text, draft.nodes[ask.point.node].scope)
            point = Point(node, Phase.UP)
            draft.either.add(point)
            draft.edges.append(ask.edge(point, f"{predicate.text} holds"))
            for number, member in enumerate(members):
                inner = replace(ask, point=point, subject=f"{predicate.text} does not hold")
                if isinstance(member, All | Not):  # takes a point of its own, so that it counts as one
                    point_of_all = Point(f"{node}/{number}", Phase.UP)
                    draft.nodes[point_of_all.node] = Node(point_of_all.node, NodeKind.GATE, member.text)
                    draft.edges.append(inner.edge(point_of_all, f"{member.text} holds"))
                    inner = replace(ask, point=point_of_all, subject=f"{member.text} does not hold")
                need(draft, catalogue, inner, member)
        case Not():
            pass
        case _:
            point_or_none = _point(draft, catalogue, ask, predicate)
            if point_or_none is not None:
                draft.edges.append(ask.edge(point_or_none, clause(predicate)))


def _point(draft: Draft, catalogue: Catalogue, ask: Ask, atom: Atom) -> Point | None:
    """Return the point that an atom asks for; None if nobody's start brings it about."""
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
            return _answer(draft, catalogue, ask, atom)
        case Present(kind=MountFact.MOUNT, name=path) if found := catalogue.find(mount_unit(path)):
            return Point(node_of(found), Phase.UP)
        case _:
            return draft.fact(f"fact:{atom.text}", atom.text)


def _answer(draft: Draft, catalogue: Catalogue, ask: Ask, atom: Answers) -> Point:
    """Add a URL or a port, and who answers there."""
    declared = ", ".join(sorted(server.unit for server in ask.servers))
    node = f"answer:{atom.text}" + (f" by {declared}" if declared else "")
    point = Point(node, Phase.UP)
    if node in draft.nodes:
        return point
    draft.nodes[node] = Node(node, NodeKind.ANSWER, atom.text)
    directory = Directory(tuple(catalogue.specs.values()), catalogue.listeners, catalogue.hostnames)
    servers = ask.servers or directory.servers(atom.target)
    if not servers and atom.target.kind is not ProbeKind.DNS:
        draft.notes.append(_nobody(draft, directory, ask, atom))
    if len(servers) > 1:
        draft.either.add(point)
    for server in servers:
        spec = catalogue.find(server.unit, server.scope)
        awaited = draft.fact(f"fact:unit {server.unit}", server.unit)
        if spec is not None:
            awaited = Point(node_of(spec), Phase.UP if server.socket_only else Phase.SERVES)
            if spec.triggers and not server.socket_only:
                _hand_on(draft, catalogue, spec)
        sentence = f"{atom.target.url or atom.text} is answered by {draft.label(awaited.node)}"
        sentence += f" ({server.because})"
        draft.edges.append(Edge(point, awaited, EdgeKind.SERVED, sentence, server.file, 0, server.because))
    return point


def _hand_on(draft: Draft, catalogue: Catalogue, socket: UnitSpec) -> None:
    """Add that it is its service that answers at a socket."""
    service = catalogue.find(socket.triggers, socket.scope)
    if service is None:
        return
    waiter, awaited = Point(node_of(socket), Phase.SERVES), Point(node_of(service), Phase.SERVES)
    sentence = f"{draft.label(waiter.node)} hands what comes in to {draft.label(awaited.node)}"
    draft.edges.append(Edge(waiter, awaited, EdgeKind.SERVED, sentence, socket.file))


def _nobody(draft: Draft, directory: Directory, ask: Ask, atom: Answers) -> str:
    """Return a note that nobody is known to answer, who might, and who had better not."""
    note = f"the server of {atom.target.url or atom.text} is not known ({at(ask.file, ask.line)})"
    if ask.kind is not EdgeKind.WAIT:
        return note
    others = {node_of(spec) for spec in directory.mentioning(atom.target)} - {ask.point.node}
    late = {point.node for point in behind(draft.edges, ask.point) if point.phase is Phase.SERVES}
    if others:
        note += f"; {_names(draft, others)} name{'s' if len(others) == 1 else ''} that host"
    if late := {node for node in late - {ask.point.node} if node.endswith(".service")}:
        whom = draft.label(ask.point.node)
        note += f"; if it is {_names(draft, late)}, this is circular, because that starts only after {whom}"
    return f"{note}; set served_by"


def _names(draft: Draft, nodes: set[str]) -> str:
    names = sorted(draft.label(node) for node in nodes)
    return " or ".join(names[:4]) + (f" or {len(names) - 4} more" if len(names) > 4 else "")


def clause(atom: Atom) -> str:
    """Return that an atom holds, as a clause."""
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
