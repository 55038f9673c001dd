"""The wait graph as a document: what `GET /v1/gates` answers, what `eventctl gates` shows and draws.

Pure. A host has hundreds of units whose order concerns nobody's waiting; `relevant` leaves those out. Next:
`eventd.core.waits.svg` and the API.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from eventd.core.waits.cycles import WAITS, Cycle
from eventd.core.waits.graph import Edge, EdgeKind, Graph, NodeKind
from eventd.core.waits.remedies import remedies
from eventd.core.waits.sentences import headline, outcome, steps

MOST = 80
"""Nodes of a picture beyond those that cannot be left out."""
_ASKED = frozenset({*WAITS, EdgeKind.SERVED})


def document(graph: Graph, found: Iterable[Cycle]) -> dict[str, Any]:
    """Return nodes, edges, cycles with their ways out, and notes, as JSON has them."""
    cycles = tuple(found)
    circular = {(edge.waiter, edge.awaited) for cycle in cycles for edge in cycle.way}
    return {
        "nodes": [
            {"id": node.id, "kind": str(node.kind), "label": node.label, "scope": node.scope}
            for node in graph.nodes.values()
        ],
        "edges": [
            {
                "from": edge.waiter.node,
                "to": edge.awaited.node,
                "kind": str(edge.kind),
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


def _cycle(graph: Graph, cycle: Cycle) -> dict[str, Any]:
    return {
        "headline": headline(graph, cycle),
        "nodes": list(cycle.nodes),
        "sentences": list(steps(cycle)),
        "outcome": outcome(graph, cycle),
        "ways": [
            {"kind": str(way.kind), "text": way.text, "works": way.works, "again": list(way.again)}
            for way in remedies(graph, cycle)
        ],
    }


def relevant(graph: Graph, found: Iterable[Cycle], most: int = MOST) -> Graph:
    """Return the part of the graph that is about waiting: workloads, gates, what they ask for, who answers.

    Where nothing waits, the units that were put in an order by hand; as many as fit into `most`.
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
