"""What an account already runs, and which new, empty volumes a workload would create beside its existing ones.

Pure. The data of an adopted account is in volumes whose names begin with its compose project, or are plain. A workload
that names them differently would start with empty volumes, as if its data were lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventd.adoption.model_facts import StoreVolume
from eventd.compose.model_services import stacks_of
from eventd.desired.model import FileRole, NamedVolume, WorkloadOptions
from eventd.unitfiles.model_quadlet import split

if TYPE_CHECKING:
    from eventd.desired.model_content import Content


@dataclass(frozen=True, slots=True)
class Project:
    """A compose project that has left containers or volumes."""

    name: str
    folder: str = ""
    """The folder of its compose file, from its labels."""
    containers: int = 0


@dataclass(frozen=True, slots=True)
class Finds:
    """The result of an inspection."""

    quadlets: tuple[str, ...] = ()
    """Quadlet files and their drop-ins, relative to the home."""
    units: tuple[str, ...] = ()
    projects: tuple[Project, ...] = ()
    volumes: tuple[StoreVolume, ...] = ()
    containers: int = 0
    problem: str = ""
    """Why the inspection is incomplete; empty if it is complete."""

    @property
    def files(self) -> tuple[str, ...]:
        """The files that can be moved aside."""
        return (*self.quadlets, *self.units)


@dataclass(frozen=True, slots=True)
class Moved:
    """What was moved aside."""

    aside: str
    moved: tuple[str, ...]
    stopped: tuple[str, ...]
    problem: str = ""


def named_volumes(content: Content, options: WorkloadOptions) -> tuple[NamedVolume, ...]:
    """Return the podman volumes that a workload's files create, with their names."""
    return tuple(_named(content, options))


def _named(content: Content, options: WorkloadOptions) -> Iterator[NamedVolume]:
    project = options.compose_project or content.name
    for origin, stack in stacks_of(content):
        for key in stack.volumes:
            chosen = bool(options.compose_project)
            yield NamedVolume(key, f"{project}_{key}", origin, stack=True, chosen=chosen)
    for part, unit in content.units(FileRole.QUADLET):
        stem, extension = split(part.name)
        if extension == "volume":
            name = unit.value("Volume", "VolumeName")
            yield NamedVolume(stem, name or f"systemd-{stem}", part.install.origin, chosen=bool(name))


def beside(
    wanted: tuple[NamedVolume, ...], there: tuple[StoreVolume, ...]
) -> tuple[tuple[NamedVolume, StoreVolume], ...]:
    """Return each volume that would be created empty although an existing one fits, together with that one."""
    names = {each.name for each in there}
    found = []
    for each in wanted:
        if each.chosen or each.name in names:
            continue
        others = [other for other in there if _is_for(each, other)]
        if others:
            found.append((each, others[0]))
    return tuple(found)


def _is_for(wanted: NamedVolume, other: StoreVolume) -> bool:
    if other.project and other.volume:
        return other.volume == wanted.key
    return other.name == wanted.key or other.name.endswith(f"_{wanted.key}")


def project_of(wanted: NamedVolume, other: StoreVolume) -> str:
    """Return the compose project of a volume, empty if it has none."""
    return other.project or (other.name.removesuffix(f"_{wanted.key}") if other.name != wanted.key else "")
