"""Finds waits that can never end: the unreachable points of a graph, and the cycles that make them so.

Pure. A point is reachable if all points that it waits for are reachable, or one of them if they are alternatives (the
least fixed point). Every other point waits for itself, directly or indirectly. A plain search for cycles would ignore
alternatives and raise false alarms. Next: `eventd.waits.model_sentences` and `model_remedies`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from eventd.waits.model_graph import Edge, EdgeKind, Graph, Point, by_waiter

WAITS = frozenset({EdgeKind.WAIT, EdgeKind.GATE})


@dataclass(frozen=True, slots=True)
class Cycle:
    """A closed path: the awaited node of each edge is the waiter of the next."""

    path: tuple[Edge, ...]
    """Begins with a wait, if there is one."""

    @property
    def edges(self) -> tuple[Edge, ...]:
        """The edges to report: all but the inner ones."""
        return tuple(edge for edge in self.path if edge.kind is not EdgeKind.INNER)

    @property
    def waits(self) -> tuple[Edge, ...]:
        """The edges of scripts and gates. If there is none, systemd's ordering alone is circular."""
        return tuple(edge for edge in self.edges if edge.kind in WAITS)

    @property
    def nodes(self) -> tuple[str, ...]:
        """Its nodes, in order."""
        return tuple(dict.fromkeys(edge.waiter.node for edge in self.path))

    @property
    def key(self) -> frozenset[tuple[Point, Point]]:
        """Identifies the cycle by who waits for whom, however often that is written."""
        return frozenset((edge.waiter, edge.awaited) for edge in self.path)


def unreachable(graph: Graph) -> frozenset[Point]:
    """Return the unreachable points."""
    needs = by_waiter(graph.edges)
    waiting_for: dict[Point, list[Point]] = {}
    left: dict[Point, int] = {}
    points: set[Point] = set()
    for edge in graph.edges:
        waiting_for.setdefault(edge.awaited, []).append(edge.waiter)
        points.update((edge.waiter, edge.awaited))
    for point, edges in needs.items():
        left[point] = 1 if point in graph.any_of else len(edges)
    ready = deque(point for point in points if point not in left)
    reached = set(ready)
    while ready:
        for waiter in waiting_for.get(ready.popleft(), ()):
            left[waiter] -= 1
            if left[waiter] <= 0 and waiter not in reached:
                reached.add(waiter)
                ready.append(waiter)
    return frozenset(points - reached)


def cycles(graph: Graph) -> tuple[Cycle, ...]:
    """Return the cycles that make points unreachable: the shortest one through each wait, each once.

    If systemd's ordering alone is circular: one shortest cycle per strongly connected component of units that are
    started together.
    """
    stuck = unreachable(graph)
    if not stuck:
        return ()
    edges = [edge for edge in graph.edges if edge.waiter in stuck and edge.awaited in stuck]
    found: dict[frozenset[tuple[Point, Point]], Cycle] = {}
    for component in _components(stuck, by_waiter(edges)):
        inside = [edge for edge in edges if edge.waiter in component and edge.awaited in component]
        waits = [edge for edge in inside if edge.kind in WAITS]
        for cycle in [_through(wait, by_waiter(inside)) for wait in waits] or _orders(graph, inside):
            found.setdefault(cycle.key, cycle)
    least = _least(found.values())
    return tuple(sorted(least, key=lambda cycle: (not cycle.waits, len(cycle.edges), cycle.nodes)))


def _least(found: Collection[Cycle]) -> list[Cycle]:
    """Leave out cycles that contain all waits of a smaller one, which has to be broken first."""
    waits = {cycle.key: frozenset(cycle.waits) for cycle in found}
    return [c for c in found if not any(other and other < waits[c.key] for other in waits.values())]


def _through(start: Edge, edges: Mapping[Point, list[Edge]]) -> Cycle:
    return Cycle((start, *_shortest(start.awaited, start.waiter, edges)))


def _orders(graph: Graph, inside: list[Edge]) -> Iterator[Cycle]:
    """Yield a shortest cycle of each component among units that are started together, by one of them or by the boot.

    systemd looks for ordering cycles within one transaction, so units that are never started together form none.
    """
    points = {edge.waiter for edge in inside}
    nodes = {point.node for point in points}
    seen: set[frozenset[str]] = set()
    for root in graph.pulls:
        together = frozenset(_started_by(root, graph.pulls) & nodes)
        if len(together) < 2 or together in seen:
            continue
        seen.add(together)
        edges = [e for e in inside if e.waiter.node in together and e.awaited.node in together]
        needs = by_waiter(edges)
        for component in _components({point for point in points if point.node in together}, needs):
            within = [e for e in edges if e.waiter in component and e.awaited in component]
            starts = sorted((e for e in within if e.kind is not EdgeKind.INNER), key=lambda e: e.waiter)
            found = [_through(start, by_waiter(within)) for start in starts]
            yield min(found, key=lambda cycle: len(cycle.edges))


def _started_by(root: str, pulls: Mapping[str, frozenset[str]]) -> set[str]:
    found, todo = {root}, [root]
    while todo:
        new = pulls.get(todo.pop(), frozenset()) - found
        found |= new
        todo += new
    return found


def _shortest(start: Point, goal: Point, edges: Mapping[Point, list[Edge]]) -> tuple[Edge, ...]:
    """Return the shortest path, where inner edges cost nothing. Within a component there always is one."""
    came: dict[Point, Edge | None] = {start: None}
    queue = deque([start])
    while goal not in came:
        point = queue.popleft()
        for edge in edges[point]:
            if edge.awaited not in came:
                came[edge.awaited] = edge
                if edge.kind is EdgeKind.INNER:
                    queue.appendleft(edge.awaited)
                else:
                    queue.append(edge.awaited)
    path: list[Edge] = []
    at = goal
    while (last := came[at]) is not None:
        path.append(last)
        at = last.waiter
    return tuple(reversed(path))


def _components(points: Iterable[Point], needs: Mapping[Point, list[Edge]]) -> list[frozenset[Point]]:
    """Return the strongly connected components that have a cycle (Tarjan, without recursion)."""
    index: dict[Point, int] = {}
    low: dict[Point, int] = {}
    stack: list[Point] = []
    on_stack: set[Point] = set()
    found: list[frozenset[Point]] = []
    for root in sorted(points):
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        work = [(root, iter(needs.get(root, ())))]
        while work:
            point, edges = work[-1]
            for edge in edges:
                other = edge.awaited
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(needs.get(other, ()))))
                    break
                if other in on_stack:
                    low[point] = min(low[point], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[point])
                if low[point] == index[point]:
                    component = set(stack[stack.index(point) :])
                    del stack[len(stack) - len(component) :]
                    on_stack -= component
                    if len(component) > 1 or any(edge.awaited == point for edge in needs.get(point, ())):
                        found.append(frozenset(component))
    return found
