"""Refuses circular workloads at load time, with a diagnostic at each place that contributes.

Pure. The entry point is `refusals`. Every workload that adds an edge to a cycle is refused and stays on the host as it
is. The others converge.
"""

from __future__ import annotations

from collections.abc import Mapping

from eventd.desired.model import Desired
from eventd.kernel.model.diagnostics import Diagnostic, Severity
from eventd.waits.model_build import desired_graph
from eventd.waits.model_cycles import Cycle, cycles
from eventd.waits.model_graph import Edge, EdgeKind, Graph
from eventd.waits.model_remedies import remedies
from eventd.waits.model_sentences import headline, remedies_text, steps
from eventd.waits.model_units import LiveGraph

CODE = "circular-wait"
NOTHING_LIVE = LiveGraph()


def refusals(
    desired: Desired, live: LiveGraph = NOTHING_LIVE, hostnames: frozenset[str] = frozenset()
) -> Mapping[str, tuple[Diagnostic, ...]]:
    """Return the workloads that wait for themselves, with one diagnostic per cycle; empty if none does.

    `hostnames`: the names of this host besides localhost, to recognise its own URLs.
    """
    graph = desired_graph(desired, live, hostnames)
    found: dict[str, list[Diagnostic]] = {}
    for cycle in cycles(graph):
        hint = remedies_text(remedies(graph, cycle))
        for workload, edge in _places(graph, cycle, desired).items():
            message = f"{headline(graph, cycle)}: {'; '.join(steps(cycle))}"
            found.setdefault(workload, []).append(
                Diagnostic(Severity.ERROR, edge.file, edge.line, _key(edge), message, hint, CODE)
            )
    return {name: tuple(diagnostics) for name, diagnostics in found.items()}


def _places(graph: Graph, cycle: Cycle, desired: Desired) -> Mapping[str, Edge]:
    """Return each workload of a cycle with the edge that it contributes: its gate, if possible."""
    found: dict[str, Edge] = {}
    for edge in sorted(cycle.edges, key=lambda edge: (edge.kind is not EdgeKind.GATE, not edge.line)):
        node = graph.nodes[edge.waiter.node]
        if node.scope in desired.workloads and edge.kind is not EdgeKind.SERVED:
            found.setdefault(node.scope, edge)
    return dict(sorted(found.items()))


def _key(edge: Edge) -> str:
    if edge.kind is EdgeKind.GATE:
        # gate:WORKLOAD/requires, or a part of it: gate:gate:WORKLOAD/requires/…
        return "requires" if "/requires" in edge.waiter.node else "health.expect"
    return f"Unit/{edge.setting.partition('=')[0]}" if edge.setting else ""
