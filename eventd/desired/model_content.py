"""The files of one workload, each with its role, its transform applied, and parsed.

Pure. Knows which file is read by whom (podman's generator, systemd, nobody), and which drop-ins go with
which file. Judges names and places only; `eventd.desired.model_validation` judges what is written in them, and
`eventd.desired.model_units` says which units come of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventd.compose.model_file import stack_files
from eventd.desired.model import FileRole, InstallFile
from eventd.desired.model_misspellings import MISSPELLING, OPTIONS_FILE, STORAGE_FILE, near_file, near_unit
from eventd.desired.model_survey import Candidate, error, warning
from eventd.kernel.model.diagnostics import Diagnostic, Severity
from eventd.kernel.model.names import unit_is_valid
from eventd.unitfiles.model import UnitFile, merged, parse
from eventd.unitfiles.model_companions import COMPANIONS
from eventd.unitfiles.model_quadlet import KINDS, service_name, split
from eventd.unitfiles.model_transforms import apply

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OWN_DROP_IN = "50-eventd.conf"
_UNSUPPORTED = frozenset({"mount", "automount", "swap", "device", "scope", "artifact"})
_NOT_INSTALLED = frozenset({OPTIONS_FILE, ".gitignore", ".gitattributes", ".gitkeep", ".editorconfig"})


@dataclass(frozen=True, slots=True)
class Part:
    """A file of the workload."""

    install: InstallFile
    unit: UnitFile | None = None
    """Parsed, for unit files and drop-ins."""
    folder: str = ""
    """For a drop-in: what its folder is named for, `web.container` of `web.container.d`."""
    made: bool = False
    """eventd made it: the service of a compose stack."""

    @property
    def name(self) -> str:
        """Path below the workload's folder."""
        return self.install.name


@dataclass(frozen=True, slots=True)
class Content:
    """All files of a workload that are installed."""

    name: str
    origin: str
    legacy: bool
    parts: Mapping[str, Part]
    """By name, sorted."""

    def units(self, role: FileRole) -> Iterator[tuple[Part, UnitFile]]:
        """Yield the unit files of a role (no drop-ins), each with its drop-ins read after it."""
        for part in self.parts.values():
            if part.install.role is role and part.unit is not None and not part.folder:
                yield part, merged(part.unit, *(drop.unit for drop in self.drop_ins(part.name) if drop.unit))

    def drop_ins(self, name: str) -> tuple[Part, ...]:
        """Return the drop-ins of a unit file in the order they are read: by file name."""
        folders = drop_in_folders(name)
        found = [part for part in self.parts.values() if part.folder in folders]
        return tuple(sorted(found, key=lambda part: part.name.rpartition("/")[2]))

    @property
    def stack(self) -> tuple[Part, ...]:
        """The files that the compose provider reads; empty if the workload is no stack."""
        return tuple(part for part in self.parts.values() if part.install.role is FileRole.STACK)

    @property
    def data(self) -> tuple[Part, ...]:
        """The files that no generator reads."""
        return tuple(part for part in self.parts.values() if part.install.role is FileRole.DATA)


def drop_in_folders(name: str) -> frozenset[str]:
    """Return what drop-in folders of a unit are named for: itself, its template, its dash prefixes, its type.

    systemd.unit(5); podman's generator follows the same rule.
    """
    stem, extension = split(name)
    names = {name, extension}
    prefix, at, _ = stem.partition("@")
    if at:
        names.add(f"{prefix}@.{extension}")
    pieces = prefix.split("-")
    names.update(f"{'-'.join(pieces[:count])}-.{extension}" for count in range(1, len(pieces)))
    return frozenset(names)


def read(candidate: Candidate, transforms: Mapping[str, UnitFile]) -> tuple[Content, list[Diagnostic]]:
    """Give each file its role, apply `transforms` (by extension) to the Quadlet files, parse them."""
    found: list[Diagnostic] = []
    parts: dict[str, Part] = {}
    stack = bool(stack_files(candidate.files))
    for name in sorted(candidate.files):
        if name in _NOT_INSTALLED or name.rpartition("/")[2] in _NOT_INSTALLED - {OPTIONS_FILE}:
            continue
        file = candidate.files[name]
        role, folder = _place(name)
        found.extend(_misspellings(name, file.path, role))
        if stack and role is FileRole.DATA:
            role = FileRole.STACK
        else:
            found.extend(_place_problems(name, file.path, role, folder))
        unit = None
        if role not in (FileRole.DATA, FileRole.STACK):
            unit = parse(file.content, file.path)
            found.extend(unit.diagnostics)
            transform = transforms.get(split(name)[1]) if role is FileRole.QUADLET and not folder else None
            if transform is not None and not unit.diagnostics:
                unit = apply(unit, transform)
        content = unit.render() if unit else file.content
        install = InstallFile(role, name, content, file.path, file.executable and unit is None)
        parts[name] = Part(install, unit, folder)
    content_ = Content(candidate.name, candidate.origin, candidate.legacy, parts)
    found.extend(_clashes(content_))
    found.extend(_orphans(content_))
    return content_, found


