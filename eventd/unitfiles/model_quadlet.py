"""The meaning of a Quadlet file: the unit it becomes, the files it refers to (podman-systemd.unit(5)).

Pure lookups on a parsed file; each was tested with the generator of podman 5.4.2. `eventd.desired.model_validation`
judges the result, and `eventd.desired.model_units` says which units are to run.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from eventd.unitfiles.model import Line, UnitFile


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of Quadlet file."""

    extension: str
    section: str
    suffix: str
    """The suffix of the unit's name, after the stem."""
    runs: bool
    """Whether it runs something; the other kinds only prepare what these refer to."""


KINDS: Mapping[str, Kind] = {
    kind.extension: kind
    for kind in (
        Kind("container", "Container", "", runs=True),
        Kind("pod", "Pod", "-pod", runs=True),
        Kind("kube", "Kube", "", runs=True),
        Kind("network", "Network", "-network", runs=False),
        Kind("volume", "Volume", "-volume", runs=False),
        Kind("image", "Image", "-image", runs=False),
        Kind("build", "Build", "-build", runs=False),
    )
}
"""Extension -> kind."""

DEPENDENCIES = ("Requires", "Wants", "BindsTo", "Requisite", "Upholds")
"""Keys of [Unit] that pull other units in."""
ORDERINGS = ("After", "Before")

_REFERRING: Mapping[str, tuple[str, ...]] = {
    "container": ("Image", "Network", "Volume", "Mount", "Pod"),
    "pod": ("Network", "Volume"),
    "kube": ("Network",),
    "volume": ("Image",),
    "build": ("Network", "Volume"),
}
_ACCEPTED: Mapping[str, tuple[str, ...]] = {
    "Image": ("image", "build"),
    "Network": ("network", "container"),
    "Volume": ("volume",),
    "Mount": ("volume", "image", "build"),
    "Pod": ("pod",),
}
_FILES: Mapping[str, tuple[str, ...]] = {
    "container": ("EnvironmentFile", "Volume", "Mount", "Rootfs", "SeccompProfile"),
    "pod": ("Volume",),
    "kube": ("Yaml", "ConfigMap", "SetWorkingDirectory"),
    "build": ("File", "SetWorkingDirectory", "Volume", "AuthFile"),
    "image": ("AuthFile",),
}
_KEYWORDS = {
    ("build", "SetWorkingDirectory"): ("unit", "file"),
    ("kube", "SetWorkingDirectory"): ("unit", "yaml"),
}


@dataclass(frozen=True, slots=True)
class Reference:
    """A Quadlet file that another one names."""

    target: str
    """File name, e.g. `data.volume`."""
    line: Line


@dataclass(frozen=True, slots=True)
class PathUse:
    """A relative path of the host that a Quadlet file names."""

    path: str
    """Normalised: `conf/nginx.conf`, `.` for the folder itself, `../x` if it leads outside."""
    line: Line
    optional: bool = False


def split(name: str) -> tuple[str, str]:
    """Return stem and extension of a file name."""
    stem, _, extension = name.rpartition(".")
    return stem, extension


def kind_of(name: str) -> Kind | None:
    """Return the kind of a Quadlet file by its name; None if it is not one."""
    return KINDS.get(split(name)[1])


def service_name(name: str, unit: UnitFile) -> str:
    """Return the unit that the generator creates: `ServiceName=`, else the stem and the kind's suffix."""
    stem, extension = split(name)
    kind = KINDS[extension]
    return (unit.value(kind.section, "ServiceName") or stem + kind.suffix) + ".service"


def container_name(file: str, unit_name: str, unit: UnitFile) -> str:
    """Return the name of the container of a `.container` file: ContainerName=, by default `systemd-%N`."""
    name = unit.value("Container", "ContainerName") or "systemd-%N"
    return name.replace("%N", split(unit_name)[0]).replace("%p", split(file)[0].partition("@")[0])


def is_template(unit_name: str) -> bool:
    """Return whether it is a template (`foo@.service`), which cannot be started without an instance."""
    return split(unit_name)[0].endswith("@")


def references(name: str, unit: UnitFile) -> Iterator[Reference]:
    """Yield the Quadlet files that the file needs in the same folder."""
    _, extension = split(name)
    for key in _REFERRING.get(extension, ()):
        for line in unit.values(KINDS[extension].section, key):
            target = mount_source(line.value) if key == "Mount" else line.value
            if key in ("Network", "Volume"):
                target = target.partition(":")[0]
            target_stem, target_extension = split(target)
            if (target_stem and "/" not in target and target_extension in _ACCEPTED[key]) or key == "Pod":
                yield Reference(target, line)


def paths(name: str, unit: UnitFile) -> Iterator[PathUse]:
    """Yield the relative paths that the file names in keys that take files or folders of the host."""
    _, extension = split(name)
    for key in _FILES.get(extension, ()):
        for line in unit.values(KINDS[extension].section, key):
            text, optional = line.value, False
            match key:
                case "Mount":
                    text = mount_source(text)
                    if not text.startswith("."):  # `source=data` is a named volume, or is resolved by podman
                        continue
                case "Volume":
                    text = text.partition(":")[0]
                    if not text.startswith("."):
                        continue
                case "EnvironmentFile":
                    optional = text.startswith("-")
                    text = text.removeprefix("-")
                case _:
                    pass
            if text in _KEYWORDS.get((extension, key), ()):
                text = "." if text == "unit" else _folder_of(extension, unit)
            elif key == "File" and not _context_is_beside(unit):
                text = posixpath.join(unit.value("Build", "SetWorkingDirectory"), text)
            if not text or text.startswith(("/", "%", "~", "github.com/")) or "://" in text:
                continue
            if "%" not in text:
                yield PathUse(posixpath.normpath(text), line, optional)


def _context_is_beside(unit: UnitFile) -> bool:
    return unit.value("Build", "SetWorkingDirectory") in ("", "unit", "file")


def _folder_of(extension: str, unit: UnitFile) -> str:
    line = unit.last(*(("Build", "File") if extension == "build" else ("Kube", "Yaml")))
    return posixpath.dirname(line.value) or "." if line else "."


def mount_source(value: str) -> str:
    """Return the source of a `Mount=type=…,source=…` (or src=), or an empty string."""
    for part in value.split(","):
        key, _, text = part.partition("=")
        if key.strip() in ("source", "src"):
            return text.strip()
    return ""
