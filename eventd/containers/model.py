"""Containers in the status: from podman's events, or from their units if there are none.

Pure; podman is not run for it. Next: `eventd.status.documents`, `eventd.status.controller_status_files`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from eventd.desired.model import UnitRole, Workload
from eventd.platform.model_facts import ActiveState, UnitState


@dataclass(frozen=True, slots=True)
class ObservedContainer:
    """A container, according to its events."""

    name: str
    id: str
    image: str = ""
    """As written."""
    image_id: str = ""
    unit: str = ""
    service: str = ""
    """Its service in a compose stack."""
    state: str = ""
    health: str = ""
    since: float = 0.0
    """Seconds since the epoch: of the last event that changed its state or its health."""

    @property
    def ended(self) -> bool:
        """Whether it has ended, and podman has not removed it yet."""
        return self.state == "exited"


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """A container of a workload in the status. Unknown fields are empty."""

    name: str
    unit: str
    service: str
    id: str
    image: str
    image_id: str
    digest: str
    """The image's `name@sha256:…` at its registry, if an update or a verification has read it."""
    state: str
    health: str
    since: float | None
    """Seconds since the epoch: of the last event that changed its state or its health."""


def shown(
    workload: Workload,
    seen: Iterable[ObservedContainer],
    units: Mapping[str, UnitState],
    digests: Mapping[str, str],
    health: Mapping[str, str],
) -> tuple[ContainerStatus, ...]:
    """Return the containers of a workload: those of its units, then the others of its account, by name.

    `digests`: image id -> digest. `health`: podman's name -> health, from facts.
    """
    left = {each.name: each for each in seen}
    found: list[ContainerStatus] = []
    for unit in workload.units:
        if not unit.container or unit.role is UnitRole.ON_DEMAND:
            continue
        state = units.get(unit.name)
        row = left.pop(unit.container, None) or ObservedContainer(unit.container, "", unit=unit.name)
        by_unit = "" if state is None else _STATES.get(state.active, "exited")
        up = by_unit in ("running", "starting")
        found.append(
            ContainerStatus(
                row.name,
                unit.name,
                "",
                row.id if up else "",
                row.image,
                row.image_id if up else "",
                digests.get(row.image_id, "") if up else "",
                (row.state or by_unit) if up else by_unit,
                (health.get(row.name) or row.health) if up else "",
                row.since or None,
            )
        )
    found.extend(
        ContainerStatus(
            row.name,
            row.unit,
            row.service,
            row.id,
            row.image,
            row.image_id,
            digests.get(row.image_id, ""),
            row.state,
            health.get(row.name) or row.health,
            row.since or None,
        )
        for row in sorted(left.values(), key=lambda each: each.name)
    )
    return tuple(found)


_STATES = {
    ActiveState.ACTIVE: "running",
    ActiveState.RELOADING: "running",
    ActiveState.REFRESHING: "running",
    ActiveState.ACTIVATING: "starting",
    ActiveState.DEACTIVATING: "stopping",
}
