"""Files of the host that a workload names and uses at its start, and what a change to them means.

Pure. They are found in the unit files, the compose file and `workload.toml`; files of the repository are excluded,
because the digest of the unit covers them. The state of a path, as the workload's account sees it, is a NAMED fact. The
contents that a unit was started with are recorded (`StartedWith`): a different content makes the unit *stale*, and a
missing file that it needs means that it could not start again. Next: `eventd.workloads.plan`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from eventd.compose.model_services import stacks_of
from eventd.desired.model import DesiredUnit, FileRole, NamedFile, UnitRole, VolumeUse, WorkloadOptions
from eventd.desired.model_units import made_units
from eventd.platform.model_facts import FileKind, UnitState
from eventd.workloads.model_facts import NamedState
from eventd.workloads.model_records import StartedWith

if TYPE_CHECKING:
    from eventd.desired.model_content import Content
    from eventd.unitfiles.model import Line, UnitFile

MOST = 64
"""The number of named files per workload that are watched: each needs its own read."""
HOME = "%h"
"""The home of the account, which every running unit uses: podman keeps its state there."""
_UNSEEN = ("/dev", "/proc", "/root", "/run/user", "/sys", "/tmp", "/var/tmp")  # noqa: S108  paths that are left out
"""The daemon's sandbox has its own version of these, or may not read them; and workloads create sockets there."""
_OF_SYSTEM = (
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/group",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/localtime",
    "/etc/machine-id",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki",
    "/etc/resolv.conf",
    "/etc/ssl/certs",
    "/etc/timezone",
    "/usr",
)
"""System files that change by themselves (eventd changes some with each account): mounting them restarts nothing."""
_SPECIFIERS = {"%h", "%u", "%U", "%%"}
_SPECIFIER = re.compile(r"%.")
_GLOB = re.compile(r"[*?\[]")


def with_named(
    units: tuple[DesiredUnit, ...],
    content: Content,
    options: WorkloadOptions,
    volumes: tuple[VolumeUse, ...],
    provider: str,
) -> tuple[DesiredUnit, ...]:
    """Return the units with the files that they name. `provider`: the program that applies compose files."""
    found: dict[str, dict[str, NamedFile]] = {}
    count = 0
    for made in made_units(content):
        rows = (
            _of_stack(content, options, provider) if made.part.made else _of_unit(made.part.name, made.unit)
        )
        mine = found.setdefault(made.name, {})
        for each in rows:
            named = replace(each, path=_normal(each.path))
            if named.bound and _is_below(named.path, _OF_SYSTEM):
                named = replace(named, content=False)
            if not _is_seen(named, volumes):
                continue
            known = mine.get(named.path)
            if known is not None:
                # Named twice: combine the requirements.
                named = replace(
                    known, required=known.required or named.required, content=known.content or named.content
                )
            elif count >= MOST:
                continue
            else:
                count += 1
            mine[named.path] = named
    return tuple(
        replace(unit, named=(*found.get(unit.name, {}).values(), *_home(unit, content.origin)))
        for unit in units
    )


def _home(unit: DesiredUnit, origin: str) -> Iterator[NamedFile]:
    """Yield the home, so that the unit is restarted when the home is replaced."""
    quadlet = unit.role is UnitRole.ON_DEMAND and unit.file_role is FileRole.QUADLET
    if unit.name.endswith(".service") and (unit.role is UnitRole.RUNNING or quadlet):
        yield NamedFile(HOME, origin, 0, "home", required=False)


def expand(path: str, name: str, uid: int, home: str) -> str:
    """Return a path with its specifiers resolved (systemd.unit(5)): `%h`, `%u` and `%U` of the account."""
    values = {"%h": home, "%u": name, "%U": str(uid), "%%": "%"}
    return _SPECIFIER.sub(lambda match: values.get(match[0], match[0]), path)


def _normal(path: str) -> str:
    return posixpath.normpath(path) if path.startswith("/") else path.rstrip("/")


