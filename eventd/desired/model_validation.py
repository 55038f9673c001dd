"""Checks the files of a workload before anything on the host is changed.

Pure: from parsed content to diagnostics, each with a stable code (listed in docs/reference/repository.md). The host's
own generator has the last word afterwards; this finds what the generator does not (a misspelt section, settings that
need root, a file that nothing reads). Next: `eventd.desired.model_assembly`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventd.desired.model import FileRole
from eventd.desired.model_content import OWN_DROP_IN, Content, Part
from eventd.desired.model_options_place import ANYWHERE, OptionsPlace
from eventd.desired.model_systemd_settings import systemd_settings
from eventd.desired.model_units import made_units, triggered_by
from eventd.kernel.model.diagnostics import Diagnostic, Severity
from eventd.kernel.model.located import Located
from eventd.kernel.model.names import did_you_mean, nearest
from eventd.unitfiles.model import LineKind, UnitFile
from eventd.unitfiles.model_companions import COMPANIONS
from eventd.unitfiles.model_quadlet import (
    DEPENDENCIES,
    KINDS,
    ORDERINGS,
    Kind,
    is_template,
    paths,
    references,
    service_name,
    split,
)
from eventd.unitfiles.model_quadlet_keys import KEYS, LATER
from eventd.unitfiles.model_transforms import PREPEND

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PLAIN = ("Unit", "Service", "Install")
_ROOT_ONLY = {
    "User": "the unit runs in the user manager of the workload, and cannot change its user",
    "Group": "the unit runs in the user manager of the workload, and cannot change its group",
    "SupplementaryGroups": "a user manager may not change groups",
    "DynamicUser": "a user manager cannot create users",
    "AmbientCapabilities": "a user manager has no capabilities to pass on",
    "RootDirectory": "a user manager may not change the root directory",
    "RootImage": "a user manager may not mount images",
    "PAMName": "a user manager cannot open PAM sessions",
}
_CONTAINER_TYPES = ("notify", "oneshot")
_SYSTEM_TARGETS = frozenset(
    {"network.target", "network-online.target", "remote-fs.target", "local-fs.target", "multi-user.target"}
)
_SYSTEM_WANTED = frozenset({"multi-user.target", "graphical.target", "network-online.target"})


def check(
    content: Content, *, gated: bool, manual: Iterable[Located] = (), place: OptionsPlace = ANYWHERE
) -> list[Diagnostic]:
    """Return all findings about the content. `gated`: eventd's drop-in resets [Install]."""
    found: list[Diagnostic] = []
    for part, unit in content.units(FileRole.QUADLET):
        kind = KINDS[split(part.name)[1]]
        found.extend(_sections(unit, (kind.section, *_PLAIN, "Quadlet")))
        found.extend(_keys(unit))
        found.extend(_required(part, unit, kind))
        found.extend(_references(content, part, unit))
        found.extend(_paths(content, part, unit))
        found.extend(_glued(unit))
        found.extend(_service(unit, place))
        found.extend(systemd_settings(unit))
        if kind.extension in ("container", "kube"):
            found.extend(_service_type(unit))
        if gated:
            found.extend(_late_install(content, part))
    for part, unit in content.units(FileRole.COMPANION):
        found.extend(_companion(part, unit))
        found.extend(_service(unit, place))
        found.extend(systemd_settings(unit))
    found.extend(_container_names(content))
    found.extend(_unit_names(content))
    found.extend(_triggers(content))
    found.extend(_manual(content, manual))
    if not any(True for _ in made_units(content)) and not _has_units(content):
        found.append(_whole(content, "no-units", "the workload has no unit", "add a .container file"))
    return found


def _has_units(content: Content) -> bool:
    return any(part.unit is not None and not part.folder for part in content.parts.values())


def _whole(content: Content, code: str, message: str, hint: str = "") -> Diagnostic:
    return Diagnostic(Severity.ERROR, content.origin, 0, "", message, hint, code)


def _sections(unit: UnitFile, known: tuple[str, ...]) -> Iterator[Diagnostic]:
    for line in unit.lines:
        if line.kind is LineKind.SECTION and line.section not in known and not line.section.startswith("X-"):
            hint = did_you_mean(line.section, known)
            yield line.error("unknown-section", f"unknown section [{line.section}] in this file", hint)


def _keys(unit: UnitFile) -> Iterator[Diagnostic]:
    for line in unit.entries():
        if line.key.startswith(PREPEND):
            yield line.error("plus-key", f"{line.key}= is for transforms only", "drop the plus sign")
        elif line.section in KEYS and line.key not in KEYS[line.section]:
            if line.key in LATER.get(line.section, ()):
                hint = "the host's generator decides whether it is valid"
                yield line.warning("newer-key", f"{line.key}= needs a podman newer than 5.4", hint)
            else:
                hint = did_you_mean(line.key, KEYS[line.section])
                yield line.error("unknown-key", f"Quadlet has no {line.key}= in [{line.section}]", hint)


