"""Finds ways to break a cycle. Each is tried: the graph is changed as proposed, and checked again.

Pure. The candidates: another probe, dropping an ordering, reversing an ordering. Those that leave a cycle are reported
too, with the reason, so that nobody tries them on a host. Next: `eventd.waits.model_sentences`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from eventd.waits.model_cycles import Cycle, cycles
from eventd.waits.model_draft import at
from eventd.waits.model_graph import Edge, EdgeKind, Graph, NodeKind, Phase, Point, behind

MAX_ORDERS = 6
"""How many orderings of one cycle are tried."""
MAX_OTHERS = 4
"""How many unsuitable units are named."""


class RemedyKind(StrEnum):
    """What is changed."""

    PROBE = "probe"
    DROP = "drop"
    REVERSE = "reverse"


@dataclass(frozen=True, slots=True)
class Remedy:
    """One change, and whether it helps."""

    kind: RemedyKind
    text: str
    """What to do, as an imperative."""
    works: bool
    again: tuple[str, ...] = ()
    """If it does not work: the sentences of the remaining cycle."""


def remedies(graph: Graph, cycle: Cycle) -> tuple[Remedy, ...]:
    """Return the changes that break a cycle, then those that only seem to."""
    before = frozenset(each.key for each in cycles(graph)) - {cycle.key}
    found = [
        _tried(kind, text, changed, before)
        for kind, text, changed in (
            *_probes(graph, cycle),
            *_drops(graph, cycle),
            *_reversals(graph, cycle),
        )
    ]
    return (*(each for each in found if each.works), *(each for each in found if not each.works))


def _tried(
    kind: RemedyKind, text: str, changed: Graph, before: frozenset[frozenset[tuple[Point, Point]]]
) -> Remedy:
    left = next((each for each in cycles(changed) if each.key not in before), None)
    return Remedy(kind, text, left is None, tuple(edge.sentence for edge in left.edges) if left else ())


def _probes(graph: Graph, cycle: Cycle) -> Iterator[tuple[RemedyKind, str, Graph]]:
    """Yield changes of what a wait waits for."""
    for wait in cycle.waits:
        what, who = wait.setting, graph.label(wait.waiter.node)
        if wait.setting.endswith("=healthy") and wait.awaited.phase is Phase.HEALTHY:
            weaker = replace(wait, awaited=Point(wait.awaited.node, Phase.UP), setting="")
            text = f"ask for {what.removesuffix('healthy')}active in {_place(wait)}, instead of {what}"
            yield RemedyKind.PROBE, text, graph.without(wait).plus(weaker)
        if graph.nodes[wait.awaited.node].kind is not NodeKind.ANSWER:
            continue
        if wait.waiter.phase is Phase.UP and graph.nodes[wait.waiter.node].kind is NodeKind.UNIT:
            own = replace(wait, awaited=Point(wait.waiter.node, Phase.SERVES))
            text = f"let {who} wait for a URL that it answers itself, instead of {what} ({_place(wait)})"
            yield RemedyKind.PROBE, text, graph.without(wait).plus(own)
        others = [node for node in _held_up(graph, wait) if node not in cycle.nodes]
        for node in others[:MAX_OTHERS]:
            again = _instead(graph, wait, node)
            text = f"let {who} wait for a URL that {graph.label(node)} answers, instead of {what}"
            yield RemedyKind.PROBE, text, graph.without(wait).plus(*again)


def _held_up(graph: Graph, wait: Edge) -> list[str]:
    """Return the services that cannot answer before the waiter has come: waiting for them is circular too."""
    late = behind((edge for edge in graph.edges if edge != wait), wait.waiter)
    return sorted(
        point.node for point in late if point.phase is Phase.SERVES and point.node.endswith(".service")
    )


def _instead(graph: Graph, wait: Edge, node: str) -> tuple[Edge, ...]:
    """Return the wait for a URL of another unit."""
    label, who = graph.label(node), graph.label(wait.waiter.node)
    sentence = f"{who} would not go on before a URL of {label} answers"
    return (replace(wait, awaited=Point(node, Phase.SERVES), sentence=sentence, setting=""),)


def _drops(graph: Graph, cycle: Cycle) -> Iterator[tuple[RemedyKind, str, Graph]]:
    """Yield the removal of each ordering, and of each predicate of a gate."""
    for edge in [edge for edge in cycle.edges if edge.kind is EdgeKind.ORDER and edge.setting][:MAX_ORDERS]:
        yield RemedyKind.DROP, f"drop {edge.setting} ({_place(edge)})", graph.without(edge)
    for edge in cycle.edges:
        if edge.kind is EdgeKind.GATE:
            yield RemedyKind.DROP, f"drop {edge.setting} ({_place(edge)})", graph.without(edge)


def _reversals(graph: Graph, cycle: Cycle) -> Iterator[tuple[RemedyKind, str, Graph]]:
    """Yield the reversal of each written ordering."""
    orders = [
        e for e in cycle.edges if e.kind is EdgeKind.ORDER and e.setting.startswith(("After=", "Before="))
    ]
    for edge in orders[:MAX_ORDERS]:
        later, earlier = edge.waiter.node, edge.awaited.node
        same = [each for each in graph.edges if (each.waiter, each.awaited) == (edge.waiter, edge.awaited)]
        back = Edge(
            Point(earlier, Phase.BEGIN),
            Point(later, Phase.UP),
            EdgeKind.ORDER,
            f"{graph.label(earlier)} would not be started before {graph.label(later)} has finished starting",
        )
        drop = " and ".join(f"{each.setting} ({_place(each)})" for each in same if each.setting)
        name = later.rpartition("/")[2].rpartition(":")[2]
        text = f"reverse it: Wants={name} and After={name} in {graph.label(earlier)}, and drop {drop}"
        yield RemedyKind.REVERSE, text, graph.without(*same).plus(back)


def _place(edge: Edge) -> str:
    return at(edge.file, edge.line)
