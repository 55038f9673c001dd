"""Images: which ones a workload's containers are made of, which of them can be updated, and what an update changes.

Pure. Reads Quadlet and compose files for references. What is local, running, or at the registry is told by the port
`Images`; next: `runtime.update`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from eventd.core.compose_file import parse_stack
from eventd.core.desired import FileRole, UnitRole, Workload
from eventd.core.predicate_scope import quadlet_files

COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
KEEP = "localhost/eventd-previous"
"""Repository of the tags that keep an image from being pruned while an update may have to go back to it."""


@dataclass(frozen=True, slots=True)
class ImageUse:
    """One container's image, as it is written."""

    unit: str
    """The unit to restart."""
    container: str
    """The Quadlet unit, or the service of a compose stack."""
    reference: str
    fixed: str = ""
    """Why no update changes it: `pinned` (a digest), `local`, `never` (pulled), `built`, `variable`; empty: it does."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image in a user's store."""

    id: str
    """64 hexadecimal digits: the digest of its configuration."""
    digests: tuple[str, ...] = ()
    """`name@sha256:…` at registries; several where the reference is a list for several platforms."""


@dataclass(frozen=True, slots=True)
class Running:
    """A container that runs."""

    unit: str
    service: str
    """Of a compose stack; empty for Quadlet."""
    image: str
    """Its image's id."""


def images_of(workload: Workload) -> tuple[ImageUse, ...]:
    """Return the images of a workload, in the order in which its units start."""
    order = {unit.name: number for number, unit in enumerate(workload.units)}
    return tuple(sorted(_uses(workload), key=lambda use: (order.get(use.unit, 0), use.container)))


def updatable(uses: Iterable[ImageUse]) -> tuple[str, ...]:
    """Return the references that can be pulled anew, each once."""
    return tuple(dict.fromkeys(use.reference for use in uses if not use.fixed))


def running_of(use: ImageUse, running: Iterable[Running]) -> str:
    """Return the id of the image that a container runs; empty if it does not run."""
    for each in running:
        if each.service == use.container or (not each.service and each.unit == use.unit):
            return each.image
    return ""


def to_restart(
    uses: Iterable[ImageUse], running: Iterable[Running], wanted: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the units whose container runs another image than its reference has (`wanted`: reference -> id)."""
    found = tuple(running)
    units = (
        use.unit
        for use in uses
        if use.reference in wanted and running_of(use, found) not in ("", wanted[use.reference])
    )
    return tuple(dict.fromkeys(units))


def keep_tag(reference: str) -> str:
    """Return the tag under which the last image of a reference is kept."""
    return f"{KEEP}:{hashlib.sha256(reference.encode()).hexdigest()[:16]}"


def short_id(image: str) -> str:
    """Return an id for people."""
    return image.removeprefix("sha256:")[:12] or "nothing"


def _uses(workload: Workload) -> Iterator[ImageUse]:
    files = quadlet_files(workload)
    for unit in workload.units:
        if unit.file_role is not FileRole.QUADLET or not unit.file.endswith(".container"):
            continue
        file = files.get(unit.file)
        if file is None or unit.role is UnitRole.ONESHOT:
            continue
        reference = file.value("Container", "Image")
        never = file.value("Container", "Pull").lower() == "never"
        if reference.endswith(".image"):
            other = files.get(reference)
            reference = other.value("Image", "Image") if other is not None else ""
        if reference:
            yield ImageUse(unit.name, unit.name, reference, _fixed(reference, never=never))
    stack = {file.name: file for file in workload.files if file.role is FileRole.STACK}
    name = next((name for name in COMPOSE_FILES if name in stack), None)
    if name is not None:
        services = parse_stack(stack[name].content, stack[name].origin, frozenset(stack))[0].services
        for service in services:
            fixed = (
                "built" if service.built else "variable" if "$" in service.image else _fixed(service.image)
            )
            if service.image:
                yield ImageUse(f"{workload.name}.service", service.name, service.image, fixed)


def _fixed(reference: str, *, never: bool = False) -> str:
    if "@sha256:" in reference:
        return "pinned"
    if reference.endswith(".build"):
        return "built"
    if reference.startswith("localhost/"):
        return "local"
    if "%" in reference:
        return "variable"
    return "never" if never else ""