def _required(part: Part, unit: UnitFile, kind: Kind) -> Iterator[Diagnostic]:
    def missing(keys: str) -> Diagnostic:
        header = unit.header(kind.section)
        if header is not None:
            return header.error("missing-key", f"[{kind.section}] needs {keys}")
        return Diagnostic(
            Severity.ERROR,
            part.install.origin,
            0,
            kind.section,
            f"a .{kind.extension} file needs [{kind.section}] with {keys}",
            "",
            "missing-section",
        )

    section = kind.section
    match kind.extension:
        case "container":
            image, rootfs = unit.last(section, "Image"), unit.last(section, "Rootfs")
            if image is None and rootfs is None:
                yield missing("Image= or Rootfs=")
            elif image is not None and rootfs is not None:
                yield rootfs.error("conflicting-keys", "Image= and Rootfs= exclude each other", "keep one")
        case "kube":
            if unit.last(section, "Yaml") is None:
                yield missing("Yaml=")
        case "image":
            if unit.last(section, "Image") is None:
                yield missing("Image=")
        case "build":
            if unit.last(section, "ImageTag") is None:
                yield missing("ImageTag=")
            if unit.last(section, "File") is None and unit.last(section, "SetWorkingDirectory") is None:
                yield missing("File= or SetWorkingDirectory=")
        case _:
            pass  # an empty .network, .volume or .pod file is valid: all defaults


def _references(content: Content, part: Part, unit: UnitFile) -> Iterator[Diagnostic]:
    for reference in references(part.name, unit):
        target, line = reference.target, reference.line
        if line.key == "Pod" and not target.endswith(".pod"):
            yield line.error("missing-reference", "Pod= takes the name of a .pod file", f"Pod={target}.pod?")
        elif target not in content.parts:
            same = [name for name in content.parts if split(name)[1] == split(target)[1]]
            hint = did_you_mean(target, same) or f"add {target} to the workload"
            yield line.error("missing-reference", f"there is no {target} in this workload", hint)
    for key in (*DEPENDENCIES, *ORDERINGS):
        for word, line in unit.words("Unit", key):
            if word in content.parts and split(word)[1] in KINDS:
                target_unit = content.parts[word].unit
                assert target_unit is not None
                message = (
                    f"{word} is the name of a file: podman 5.4 passes it on unchanged, and systemd ignores it"
                )
                yield line.warning(
                    "quadlet-name-in-unit", message, f"write {service_name(word, target_unit)}"
                )


def _paths(content: Content, part: Part, unit: UnitFile) -> Iterator[Diagnostic]:
    data = [each.name for each in content.data]
    for use in paths(part.name, unit):
        if use.path == ".." or use.path.startswith("../"):
            message = f"{use.path} is outside of the workload's folder"
            yield use.line.error("escaping-path", message, "name a path below it, or an absolute one")
        elif use.path != "." and not use.optional and use.path not in data:
            if not any(name.startswith(f"{use.path}/") for name in (*data, *content.parts)):
                near, add = nearest(use.path, data), f"add {use.path} to the workload"
                if use.line.key == "Volume":
                    add += "; for what the container writes, use a named volume or an absolute path"
                message = f"there is no file or folder {use.path} in this workload"
                yield use.line.error("missing-file", message, f"did you mean {near}?" if near else add)


def _glued(unit: UnitFile) -> Iterator[Diagnostic]:
    """Warn about continued lines, which podman joins without a space and systemd with one (tested with 5.4.2)."""
    for line in unit.entries():
        if any(
            piece.endswith("\\") and len(piece) > 1 and piece[-2] not in " \t"
            for piece in (physical.rstrip() for physical in line.raw.splitlines()[:-1])
            if not piece.lstrip().startswith(("#", ";"))
        ):
            message = "podman joins the continued lines without a space"
            yield line.warning("glued-continuation", message, "put a space before the backslash")


def _service(unit: UnitFile, place: OptionsPlace) -> Iterator[Diagnostic]:
    for line in unit.entries("Service"):
        if line.key in _ROOT_ONLY and line.value and unit.truth("Service", line.key) is not False:
            yield line.error(
                "root-only-setting", f"{line.key}= cannot work: {_ROOT_ONLY[line.key]}", "remove it"
            )
    for key in (*DEPENDENCIES, "After"):
        for word, line in unit.words("Unit", key):
            if word in _SYSTEM_TARGETS:
                message = f"a user manager does not see the system's {word}"
                hint = f'write requires = ["unit:{word}"]: {place.key("requires")}'
                yield line.warning("system-target", message, hint)
    for word, line in unit.words("Install", "WantedBy"):
        if word in _SYSTEM_WANTED:
            message = f"a user manager never reaches {word}"
            yield line.warning("system-target", message, "use default.target")


