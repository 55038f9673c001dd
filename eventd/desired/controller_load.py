"""Loads a commit as the desired state: read, assemble (pure), then a dry run of the host's Quadlet generator.

Workloads whose content has not changed since the last load are not checked again.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

import anyio

from eventd.approvals.model_committed import Signed, committed
from eventd.desired.model import Desired, FileRole, Tree, Workload
from eventd.gates.model import WorkloadGates, read_gates, refuse
from eventd.kernel.model.diagnostics import Diagnostic, Severity
from eventd.kernel.model.errors import EventdError
from eventd.platform.model_facts import PlatformFact
from eventd.port_set import Host
from eventd.waits.model_refusal import refusals
from eventd.waits.model_units import LiveGraph

log = logging.getLogger(__name__)
ReadLive = Callable[[Desired], Awaitable[LiveGraph]]
"""Reads the host's units and listeners, as far as the gates of a desired state need them."""
CHECKS_AT_ONCE = 4
"""Generator processes side by side; one takes about 10 ms."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A loaded commit."""

    desired: Desired
    gates: Mapping[str, WorkloadGates]
    """The gates of those workloads that have any."""
    circular: Mapping[str, Workload] = field(default_factory=dict)
    """Refused workloads that wait for themselves."""
    approvals: tuple[Signed, ...] = ()
    """The signed approvals in the repository."""

    def units_in_gates(self) -> Mapping[str, frozenset[str]]:
        """Return the units of users' managers that gates mention, by workload."""
        found: dict[str, set[str]] = {}
        for gates in self.gates.values():
            for key in gates.keys():  # noqa: SIM118 - not a mapping
                if key.kind is PlatformFact.UNIT and key.scope:
                    found.setdefault(key.scope, set()).add(key.name)
        return {name: frozenset(units) for name, units in found.items()}


@dataclass(slots=True)
class Loader:
    """Loads commits."""

    host: Host
    assemble: Callable[[Tree], Awaitable[Desired]]
    live_graph: ReadLive | None = None
    _accepted: dict[str, str] = field(default_factory=dict)
    """Workload -> digest that the generator accepted."""

    async def load(self, commit: str) -> Loaded:
        """Load a commit. Raises EventdError if it cannot be read as a whole."""
        tree = await self.host.repository.tree(commit)
        desired = await self.assemble(tree)
        complaints: dict[str, tuple[Diagnostic, ...]] = {}
        limiter = anyio.CapacityLimiter(CHECKS_AT_ONCE)

        failed: list[EventdError] = []

        async def check(workload: Workload) -> None:
            try:
                async with limiter:
                    lines = await self.host.generator.dry_run(_quadlets(workload))
            except EventdError as error:
                failed.append(error)  # raised below, outside of the group
                return
            if lines:
                complaints[workload.name] = tuple(_diagnostic(workload, line) for line in lines)

        async with anyio.create_task_group() as group:
            for workload in desired.workloads.values():
                if self._accepted.get(workload.name) != workload.digest and _quadlets(workload):
                    group.start_soon(check, workload)
        if failed:
            raise failed[0]
        accepted = {n: w for n, w in desired.workloads.items() if n not in complaints}
        self._accepted = {name: workload.digest for name, workload in accepted.items()}
        desired = replace(desired, workloads=accepted, refused={**desired.refused, **complaints})
        gates, mistakes = read_gates(desired)
        desired = refuse(desired, mistakes)
        refused = await self._circular(desired) if any(each.written for each in gates.values()) else {}
        return Loaded(
            refuse(desired, refused),
            {name: each for name, each in gates.items() if name not in refused},
            {name: desired.workloads[name] for name in refused},
            committed(tree)[0],
        )

    async def _circular(self, desired: Desired) -> Mapping[str, tuple[Diagnostic, ...]]:
        """Return the workloads whose wait can never end. Without the host's units, uses the repository alone."""
        live = LiveGraph()
        if self.live_graph is not None:
            try:
                live = await self.live_graph(desired)
            except EventdError as error:
                log.warning(
                    "cannot read this host's units, so circular waits through them are not found: %s", error
                )
        return refusals(desired, live)


def _quadlets(workload: Workload) -> Mapping[str, bytes]:
    return {f.name: f.content for f in workload.files if f.role is not FileRole.COMPANION}


def _diagnostic(workload: Workload, line: str) -> Diagnostic:
    """Name the repository's file where the generator's line names an installed one."""
    for file in workload.files:
        if file.name in line and file.role is FileRole.QUADLET:
            return _refusal(file.origin if file.origin != "eventd" else workload.origin, line)
    return _refusal(workload.origin, line)


def _refusal(file: str, line: str) -> Diagnostic:
    hint = "this host's own Quadlet generator refuses it; see podman-systemd.unit(5) of its podman version"
    return Diagnostic(Severity.ERROR, file, 0, "", line, hint, "generator")
