"""Derives the spec of the unit that podman's generator makes of a Quadlet file.

Pure. From podman-systemd.unit(5), tested with podman 5.4.2, on top of `eventd.unitfiles.model_quadlet`. Next:
`eventd.waits.model_build`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from eventd.unitfiles.model import UnitFile
from eventd.unitfiles.model_quadlet import KINDS, references, service_name, split
from eventd.waits.model_units import Relation, UnitSpec, commands, execs, relations_of, start_timeout, text_of


def spec_of_quadlet(name: str, unit: UnitFile, *, scope: str = "") -> UnitSpec:
    """Return the spec of the service that podman's generator makes.

    A container's service has Type=notify, and conmon sends READY as soon as the container runs. So a wait inside the
    container delays nothing, unless `Notify=` makes the container (`true`) or its health check (`healthy`) send READY.
    """
    made = service_name(name, unit)
    extension = split(name)[1]
    section = KINDS[extension].section
    relations = [*relations_of(made, unit)]
    for reference in references(name, unit):
        stem, kind = split(reference.target)
        other = f"{stem}{KINDS[kind].suffix}.service" if kind in KINDS else ""
        if other:
            setting = f"{reference.line.key}={reference.target}"
            relations += [
                Relation(key, other, reference.line.file, reference.line.number, setting)
                for key in ("After", "Requires")
            ]
    relations = [
        each._replace(other=_made_name(each.other)) if split(each.other)[1] in KINDS else each
        for each in relations
    ]
    defaults = unit.truth("Unit", "DefaultDependencies") is not False
    if defaults:
        relations += [Relation("After", "basic.target", unit.file)]
        relations += [] if scope else [Relation("After", "sysinit.target", unit.file)]
    notify = unit.value("Container", "Notify").lower()
    service = unit.value("Service", "Type").lower()
    return UnitSpec(
        made,
        tuple(relations),
        scope,
        unit.file,
        blocking=notify in ("true", "yes", "1", "on", "healthy") or service == "oneshot",
        timeout=start_timeout(unit, service or "notify"),
        default_dependencies=defaults,
        publishes=tuple(line.value for line in unit.values(section, "PublishPort")),
        answers_for=tuple(_routed(line.value for line in unit.values(section, "Label"))),
        before_main=commands(unit, "ExecStartPre", "ExecCondition"),
        after_main=commands(unit, "ExecStartPost"),
        commands=execs(unit),
        text=text_of(unit),
    )


def _made_name(file: str) -> str:
    """Return the service of a Quadlet file: the generator translates `After=db.container`."""
    stem, extension = split(file)
    return f"{stem}{KINDS[extension].suffix}.service"


def _routed(labels: Iterable[str]) -> Iterator[str]:
    """Yield the host names that labels route to it (Traefik's `Host(…)` rules, Caddy's `caddy=` labels)."""
    for label in labels:
        key, _, value = label.strip("\"'").partition("=")
        if key.startswith("traefik.") and key.endswith(".rule"):
            for piece in value.split("Host(")[1:]:
                inside = piece.partition(")")[0]
                yield from (each.strip(" `'\"").lower() for each in inside.split(","))
        elif key == "caddy":
            for address in value.replace(",", " ").split():
                yield address.rpartition("://")[2].partition("/")[0].partition(":")[0].lower()