def _service_type(unit: UnitFile) -> Iterator[Diagnostic]:
    line = unit.last("Service", "Type")
    if line is not None and line.value not in _CONTAINER_TYPES:
        hint = did_you_mean(line.value, _CONTAINER_TYPES)
        yield line.error("bad-service-type", f"Quadlet does not allow Type={line.value} here", hint)


def _late_install(content: Content, part: Part) -> Iterator[Diagnostic]:
    """Refuse an [Install] in a drop-in that is read after eventd's own: it would undo the gate at boot."""
    for drop in content.drop_ins(part.name):
        if drop.unit is None or drop.name.rpartition("/")[2] <= OWN_DROP_IN:
            continue
        for line in drop.unit.entries("Install"):
            message = f"it is read after {OWN_DROP_IN}, and would start the unit before its gate holds"
            yield line.error(
                "install-after-gate", message, f"rename the drop-in to sort before {OWN_DROP_IN}"
            )


def _companion(part: Part, unit: UnitFile) -> Iterator[Diagnostic]:
    extension = split(part.name)[1]
    own = COMPANIONS[extension]
    known = tuple(dict.fromkeys((*([own] if own else ()), "Unit", "Install")))
    yield from _sections(unit, known)
    for line in unit.entries():
        if line.key.startswith(PREPEND):
            yield line.error("plus-key", f"{line.key}= is for transforms only", "drop the plus sign")
    if own and own not in unit.sections and extension != "slice":
        message = f"a .{extension} file needs [{own}]"
        yield Diagnostic(Severity.ERROR, part.install.origin, 0, own, message, "", "missing-section")


def _container_names(content: Content) -> Iterator[Diagnostic]:
    """Yield container and pod names that two files use; in quadlet-deploy's layout, all but the file's stem."""
    taken: dict[str, str] = {}
    for part, unit in content.units(FileRole.QUADLET):
        stem, extension = split(part.name)
        if extension not in ("container", "pod"):
            continue
        line = unit.last(
            *(("Container", "ContainerName") if extension == "container" else ("Pod", "PodName"))
        )
        name = (
            line.value.replace("%N", stem).replace("%p", stem.partition("@")[0])
            if line
            else f"systemd-{stem}"
        )
        if content.legacy and line is not None and name != stem:
            message = f"in quadlet-deploy's layout the container must have the name of its file, {stem}"
            yield line.error("container-name", message, f"write ContainerName={stem}, or remove it")
        if name in taken and "%" not in name:
            place = line or unit.header(KINDS[extension].section)
            message = f"{taken[name]} uses the container or pod name {name} too"
            if place is not None:
                yield place.error("duplicate-container-name", message, "give each its own name")
        taken.setdefault(name, part.name)


def _unit_names(content: Content) -> Iterator[Diagnostic]:
    taken: dict[str, Part] = {}
    for part in content.parts.values():
        if part.unit is None or part.folder:
            continue
        quadlet = part.install.role is FileRole.QUADLET
        name = service_name(part.name, part.unit) if quadlet else part.name
        other = taken.setdefault(name, part)
        if other is not part:
            message = f"{other.name} and {part.name} both make {name}"
            hint = "rename one of them"
            yield Diagnostic(Severity.ERROR, part.install.origin, 0, "", message, hint, "duplicate-unit")


def _triggers(content: Content) -> Iterator[Diagnostic]:
    """Yield an error for each timer, socket or path unit without its service: systemd does not load those."""
    made = made_units(content)
    names = {each.name for each in made}
    names |= {
        service_name(p.name, u) if p.install.role is FileRole.QUADLET else p.name
        for role in (FileRole.QUADLET, FileRole.COMPANION)
        for p, u in content.units(role)
    }
    for each in made:
        target = triggered_by(each)
        if target is None or target in names:
            continue
        stem, at, rest = target.partition("@")
        accept = each.unit.truth("Socket", "Accept")
        if (at and f"{stem}@.{split(rest)[1]}" in names) or (
            accept and f"{split(target)[0]}@.service" in names
        ):
            continue
        services = [name for name in names if name.endswith(".service") and not is_template(name)]
        message = f"it starts {target}, which is not in this workload"
        hint = did_you_mean(target, services) or "add it, or name another unit with Unit="
        yield Diagnostic(Severity.ERROR, each.part.install.origin, 0, "", message, hint, "missing-reference")


def _manual(content: Content, manual: Iterable[Located]) -> Iterator[Diagnostic]:
    names = {each.name for each in made_units(content)}
    for place in manual:
        if place.text not in names:
            message, hint = f"this workload has no unit {place.text}", did_you_mean(place.text, names)
            yield Diagnostic(Severity.ERROR, place.file, place.line, "manual", message, hint, "unknown-unit")
