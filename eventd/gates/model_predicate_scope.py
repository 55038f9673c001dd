"""Resolves names inside a workload: its own units and containers, and the other workloads.

Pure. `eventd.gates.model_predicate_read` looks names up here, so that a typo is found when the repository is read, and
not after a gate has waited for its whole deadline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from eventd.desired.model import Desired, DesiredUnit, FileRole, Workload
from eventd.unitfiles.model import UnitFile, merged, parse
from eventd.unitfiles.model_quadlet import container_name, split


@dataclass(frozen=True, slots=True)
class ContainerName:
    """A container of a workload."""

    name: str
    """Podman's name of it."""
    unit: str
    """The unit that runs it."""
    notify_healthy: bool


@dataclass(frozen=True, slots=True)
class Scope:
    """The scope in which a predicate is written. The default is outside of any workload: names are not looked up."""

    workload: str = ""
    workloads: Mapping[str, frozenset[str]] | None = None
    """Name -> its units (empty for a refused workload: they are not known). None: the workloads are not known."""
    containers: Mapping[str, ContainerName] = field(default_factory=dict)
    """The workload's containers, by podman's name and by the stem of the file."""

    @property
    def units(self) -> frozenset[str]:
        """The workload's own units."""
        return (self.workloads or {}).get(self.workload, frozenset())


NOWHERE = Scope()


def known_units(desired: Desired) -> Mapping[str, frozenset[str]]:
    """Return the units of every workload of a repository, to be computed once and passed to `scope_of`."""
    found = {name: frozenset(unit.name for unit in each.units) for name, each in desired.workloads.items()}
    return found | dict.fromkeys(desired.refused, frozenset[str]())


def scope_of(
    workload: Workload, desired: Desired, known: Mapping[str, frozenset[str]] | None = None
) -> Scope:
    """Return the scope of one workload's files. `known`: the result of `known_units`, if there is one already."""
    return Scope(workload.name, known_units(desired) if known is None else known, _containers(workload))


def quadlet_files(workload: Workload) -> Mapping[str, UnitFile]:
    """Return the workload's unit files by name (`web.container`, `web.timer`), each with its drop-ins."""
    files = {file.name: file for file in workload.files if file.role is not FileRole.DATA}
    found: dict[str, UnitFile] = {}
    for name in files:
        if "/" in name:
            continue
        drop_ins = sorted(other for other in files if other.startswith(f"{name}.d/"))
        found[name] = merged(
            *(parse(files[each].content, _place(files[each].origin, each)) for each in (name, *drop_ins))
        )
    return found


def _place(origin: str, name: str) -> str:
    return name if origin == "eventd" else origin


def _containers(workload: Workload) -> Mapping[str, ContainerName]:
    by_file: dict[str, DesiredUnit] = {unit.file: unit for unit in workload.units}
    found: dict[str, ContainerName] = {}
    for file, parsed in quadlet_files(workload).items():
        stem, extension = split(file)
        unit = by_file.get(file)
        if extension != "container" or unit is None:
            continue
        name = container_name(file, unit.name, parsed)
        made = ContainerName(name, unit.name, unit.notify_healthy)
        found[name] = made
        found.setdefault(stem, made)
    return found
