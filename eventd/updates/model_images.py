"""Images: which ones a workload's containers use, which of them can be updated, and what an update changes.

Pure. Reads references from Quadlet and compose files. The port `Images` knows what is local, running, or in the
registry. Next: `updates.controller`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from eventd.compose.model_file import StackService, parse_stack, stack_files
from eventd.desired.model import FileRole, UnitRole, Workload
from eventd.gates.model_predicate_scope import quadlet_files

VARIABLE = "variable"
EACH_START = "each start"
KEEP = "localhost/eventd-previous"
"""Repository of the tags that keep an image from being pruned while an update may be rolled back to it."""


@dataclass(frozen=True, slots=True)
class ImageUse:
    """One container's image, as it is written."""

    unit: str
    """The unit to restart."""
    container: str
    """The Quadlet unit, or the service of a compose stack."""
    reference: str
    fixed: str = ""
    """Why updates leave it alone, empty if they do not.

    `pinned` (a digest), `local`, `never` (pulled), `built`, `variable` (only podman knows its name), `each start` (it
    pulls at every start, so it could not be rolled back).
    """


@dataclass(frozen=True, slots=True)
class Image:
    """An image in a user's store."""

    id: str
    """64 hexadecimal digits: the digest of its configuration."""
    digests: tuple[str, ...] = ()
    """`name@sha256:…` at registries; several where the reference is a list for several platforms."""


@dataclass(frozen=True, slots=True)
class Running:
    """A running container."""

    unit: str
    service: str
    """Of a compose stack; empty for Quadlet."""
    image: str
    """Its image's id."""


def images_of(workload: Workload) -> tuple[ImageUse, ...]:
    """Return the images of a workload, in the order in which its units start."""
    order = {unit.name: number for number, unit in enumerate(workload.units)}
    return tuple(sorted(_uses(workload), key=lambda use: (order.get(use.unit, 0), use.container)))


def names(reference: str, full: str) -> bool:
    """Return whether a reference may be short for a name in podman's events (`docker.io/library/nginx:latest`)."""
    plain = reference.partition("@")[0]
    if ":" not in plain.rpartition("/")[2] and "@" not in reference:
        plain = f"{plain}:latest"
    return full in (reference, plain) or full.endswith(f"/{plain}")


def updatable(uses: Iterable[ImageUse]) -> tuple[str, ...]:
    """Return the references that can be pulled again, each once."""
    return tuple(dict.fromkeys(use.reference for use in uses if not use.fixed))


def restorable(uses: Iterable[ImageUse]) -> list[ImageUse]:
    """Return the uses whose reference can be tagged again: neither a digest nor an unknown name."""
    return [use for use in uses if use.fixed not in ("pinned", VARIABLE)]


def running_of(use: ImageUse, running: Iterable[Running]) -> str:
    """Return the id of the image that a container runs; empty if it does not run.

    Where a service has several containers, it is the first one's.
    """
    return next(_running(use, running), "")


def to_restart(
    uses: Iterable[ImageUse], running: Iterable[Running], wanted: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the units with a container of another image than its reference has (`wanted`: reference -> id)."""
    found = tuple(running)
    units = (
        use.unit
        for use in uses
        if use.reference in wanted and set(_running(use, found)) - {wanted[use.reference]}
    )
    return tuple(dict.fromkeys(units))


def without_containers(
    uses: Iterable[ImageUse], running: Iterable[Running], references: Iterable[str]
) -> tuple[str, ...]:
    """Return the units with a container that does not run, of one of these references.

    It failed with the previous image, or it is a one-shot service of a stack, which has to run again.
    """
    found, wanted = tuple(running), frozenset(references)
    units = (use.unit for use in uses if use.reference in wanted and not running_of(use, found))
    return tuple(dict.fromkeys(units))


def _running(use: ImageUse, running: Iterable[Running]) -> Iterator[str]:
    for each in running:
        if each.unit == use.unit and (not each.service or each.service == use.container):
            yield each.image


def keep_tag(reference: str) -> str:
    """Return the tag under which the last image of a reference is kept."""
    return f"{KEEP}:{hashlib.sha256(reference.encode()).hexdigest()[:16]}"


def short_id(image: str) -> str:
    """Return an abbreviated id."""
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
        policy = file.value("Container", "Pull").lower()
        if reference.endswith(".image"):
            other = files.get(reference)
            reference = other.value("Image", "Image") if other is not None else ""
        if reference:
            fixed = _fixed(reference, never=policy == "never")
            if not fixed and policy in ("always", "newer"):
                fixed = EACH_START
            yield ImageUse(unit.name, unit.name, reference, fixed)
    service_unit = f"{workload.name}.service"
    for service in _services(workload).values():
        if service.image:
            fixed = _fixed_service(service)
            yield ImageUse(service_unit, service.name, as_compose_has_it(service.image), fixed)


def _services(workload: Workload) -> Mapping[str, StackService]:
    """Return the services of a stack by name, its override file included."""
    stack = {file.name: file for file in workload.files if file.role is FileRole.STACK}
    found: dict[str, StackService] = {}
    for name in stack_files(stack):
        for each in parse_stack(stack[name].content, stack[name].origin, frozenset(stack))[0].services:
            base = found.get(each.name, each)
            found[each.name] = replace(
                base,
                image=each.image or base.image,
                built=each.built or base.built,
                pull=each.pull or base.pull,
            )
    return found


def as_compose_has_it(image: str) -> str:
    """Return the full name of an image of a compose file, where `caddy` is one of Docker Hub's.

    docker-compose asks podman's socket, which completes names as Docker does (containers.conf(5),
    compat_api_enforce_docker_hub); podman's command line would look for another one.
    """
    if "$" in image:
        return image
    host, slash, _ = image.partition("/")
    if slash and ("." in host or ":" in host or host == "localhost"):
        return image
    return f"docker.io/{image}" if slash else f"docker.io/library/{image}"


def _fixed_service(service: StackService) -> str:
    if service.built:
        return "built"
    if "$" in service.image:
        return VARIABLE
    if service.pull in ("always", "daily", "weekly") or service.pull.startswith("every_"):
        return EACH_START
    return _fixed(service.image, never=service.pull in ("never", "build"))


def _fixed(reference: str, *, never: bool = False) -> str:
    if "@sha256:" in reference:
        return "pinned"
    if reference.endswith(".build"):
        return "built"
    if reference.startswith("localhost/"):
        return "local"
    if "%" in reference:
        return VARIABLE
    return "never" if never else ""