def _place(name: str) -> tuple[FileRole, str]:
    """Return the role of a file, and for a drop-in what its folder is named for."""
    folder, slash, base = name.rpartition("/")
    subject = name
    if slash:
        if "/" in folder or not folder.endswith(".d") or not base.endswith(".conf"):
            return FileRole.DATA, ""
        subject = folder.removesuffix(".d")
    extension = split(subject)[1]
    if extension in KINDS:
        return FileRole.QUADLET, subject if slash else ""
    if extension in COMPANIONS:
        return FileRole.COMPANION, subject if slash else ""
    return FileRole.DATA, ""


def _place_problems(name: str, path: str, role: FileRole, folder: str) -> Iterator[Diagnostic]:
    base = name.rpartition("/")[2]
    extension = split(base)[1]
    if role is FileRole.DATA and "/" in name and extension in KINDS:
        message = (
            "podman's generator also reads Quadlet files in subfolders, where eventd does not look for them"
        )
        yield error(path, "nested-unit", message, "move it up into the workload's folder, or rename it")
    elif role is FileRole.DATA and "/" not in name and extension in _UNSUPPORTED:
        hint = f"supported are {', '.join(f'.{each}' for each in (*KINDS, *COMPANIONS))}"
        yield error(path, "unsupported-unit", f".{extension} files are not supported in a workload", hint)
    elif role is not FileRole.DATA and not folder and not unit_is_valid(base):
        hint = "use letters, digits, and : _ . - @"
        yield error(path, "bad-unit-name", f"{base!r} is not a unit name", hint)
    elif folder and base == OWN_DROP_IN:
        yield error(path, "reserved-file", f"{OWN_DROP_IN} is the name of eventd's own drop-in", "rename it")
    elif base == OPTIONS_FILE and "/" in name:
        message = f"{OPTIONS_FILE} in a subfolder is read by nobody"
        yield warning(path, "ignored-file", message, "move it up into the workload's folder")


def _misspellings(name: str, path: str, role: FileRole) -> Iterator[Diagnostic]:
    """Yield a warning about a file that is installed as it is, where its name says that it was meant to be read."""
    if role is not FileRole.DATA:
        return
    folder, _, base = name.rpartition("/")
    message = "it is installed as a file that eventd does not read"
    if name == STORAGE_FILE:
        hint = f"{STORAGE_FILE} belongs at the top of the repository; see [storage] of {OPTIONS_FILE}"
        yield warning(path, MISSPELLING, message, hint)
    elif not folder and near_file(base, OPTIONS_FILE):
        yield warning(path, MISSPELLING, message, f"did you mean {OPTIONS_FILE}?")
    elif not folder and (meant := near_unit(base, (*KINDS, *COMPANIONS))):
        yield warning(path, MISSPELLING, message, f"did you mean {meant}?")
    elif folder.endswith(".d") and "/" not in folder and base.endswith(".conf"):
        if meant := near_unit(folder.removesuffix(".d"), (*KINDS, *COMPANIONS)):
            yield warning(path, MISSPELLING, message, f"did you mean {meant}.d/{base}?")


def _clashes(content: Content) -> Iterator[Diagnostic]:
    """Yield names that differ in case only: two files here, one file on many a machine of a developer."""
    seen: dict[str, Part] = {}
    for part in content.parts.values():
        other = seen.setdefault(part.name.lower(), part)
        if other is not part:
            message = f"its name differs from {other.name} in case only"
            yield error(part.install.origin, "case-clash", message, "rename one of them")


def _orphans(content: Content) -> Iterator[Diagnostic]:
    """Yield drop-ins that belong to no file of the workload."""
    owned = set(drop_in_folders(f"{content.name}.service")) if content.stack else set[str]()
    for part in content.parts.values():
        if part.unit is None or part.folder:
            continue
        owned |= drop_in_folders(part.name)
        if part.install.role is FileRole.QUADLET:
            owned |= drop_in_folders(service_name(part.name, part.unit))
    for part in content.parts.values():
        if part.folder and part.folder not in owned and "@" not in part.folder:
            message = f"there is no {part.folder} in this workload"
            hint = "a drop-in folder is named for its unit, with .d after it"
            yield Diagnostic(Severity.ERROR, part.install.origin, 0, "", message, hint, "orphan-drop-in")
