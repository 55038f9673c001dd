"""Derives the units of a workload: which of them eventd starts, in which order, and what requires a restart.

Pure. Roles: eventd starts a unit unless a timer, a socket, a path, a person or another unit does; those are only
loaded. Order: Quadlet's references and `After=`/`Before=` always count. `Requires=`, `Wants=` and the like count where
they contradict nothing (systemd does not order by them, but starting a requirement first saves a job). Next:
`eventd.workloads.plan` compares the result with facts.
"""

from __future__ import annotations

import hashlib
import heapq
import re
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from eventd.desired.model import DesiredUnit, FileRole, UnitRole
from eventd.health.model_checks import health_check, waits_by_default
from eventd.unitfiles.model import Line, UnitFile, merged
from eventd.unitfiles.model_quadlet import (
    DEPENDENCIES,
    KINDS,
    container_name,
    is_template,
    kind_of,
    paths,
    references,
    service_name,
    split,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from eventd.desired.model_content import Content, Part
    from eventd.kernel.model.diagnostics import Diagnostic

_TRIGGERS = {"timer": ("Timer", "Unit"), "socket": ("Socket", "Service"), "path": ("Path", "Unit")}
_WANTED = ("WantedBy", "RequiredBy", "UpheldBy")
_TOKENS = re.compile(r"[\s:,;=\"']+")


@dataclass(frozen=True, slots=True)
class Made:
    """A unit and the file that defines it."""

    name: str
    part: Part
    unit: UnitFile
    """With all drop-ins, including those for the generated service."""


def made_units(content: Content) -> tuple[Made, ...]:
    """Return the units that the generators make, sorted. A name may occur twice, which is an error.

    Templates (`foo@.service`) are left out, since only instances can be loaded. The instance of `DefaultInstance=` is
    included, and so are instance files (`foo@bar.container`).
    """
    found: list[Made] = []
    for role in (FileRole.QUADLET, FileRole.COMPANION):
        for part, unit in content.units(role):
            name, whole = part.name, unit
            if role is FileRole.QUADLET:
                name = service_name(part.name, unit)
                whole = merged(unit, *(drop.unit for drop in content.drop_ins(name) if drop.unit))
            if is_template(name):
                instance = whole.value("Install", "DefaultInstance")
                if not instance:
                    continue
                stem, extension = split(name)
                name = f"{stem}{instance}.{extension}"
            found.append(Made(name, part, whole))
    return tuple(sorted(found, key=lambda made: (made.name, made.part.name)))


def triggered_by(made: Made) -> str | None:
    """Return the unit that a timer, socket or path unit starts, None for other units."""
    return triggered_unit(made.name, made.unit)


def triggered_unit(name: str, unit: UnitFile) -> str | None:
    """Like `triggered_by`, for a unit's name and file."""
    stem, extension = split(name)
    if extension not in _TRIGGERS:
        return None
    return unit.value(*_TRIGGERS[extension]) or f"{stem}.service"


def desired_units(
    content: Content, manual: frozenset[str]
) -> tuple[tuple[DesiredUnit, ...], tuple[Diagnostic, ...]]:
    """Return the units in start order; if there is a cycle, no units and a diagnostic that spells it out."""
    made = made_units(content)
    triggered = {target for each in made if (target := triggered_by(each)) is not None}
    before, cycle = _order(content, made)
    if cycle is not None:
        return (), (cycle,)
    by_name = {each.name: each for each in made}
    units = tuple(
        DesiredUnit(
            name=name,
            role=UnitRole.ON_DEMAND if name in manual or name in triggered else _role(by_name[name]),
            file=by_name[name].part.name,
            file_role=by_name[name].part.install.role,
            digest=_digest(content, by_name[name]),
            after=tuple(sorted(before[name])),
            notify_healthy=_waits_for_health(by_name[name].unit),
            container=_container(by_name[name]),
            checked=health_check(by_name[name].unit) is not None,
        )
        for name in _sorted(before)
    )
    return units, ()


def _waits_for_health(unit: UnitFile) -> bool:
    return unit.value("Container", "Notify").lower() == "healthy" or waits_by_default(unit)


def _container(made: Made) -> str:
    quadlet = made.part.install.role is FileRole.QUADLET and split(made.part.name)[1] == "container"
    return container_name(made.part.name, made.name, made.unit) if quadlet else ""


def _role(made: Made) -> UnitRole:
    """Return the role of a unit that nothing triggers."""
    unit = made.unit
    if made.part.made:
        return UnitRole.RUNNING
    kind = kind_of(made.part.name) if made.part.install.role is FileRole.QUADLET else None
    extension = split(made.name)[1]
    match made.part.install.role:
        case FileRole.QUADLET if kind is None or not kind.runs:
            return UnitRole.ON_DEMAND  # the units that refer to it pull it in
        case FileRole.QUADLET if (
            unit.has("Container", "Pod") and unit.truth("Container", "StartWithPod") is False
        ):
            return UnitRole.ON_DEMAND
        case FileRole.COMPANION if extension == "slice":
            return UnitRole.ON_DEMAND
        case FileRole.COMPANION if extension == "service" and not any(
            unit.values("Install", k) for k in _WANTED
        ):
            return UnitRole.ON_DEMAND
        case _:
            pass
    once = unit.value("Service", "Type").lower() == "oneshot" and not unit.truth("Service", "RemainAfterExit")
    return UnitRole.ONESHOT if once else UnitRole.RUNNING


def _order(content: Content, made: tuple[Made, ...]) -> tuple[dict[str, set[str]], Diagnostic | None]:
    """Return for each unit those that come before it, or the cycle."""
    aliases = {each.part.name: each.name for each in made} | {each.name: each.name for each in made}
    before: dict[str, set[str]] = {each.name: set() for each in made}
    reasons: dict[tuple[str, str], Line] = {}

    def add(first: str, then: str, line: Line) -> None:
        if first != then:
            before[then].add(first)
            reasons.setdefault((first, then), line)

    for each in made:
        if each.part.install.role is FileRole.QUADLET:
            for reference in references(each.part.name, each.unit):
                if reference.target in aliases and reference.target in content.parts:
                    add(aliases[reference.target], each.name, reference.line)
        for word, line in each.unit.words("Unit", "After"):
            if word in aliases:
                add(aliases[word], each.name, line)
        for word, line in each.unit.words("Unit", "Before"):
            if word in aliases:
                add(each.name, aliases[word], line)
    try:
        TopologicalSorter({name: sorted(before[name]) for name in sorted(before)}).prepare()
    except CycleError as error:
        return before, _cycle(error.args[1], reasons)
    for each in made:
        for key in DEPENDENCIES:
            for word, _ in each.unit.words("Unit", key):
                needed = aliases.get(word, each.name)
                if needed != each.name and each.name not in _all_before(needed, before):
                    before[each.name].add(needed)
    return before, None


def _all_before(name: str, before: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    todo = [name]
    while todo:
        for earlier in before[todo.pop()] - found:
            found.add(earlier)
            todo.append(earlier)
    return found


def _cycle(names: list[str], reasons: Mapping[tuple[str, str], Line]) -> Diagnostic:
    """Spell out a cycle. graphlib lists it so that each is before the next, with the first repeated at the end."""
    ring = names[:0:-1]  # so that each waits for the next
    start = ring.index(min(ring))
    ring = [*ring[start:], *ring[:start]]
    edges = [
        (first, then, reasons[first, then]) for then, first in zip(ring, [*ring[1:], ring[0]], strict=True)
    ]
    steps = ", ".join(
        f"{then} waits for {first} ({line.key}= in {line.file}:{line.number})" for first, then, line in edges
    )
    hint = "drop one of these orderings"
    return edges[0][2].error("ordering-cycle", f"the units wait for each other: {steps}", hint)


def _sorted(before: Mapping[str, set[str]]) -> Iterator[str]:
    """Yield in topological order, by name among those that could come next."""
    sorter = TopologicalSorter(before)
    sorter.prepare()
    ready: list[str] = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heapq.heappush(ready, name)
        name = heapq.heappop(ready)
        yield name
        sorter.done(name)


def _digest(content: Content, made: Made) -> str:
    """Hash what requires a restart when it changes: the file, drop-ins, referenced Quadlet files, and data they name.

    eventd's own drop-ins are left out: they change when and by whom a unit is started, not what runs.
    """
    names: set[str] = set()
    if made.part.made:
        # A stack is defined by its files. The unit's own text changes with eventd's version: no reason to restart.
        names = {part.name for part in content.stack} | {drop.name for drop in content.drop_ins(made.name)}
    todo = [] if made.part.made else [made.part.name]
    while todo:
        name = todo.pop()
        part = content.parts.get(name)
        if part is None or name in names or part.unit is None:
            continue
        names.add(name)
        drop_ins = [*content.drop_ins(name)]
        if kind_of(name) is not None:
            drop_ins.extend(content.drop_ins(service_name(name, part.unit)))
        names.update(drop.name for drop in drop_ins)
        whole = merged(part.unit, *(drop.unit for drop in drop_ins if drop.unit))
        names.update(_named_data(content, name, whole))
        if kind_of(name) is not None:
            todo.extend(reference.target for reference in references(name, whole))
    total = hashlib.sha256()
    for name in sorted(names):
        file = content.parts[name].install
        total.update(f"{file.role}\0{file.name}\0{file.digest}\0{file.executable}\n".encode())
    return total.hexdigest()


def _named_data(content: Content, name: str, unit: UnitFile) -> set[str]:
    """Return the data files that a unit's text names, directly or by a folder above them."""
    data = [part.name for part in content.data]
    if not data:
        return set()
    mentioned: set[str] = {use.path for use in paths(name, unit)} if split(name)[1] in KINDS else set()
    for line in unit.entries():
        for token in _TOKENS.split(line.value):
            mentioned.add(_normal(token))
    if "." in mentioned:
        return set(data)
    return {each for each in data if any(above in mentioned for above in _with_folders(each))}


def _normal(token: str) -> str:
    if token in (".", "./"):
        return "."
    return token.removeprefix("-").removeprefix("./").rstrip("/")


def _with_folders(name: str) -> Iterable[str]:
    parts = name.split("/")
    return ("/".join(parts[: count + 1]) for count in range(len(parts)))
