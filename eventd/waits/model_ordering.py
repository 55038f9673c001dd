"""The order of units: `After=`, `Before=`, and what systemd implies.

Pure. `After=` delays a start until the other unit's start job has ended, with any result, if both jobs are queued, as
at boot. `Requires=` and `Wants=` start units but do not order them, so they are not edges. Next:
`eventd.waits.model_requirements`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from eventd.waits.model_catalogue import Catalogue, node_of
from eventd.waits.model_draft import Draft, at
from eventd.waits.model_graph import Edge, EdgeKind, Node, NodeKind, Phase, Point
from eventd.waits.model_units import INSTALLS, STARTING, Relation, UnitSpec, target_orders

BOOT = "boot"
"""The root for units that nothing in the folder starts: they are assumed to start at boot."""
VENDOR = ("/lib/systemd/", "/usr/share/containers/systemd/")
"""Folders of installed units; links in other folders enable them."""
REACHED = frozenset(
    {
        *("default.target", "multi-user.target", "graphical.target", "basic.target", "sysinit.target"),
        *("sockets.target", "timers.target", "paths.target", "local-fs.target", "remote-fs.target"),
    }
)
"""Targets that every boot reaches. [Install] of other targets is ignored: if everything on Debian 13 were enabled,
podman-clean-transient.service and systemd-boot-check-no-failures.service would be in an ordering cycle, through
boot-complete.target."""


def add_units(draft: Draft, catalogue: Catalogue) -> None:
    """Add all units of the catalogue, and their order."""
    for (scope, name), spec in catalogue.specs.items():
        node = node_of(spec)
        label = f"{name} of {scope}" if scope else name
        draft.nodes[node] = Node(node, NodeKind.UNIT, label, scope, spec.timeout)
        draft.inner(node, Phase.SERVES, Phase.BEGIN)
        draft.inner(node, Phase.UP, Phase.BEGIN)
    _pulls(draft, catalogue)
    edges = [*_orders(draft, catalogue), *_targets(draft, catalogue)]
    written = {(edge.waiter, edge.awaited) for edge in edges if edge.setting}
    draft.edges.extend(e for e in edges if e.setting or (e.waiter, e.awaited) not in written)


def order(draft: Draft, later: UnitSpec, earlier: UnitSpec, relation: Relation, why: str = "") -> Edge:
    """Return the edge for one unit that is started after another."""
    if not why:
        why = f"{relation.kind}={relation.other}, which systemd implies"
        if relation.setting:
            why = f"{relation.setting} in {at(relation.file, relation.line)}"
    a, b = node_of(later), node_of(earlier)
    return Edge(
        Point(a, Phase.BEGIN),
        Point(b, Phase.UP),
        EdgeKind.ORDER,
        f"{draft.label(a)} is not started before {draft.label(b)} has finished starting ({why})",
        relation.file,
        relation.line,
        relation.setting,
    )


def _pulls(draft: Draft, catalogue: Catalogue) -> None:
    """Record which unit pulls in which: ordering cycles matter only within one transaction."""
    started: set[str] = set()
    for spec in catalogue.specs.values():
        for relation in spec.others(*STARTING, *INSTALLS):
            other = catalogue.find(relation.other, spec.scope)
            vendor = any(folder in relation.file for folder in VENDOR)
            enabled = relation.other in REACHED and not vendor
            if relation.kind in INSTALLS:
                started.add(node_of(spec))
            if other is None or (relation.kind in INSTALLS and not enabled):
                continue
            puller, pulled = (other, spec) if relation.kind in INSTALLS else (spec, other)
            draft.pulls.setdefault(node_of(puller), set()).add(node_of(pulled))
            started.add(node_of(pulled))
    for spec in catalogue.specs.values():
        vendor = any(folder in spec.file for folder in VENDOR)
        if node_of(spec) not in started and spec.extension != "target" and spec.file and not vendor:
            draft.pulls.setdefault(BOOT, set()).add(node_of(spec))
    boot = catalogue.find("default.target") or catalogue.find("graphical.target")
    for target in (boot, catalogue.find("multi-user.target")):
        if target is not None:
            draft.pulls.setdefault(BOOT, set()).add(node_of(target))


def _orders(draft: Draft, catalogue: Catalogue) -> Iterator[Edge]:
    for spec in catalogue.specs.values():
        for relation in spec.others("After", "Before"):
            other = catalogue.find(relation.other, spec.scope)
            if other is None or other is spec:
                continue
            later, earlier = (spec, other) if relation.kind == "After" else (other, spec)
            yield order(draft, later, earlier, relation)


def _targets(draft: Draft, catalogue: Catalogue) -> Iterator[Edge]:
    for scope in dict.fromkeys(scope for scope, _ in catalogue.specs):
        mine = _resolved(scope, catalogue)
        for target, relation in target_orders(mine):
            why = "a target comes after what it starts"
            if relation.setting:
                why = f"{relation.setting} in {at(relation.file, relation.line)}, and {why}"
            yield order(draft, mine[target], mine[relation.other], relation, why)


def _resolved(scope: str, catalogue: Catalogue) -> Mapping[str, UnitSpec]:
    """Return a scope's specs, with the aliases in their relations resolved."""

    def plain(relation: Relation) -> Relation:
        return relation._replace(other=catalogue.aliases.get((scope, relation.other), relation.other))

    return {
        name: replace(spec, relations=tuple(plain(relation) for relation in spec.relations))
        for (each, name), spec in catalogue.specs.items()
        if each == scope
    }
