"""The wait graph as a document, for `GET /v1/gates` and `eventctl gates`.

Pure. On a host, the order of hundreds of units matters for no wait; `relevant` leaves those out. Next:
`eventd.waits.model_svg` and the API.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from typing_extensions import TypedDict

from eventd.waits.model_cycles import WAITS, Cycle
from eventd.waits.model_graph import Edge, EdgeKind, Graph, NodeKind
from eventd.waits.model_remedies import RemedyKind, remedies
from eventd.waits.model_sentences import headline, outcome, steps

MOST = 80
"""How many optional nodes a picture may have."""
_ASKED = frozenset({*WAITS, EdgeKind.SERVED})


class NodeRow(TypedDict):
    """Something that waits, or is waited for."""

    id: str
    kind: NodeKind
    label: str
    scope: str


EdgeRow = TypedDict(
    "EdgeRow",
    {
        "from": str,
        "to": str,
        "kind": EdgeKind,
        "sentence": str,
        "file": str,
        "line": int,
        "setting": str,
        "circular": bool,
    },
)
"""Who waits for what, and where that is written."""


class RemedyRow(TypedDict):
    """A change of a file, and whether it breaks the cycle."""

    kind: RemedyKind
    text: str
    works: bool
    again: list[str]


class CycleRow(TypedDict):
    """A circular wait, and the changes that may break it."""

    headline: str
    nodes: list[str]
    sentences: list[str]
    outcome: str
    ways: list[RemedyRow]


class WaitGraph(TypedDict):
    """Who waits for whom."""

    nodes: list[NodeRow]
    edges: list[EdgeRow]
    cycles: list[CycleRow]
    notes: list[str]


def document(graph: Graph, found: Iterable[Cycle]) -> WaitGraph:
    """Return nodes, edges, cycles with their remedies, and notes."""
    cycles = tuple(found)
    circular = {(edge.waiter, edge.awaited) for cycle in cycles for edge in cycle.path}
    return {
        "nodes": [
            {"id": node.id, "kind": node.kind, "label": node.label, "scope": node.scope}
            for node in graph.nodes.values()
        ],
        "edges": [
            {
                "from": edge.waiter.node,
                "to": edge.awaited.node,
                "kind": edge.kind,
                "sentence": edge.sentence,
                "file": edge.file,
                "line": edge.line,
                "setting": edge.setting,
                "circular": (edge.waiter, edge.awaited) in circular,
            }
            for edge in graph.edges
            if edge.waiter.node != edge.awaited.node
        ],
        "cycles": [_cycle(graph, cycle) for cycle in cycles],
        "notes": list(graph.notes),
    }


def _cycle(graph: Graph, cycle: Cycle) -> CycleRow:
    return {
        "headline": headline(graph, cycle),
        "nodes": list(cycle.nodes),
        "sentences": list(steps(cycle)),
        "outcome": outcome(graph, cycle),
        "ways": [
            {"kind": way.kind, "text": way.text, "works": way.works, "again": list(way.again)}
            for way in remedies(graph, cycle)
        ],
    }


def relevant(graph: Graph, found: Iterable[Cycle], most: int = MOST) -> Graph:
    """Return the part of the graph that is about waiting: workloads, gates, what they wait for, and who answers.

    If nothing waits: the units with a written ordering, as many as fit into `most`.
    """
    keep = {node for cycle in found for node in cycle.nodes}
    for edge in graph.edges:
        if edge.kind in _ASKED:
            keep |= {edge.waiter.node, edge.awaited.node}
    keep |= {node.id for node in graph.nodes.values() if node.kind is NodeKind.WORKLOAD}
    written = [edge for edge in graph.edges if edge.kind is EdgeKind.ORDER and edge.setting]
    around = dict.fromkeys(
        node
        for edge in written
        if not keep or edge.waiter.node in keep or edge.awaited.node in keep
        for node in (edge.waiter.node, edge.awaited.node)
    )
    more = [node for node in around if node not in keep]
    if len(more) + len(keep) <= most or not keep:
        keep |= set(more[:most])
    edges = tuple(
        edge
        for edge in graph.edges
        if edge.waiter.node in keep and edge.awaited.node in keep and _shown(edge)
    )
    return replace(graph, nodes={id_: node for id_, node in graph.nodes.items() if id_ in keep}, edges=edges)


def _shown(edge: Edge) -> bool:
    return edge.kind is not EdgeKind.ORDER or bool(edge.setting)
