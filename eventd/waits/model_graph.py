"""The wait graph: points in the life of units, workloads and URLs, and the order in which they can come.

Owns the values and nothing else. An edge says "`waiter` does not come before `awaited`"; all edges of a
point have to be met, except at a point in `either`, where one is enough. Next: `eventd.waits.model_cycles`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple


class NodeKind(StrEnum):
    """What waits, or is waited for."""

    UNIT = "unit"
    WORKLOAD = "workload"
    GATE = "gate"
    ANSWER = "answer"
    """A URL, a port or a name: something on the network that is probed."""
    FACT = "fact"
    """A mount, a device, a login: something that no unit of the graph brings about."""


class Phase(StrEnum):
    """Points in the life of a node, in this order."""

    BEGIN = "begin"
    """A unit's start job is no longer held back and runs; eventd starts a workload's units."""
    SERVES = "serves"
    """Its processes can answer."""
    UP = "up"
    """Its start job has ended; all units of a workload are up; a gate holds; a URL answers."""
    HEALTHY = "healthy"
    """A workload is verified."""


class Point(NamedTuple):
    """A phase of a node."""

    node: str
    phase: Phase


class EdgeKind(StrEnum):
    """Why one comes after the other."""

    WAIT = "wait"
    """A script waits for it."""
    GATE = "gate"
    """A gate of eventd asks for it."""
    SERVED = "served"
    """It is who answers."""
    ORDER = "order"
    """`After=` or `Before=`, written down or implied by systemd."""
    PART = "part"
    """A unit belongs to a workload."""
    INNER = "inner"
    """Two phases of one node; not reported."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node."""

    id: str
    kind: NodeKind
    label: str
    scope: str = ""
    """The workload it belongs to; empty for the system's."""
    timeout: str = ""
    """For a unit: when systemd ends its start, as a text: `15min`, `infinity`."""


@dataclass(frozen=True, slots=True)
class Edge:
    """`waiter` does not come before `awaited`."""

    waiter: Point
    awaited: Point
    kind: EdgeKind
    sentence: str = ""
    """As a sentence without a full stop."""
    file: str = ""
    line: int = 0
    setting: str = ""
    """What was written there: `After=deploy-proxy.service`; empty if systemd implies it."""

    @property
    def place(self) -> str:
        """`file:line`, or as much of it as is known."""
        return f"{self.file}:{self.line}" if self.file and self.line else self.file


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes and edges; immutable, so that a remedy is tried on a copy."""

    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]
    either: frozenset[Point] = field(default_factory=frozenset)
    """Points that come as soon as one of the awaited has: alternatives."""
    pulls: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Unit -> units whose start it asks for: they are started together."""
    notes: tuple[str, ...] = ()
    """What could not be taken into account, each as a sentence."""

    def without(self, *edges: Edge) -> Graph:
        """Return the graph without these edges."""
        gone = set(edges)
        return replace(self, edges=tuple(edge for edge in self.edges if edge not in gone))

    def plus(self, *edges: Edge) -> Graph:
        """Return the graph with these edges too."""
        return replace(self, edges=(*self.edges, *edges))

    def label(self, node: str) -> str:
        """Return the label of a node."""
        return self.nodes[node].label


def by_waiter(edges: Iterable[Edge]) -> Mapping[Point, list[Edge]]:
    """Return the edges by the point that waits."""
    found: dict[Point, list[Edge]] = {}
    for edge in edges:
        found.setdefault(edge.waiter, []).append(edge)
    return found


def behind(edges: Iterable[Edge], point: Point) -> frozenset[Point]:
    """Return the points that cannot come before `point`, whatever the way, alternatives not considered."""
    waiting: dict[Point, list[Point]] = {}
    for edge in edges:
        waiting.setdefault(edge.awaited, []).append(edge.waiter)
    found: set[Point] = set()
    todo = [point]
    while todo:
        new = [each for each in waiting.get(todo.pop(), ()) if each not in found]
        found.update(new)
        todo += new
    return frozenset(found)
