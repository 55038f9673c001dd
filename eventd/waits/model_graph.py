"""The wait graph: points in the life of units, workloads and URLs, and which of them come after which.

Pure values. An edge says "`waiter` does not come before `awaited`". A point waits for all of its edges, except a point
in `any_of`, which waits for one of them. Next: `eventd.waits.model_cycles`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple


class NodeKind(StrEnum):
    """The kind of something that waits, or is waited for."""

    UNIT = "unit"
    WORKLOAD = "workload"
    GATE = "gate"
    ANSWER = "answer"
    """A URL, a port or a host name, which is probed."""
    FACT = "fact"
    """A mount, a device or a login, which no unit of the graph brings about."""


class Phase(StrEnum):
    """Points in the life of a node, in this order."""

    BEGIN = "begin"
    """The start job of a unit begins to run; eventd begins to start a workload."""
    SERVES = "serves"
    """Its processes can answer."""
    UP = "up"
    """The start job of a unit has ended; all units of a workload are up; a gate holds; a URL answers."""
    HEALTHY = "healthy"
    """A workload is verified."""


class Point(NamedTuple):
    """A phase of a node."""

    node: str
    phase: Phase


class EdgeKind(StrEnum):
    """Why one point comes after another."""

    WAIT = "wait"
    """A script waits for it."""
    GATE = "gate"
    """A gate of eventd requires it."""
    SERVED = "served"
    """It answers at the address."""
    ORDER = "order"
    """`After=` or `Before=`, written or implied by systemd."""
    PART = "part"
    """A unit belongs to a workload."""
    INNER = "inner"
    """Between two phases of one node; not reported."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node."""

    id: str
    kind: NodeKind
    label: str
    scope: str = ""
    """The workload that it belongs to; empty for the system."""
    timeout: str = ""
    """The start timeout of a unit, as written: `15min`, `infinity`."""


@dataclass(frozen=True, slots=True)
class Edge:
    """`waiter` does not come before `awaited`."""

    waiter: Point
    awaited: Point
    kind: EdgeKind
    sentence: str = ""
    """What it says, as a sentence without a full stop."""
    file: str = ""
    line: int = 0
    setting: str = ""
    """What is written there: `After=deploy-proxy.service`; empty if systemd implies it."""

    @property
    def place(self) -> str:
        """`file:line`, or as much of it as is known."""
        return f"{self.file}:{self.line}" if self.file and self.line else self.file


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes and edges. Immutable: a remedy is tried on a copy."""

    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]
    any_of: frozenset[Point] = field(default_factory=frozenset)
    """Points whose edges are alternatives: they come as soon as one awaited point has."""
    pulls: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Unit -> units that it pulls in: they are started together."""
    notes: tuple[str, ...] = ()
    """What the graph does not cover, as sentences."""

    def without(self, *edges: Edge) -> Graph:
        """Return the graph without these edges."""
        gone = set(edges)
        return replace(self, edges=tuple(edge for edge in self.edges if edge not in gone))

    def plus(self, *edges: Edge) -> Graph:
        """Return the graph with these edges added."""
        return replace(self, edges=(*self.edges, *edges))

    def label(self, node: str) -> str:
        """Return the label of a node."""
        return self.nodes[node].label


def by_waiter(edges: Iterable[Edge]) -> Mapping[Point, list[Edge]]:
    """Return the edges by their waiters."""
    found: dict[Point, list[Edge]] = {}
    for edge in edges:
        found.setdefault(edge.waiter, []).append(edge)
    return found


def behind(edges: Iterable[Edge], point: Point) -> frozenset[Point]:
    """Return the points that wait for `point`, directly or indirectly. Alternatives are not considered."""
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
