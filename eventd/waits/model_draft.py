"""A wait graph that is being built.

Owns nodes and edges until `graph()`. `model_ordering` adds units, `model_requirements` waits and gates, `model_build`
the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from eventd.waits.model_graph import Edge, EdgeKind, Graph, Node, NodeKind, Phase, Point


@dataclass(slots=True)
class Draft:
    """Nodes, edges and notes, in the order they were found."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    any_of: set[Point] = field(default_factory=set)
    pulls: dict[str, set[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def graph(self) -> Graph:
        """Return the graph."""
        edges, notes = tuple(dict.fromkeys(self.edges)), tuple(dict.fromkeys(self.notes))
        pulls = {node: frozenset(others) for node, others in self.pulls.items()}
        return Graph(self.nodes, edges, frozenset(self.any_of), pulls, notes)

    def label(self, node: str) -> str:
        """Return the label of a node."""
        return self.nodes[node].label

    def inner(self, node: str, later: Phase, earlier: Phase) -> None:
        """Add that one phase of a node comes after another."""
        self.edges.append(Edge(Point(node, later), Point(node, earlier), EdgeKind.INNER))

    def fact(self, node: str, label: str) -> Point:
        """Add something that no unit of the graph brings about, so that it may come at any time."""
        self.nodes.setdefault(node, Node(node, NodeKind.FACT, label))
        return Point(node, Phase.UP)


def at(file: str, line: int) -> str:
    """Return `file:line` for a sentence. An absolute path is shortened to its distinctive part."""
    if file.startswith("/"):
        parts = file.rsplit("/", 2)
        file = "/".join(parts[-2:]) if parts[-2].endswith((".d", ".wants", ".requires")) else parts[-1]
    return f"{file}:{line}" if line else file