def _is_seen(named: NamedFile, volumes: tuple[VolumeUse, ...]) -> bool:
    path = named.path
    if not path.startswith(("/", "%h/")) or path == "/" or "//" in path or "\0" in path:
        return False
    if not set(_SPECIFIER.findall(path)) <= _SPECIFIERS or path.endswith("%"):
        return False
    if _is_below(path, _UNSEEN):
        return False
    # Files on a volume are left to the volume, which may be detached.
    return named.content or not any(path.startswith(f"{use.mount}/") for use in volumes)


def _is_below(path: str, tops: tuple[str, ...]) -> bool:
    return any(path == top or path.startswith(f"{top}/") for top in tops)


def _of_unit(file: str, unit: UnitFile) -> Iterator[NamedFile]:
    extension = file.rpartition(".")[2]
    if extension == "container":
        for line in unit.values("Container", "EnvironmentFile"):
            yield _read(line, line.value)
        for line in unit.values("Container", "SeccompProfile"):
            yield _read(line, line.value)
    if extension == "kube":
        for key in ("Yaml", "ConfigMap"):
            for line in unit.values("Kube", key):
                yield _read(line, line.value)
    if extension in ("container", "pod"):
        section = extension.capitalize()
        for line in unit.values(section, "Volume"):
            source, _, rest = line.value.partition(":")
            if rest:
                yield _bound(line, source, read_only="ro" in rest.partition(":")[2].split(","))
        for line in unit.values(section, "Mount"):
            yield from _mount(line)
    for line in unit.values("Service", "EnvironmentFile"):
        if not _GLOB.search(line.value):
            yield _read(line, line.value)
    for key in ("LoadCredential", "LoadCredentialEncrypted"):
        for line in unit.values("Service", key):
            yield _read(line, line.value.partition(":")[2])


def _mount(line: Line) -> Iterator[NamedFile]:
    fields = dict(field.partition("=")[::2] for field in line.value.split(","))
    source = fields.get("source", fields.get("src", ""))
    read_only = any(fields.get(key, "false") in ("", "true") for key in ("ro", "readonly") if key in fields)
    if fields.get("type", "") == "bind" and source:
        yield _bound(line, source, read_only=read_only)


def _read(line: Line, value: str) -> NamedFile:
    value = value.strip("\"'")
    optional = value.startswith("-")
    return NamedFile(value.removeprefix("-"), line.file, line.number, line.key, required=not optional)


def _bound(line: Line, source: str, *, read_only: bool) -> NamedFile:
    # A file that the container itself may write does not need a restart when it changes.
    return NamedFile(source, line.file, line.number, line.key, content=read_only, bound=True)


def _of_stack(content: Content, options: WorkloadOptions, provider: str) -> Iterator[NamedFile]:
    yield NamedFile(provider, "eventd.toml", 0, PROVIDER, content=False)
    for origin, stack in stacks_of(content):
        for each in stack.files:
            yield NamedFile(each.path, origin, each.line, each.key, required=each.required)
        for service in stack.services:
            for mount in service.mounts:
                if mount.source.startswith("/"):
                    # The provider creates a folder for a missing path; for a read-only mount that is never intended.
                    yield NamedFile(
                        mount.source,
                        origin,
                        mount.line,
                        f"services/{service.name}/volumes",
                        required=mount.read_only,
                        content=mount.read_only,
                        bound=True,
                    )
    for text in options.compose_env_files:
        yield NamedFile(text.text, text.file, text.line, "compose.env_files")


def digests(unit: DesiredUnit, states: Mapping[str, NamedState]) -> dict[str, str]:
    """Return the known digests of the files that a unit would be started with."""
    return {
        each.path: states[each.path].digest or ABSENT
        for each in unit.named
        if each.content and each.path in states
    }


ABSENT = "-"
"""The digest of a missing file, or of something that is not a file. In a record, it differs from no entry."""
UNSURE = "?"
"""In a record: a start was begun and its outcome is unknown. It equals no digest."""


