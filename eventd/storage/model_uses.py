"""Which workloads use which volumes, according to the active commit. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from eventd.desired.model import Workload


@dataclass(frozen=True, slots=True)
class Uses:
    """The uses of volumes."""

    users: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Volume -> workloads that use it."""
    folders: Mapping[str, str] = field(default_factory=dict)
    """Path of a folder on a volume -> its workload."""
    workloads: frozenset[str] = frozenset()
    """Workloads that use any volume."""
    units: frozenset[tuple[str, str]] = frozenset()
    """(workload, unit) of all their units."""


def uses(wanted: Mapping[str, Workload]) -> Uses:
    """Return the uses of volumes by these workloads."""
    users: dict[str, set[str]] = {}
    folders: dict[str, str] = {}
    for name, workload in wanted.items():
        for use in workload.volumes:
            users.setdefault(use.volume, set()).add(name)
            folders[f"{use.mount}/{name}"] = name
    workloads = frozenset(folders.values())
    return Uses(
        {name: frozenset(each) for name, each in users.items()},
        folders,
        workloads,
        frozenset((name, unit.name) for name in workloads for unit in wanted[name].units),
    )
