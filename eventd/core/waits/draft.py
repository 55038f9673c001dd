"""A wait graph while it is being put together.

Owns nodes and edges until `graph()`. Who adds them: `orders` (units), `asking` (waits and gates), `build`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from eventd.core.waits.graph import Edge, EdgeKind, Graph, Node, NodeKind, Phase, Point


@dataclass(slots=True)
class Draft:
    """Nodes, edges and notes, in the order they were found."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    either: set[Point] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def graph(self) -> Graph:
        """Return what was collected."""
        edges, notes = tuple(dict.fromkeys(self.edges)), tuple(dict.fromkeys(self.notes))
        return Graph(self.nodes, edges, frozenset(self.either), notes)

    def label(self, node: str) -> str:
        """Return what people call a node."""
        return self.nodes[node].label

    def inner(self, node: str, later: Phase, earlier: Phase) -> None:
        """Add that a phase of a node comes after another."""
        self.edges.append(Edge(Point(node, later), Point(node, earlier), EdgeKind.INNER))

    def fact(self, node: str, label: str) -> Point:
        """Add something that no unit here brings about, and so may come at any time."""
        self.nodes.setdefault(node, Node(node, NodeKind.FACT, label))
        return Point(node, Phase.UP)


def at(file: str, line: int) -> str:
    """Return `file:line`, or the file alone where the line is not known."""
    return f"{file}:{line}" if line else file
