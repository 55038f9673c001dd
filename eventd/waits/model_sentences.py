"""Describes a cycle: a headline, a sentence per edge, the outcome on a host, and the remedies.

Pure. The same words go into `eventctl gates`, its JSON, and the diagnostic that refuses a workload.
"""

from __future__ import annotations

from collections.abc import Iterable

from eventd.waits.model_cycles import Cycle
from eventd.waits.model_graph import EdgeKind, Graph, NodeKind
from eventd.waits.model_remedies import Remedy


def headline(graph: Graph, cycle: Cycle) -> str:
    """Return a clause that names what can never happen."""
    first = cycle.edges[0]
    who = graph.label(first.waiter.node)
    if not cycle.waits:
        return f"{', '.join(_names(graph, cycle))} are each ordered after the other"
    if first.kind is EdgeKind.GATE:
        return f"{first.setting} can never hold: it comes only after what waits for it"
    return f"{who} waits for itself: {first.setting} comes only after it"


def steps(cycle: Cycle) -> tuple[str, ...]:
    """Return a sentence per edge, each waiting for the next."""
    return tuple(edge.sentence for edge in cycle.edges)


def outcome(graph: Graph, cycle: Cycle) -> str:
    """Return what happens on a host with this cycle."""
    if not cycle.waits:
        return "systemd finds the ordering cycle at the start, and leaves one of them out"
    if any(edge.kind is EdgeKind.GATE for edge in cycle.waits):
        return "the gate stays shut until its deadline, at every start of the host"
    node = graph.nodes[cycle.waits[0].waiter.node]
    if node.kind is not NodeKind.UNIT or not node.timeout:
        return "it waits until something gives up"
    if node.timeout == "infinity":
        return f"{node.label} hangs forever: nothing ends its start (no TimeoutStartSec=)"
    return f"{node.label} hangs until its start timeout ({_time(node.timeout)}), and then fails"


def remedies_text(found: Iterable[Remedy]) -> str:
    """Return the remedies that work as one text."""
    return "; or ".join(remedy.text for remedy in found if remedy.works)


def _names(graph: Graph, cycle: Cycle) -> list[str]:
    return list(dict.fromkeys(graph.label(node) for node in cycle.nodes))


def _time(text: str) -> str:
    return f"{text} s" if text.isdecimal() else text