def stale(
    unit: DesiredUnit, states: Mapping[str, NamedState], base: StartedWith | None
) -> tuple[NamedFile, ...]:
    """Return the files whose content differs from what the unit was started with."""
    if base is None:
        return ()
    found = []
    for each in unit.named:
        state, before = states.get(each.path), base.files.get(each.path, "")
        if not each.content or state is None or not before or not state.digest or state.digest == before:
            continue
        # Digests under different keys cannot be compared: the key was lost, and the file may be unchanged.
        if before in (ABSENT, UNSURE) or before.partition(":")[0] == state.digest.partition(":")[0]:
            found.append(each)
    return tuple(found)


def fresh(named: tuple[NamedFile, ...], states: Mapping[str, NamedState], unit: UnitState) -> bool:
    """Return whether the last start of a unit began after all of these files had reached their present state."""
    return all(states[each.path].noticed < unit.began for each in named)


def came_back(unit: DesiredUnit, states: Mapping[str, NamedState], seen: UnitState) -> bool:
    """Return whether a file that a unit needs has become usable, or has changed, since the unit failed."""
    return any(
        (each.required or each.path == HOME)
        and (state := states.get(each.path)) is not None
        and state.kind is not None
        and not state.problem
        and (state.digest or state.kind is not FileKind.REGULAR)
        and state.noticed > seen.since
        for each in unit.named
    )


def unrecorded(unit: DesiredUnit, states: Mapping[str, NamedState], base: StartedWith | None) -> bool:
    """Return whether a running unit has no comparable record of a file whose state is known."""
    now = digests(unit, states)
    if base is None:
        return bool(now)
    return any(
        path not in base.files
        or (
            digest != ABSENT
            and base.files[path] not in (ABSENT, UNSURE)
            and base.files[path].partition(":")[0] != digest.partition(":")[0]
        )
        for path, digest in now.items()
    )


PROVIDER = "provider in [compose]"
"""The setting that names the program that applies compose files."""
_NO_FILE: Mapping[FileKind | None, str] = {
    FileKind.DIRECTORY: "a folder",
    FileKind.OTHER: "a fifo, socket or device",
}
FILE_MISSING = "file-missing"
FILE_UNREADABLE = "file-unreadable"
RESTART_PENDING = "restart-pending"
REASONS = frozenset({FILE_MISSING, FILE_UNREADABLE, RESTART_PENDING})
"""Reasons for which a running workload still needs attention because of a file."""


@dataclass(frozen=True, slots=True)
class Lacking:
    """A file that a unit needs at its start but that its account cannot use."""

    unit: str
    named: NamedFile
    reason: str
    message: str
    hint: str


def lacking(unit: DesiredUnit, states: Mapping[str, NamedState]) -> tuple[Lacking, ...]:
    """Return the named files that would keep a unit from starting, as far as known."""
    found = []
    for each in unit.named:
        state = states.get(each.path)
        if not each.required or state is None:
            continue
        where = f"{each.key} in {each.file}" + (f", line {each.line}" if each.line else "")
        if state.kind is None and not state.problem:
            message = f"{state.path} is missing, and {unit.name} needs it to start again ({where})"
            hint = f"restore it, or remove it from {each.file}"
            if each.key == PROVIDER:
                hint = "install it, or name another one there"
            found.append(Lacking(unit.name, each, FILE_MISSING, message, hint))
        elif state.problem and not (each.bound and state.kind is not None):
            message = f"{state.path} cannot be read by the account of {unit.name}: {state.problem} ({where})"
            hint = "let the account read it and enter the folders above it: chgrp, chmod, or setfacl"
            found.append(Lacking(unit.name, each, FILE_UNREADABLE, message, hint))
        elif state.kind in _NO_FILE and not each.bound and not each.key.startswith("LoadCredential"):
            message = f"{state.path} is {_NO_FILE[state.kind]}, but {unit.name} needs a file ({where})"
            found.append(Lacking(unit.name, each, FILE_MISSING, message, "put the file in its place"))
    return tuple(found)
