"""What workloads a tree has, by path alone: eventd's layout, and that of quadlet-deploy beside it.

    workloads/NAME/…            the workload NAME
    NAME.container              the workload NAME, transform-less        (quadlet-deploy)
    FOLDER/NAME.container       the workload NAME, with the transform FOLDER   (quadlet-deploy)

Pure. Whatever looks like a workload comes out as a candidate, be it as one that is refused: what is merely
left out would be taken off the host. Next: `eventd.desired.model_content` reads a candidate's files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eventd.desired.model_misspellings import (
    MISSPELLING,
    NO_WORKLOADS,
    STORAGE_FILE,
    near_file,
    near_folder,
    near_hosts,
)
from eventd.desired.model_strays import STRAY, strays
from eventd.kernel.model.diagnostics import Diagnostic, Severity
from eventd.unitfiles.model_quadlet import KINDS, split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventd.desired.model import Tree, TreeFile

WORKLOADS, TRANSFORMS, HOSTS, APPROVALS = "workloads", "transforms", "hosts", "approvals"
TRANSFORMLESS = ".transformless"
"""A file of this name in a folder of quadlet-deploy's layout says that no transform belongs to it."""
_OURS = frozenset({WORKLOADS, TRANSFORMS, HOSTS, APPROVALS})


@dataclass(slots=True)
class Candidate:
    """Files that claim to be a workload."""

    name: str
    origin: str
    """Directory or file in the repository."""
    legacy: bool
    """quadlet-deploy's layout."""
    folder: str = ""
    """quadlet-deploy: the folder it is in, which names its transform."""
    files: dict[str, TreeFile] = field(default_factory=dict)
    """By path below the workload's folder."""
    diagnostics: list[Diagnostic] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything found."""

    candidates: tuple[Candidate, ...]
    """Sorted by name and origin; one name may come twice."""
    transforms: Mapping[str, TreeFile]
    """File name -> file."""
    refused_transforms: Mapping[str, str]
    """File name (`*`: all of them) -> why."""
    transformless: frozenset[str]
    """Folders that are marked so."""
    diagnostics: tuple[Diagnostic, ...]
    partial: bool


def error(file: str, code: str, message: str, hint: str = "") -> Diagnostic:
    """Return an error about a file as a whole."""
    return Diagnostic(Severity.ERROR, file, 0, "", message, hint, code)


def warning(file: str, code: str, message: str, hint: str = "") -> Diagnostic:
    """Return a warning about a file as a whole."""
    return Diagnostic(Severity.WARNING, file, 0, "", message, hint, code)


def survey(tree: Tree) -> Survey:
    """Sort the paths of a tree."""
    surveyor = _Surveyor()
    for path in sorted(tree.files):
        surveyor.file(path, tree.files[path])
    for path in sorted(tree.refused):
        surveyor.refused(path, tree.refused[path])
    surveyor.missing(tree)
    candidates = sorted(surveyor.candidates.values(), key=lambda each: (each.name, each.origin))
    return Survey(
        tuple(candidates),
        surveyor.transforms,
        surveyor.refused_transforms,
        frozenset(surveyor.transformless),
        tuple(surveyor.diagnostics),
        surveyor.partial,
    )


class _Surveyor:
    def __init__(self) -> None:
        self.candidates: dict[str, Candidate] = {}
        self.transforms: dict[str, TreeFile] = {}
        self.refused_transforms: dict[str, str] = {}
        self.transformless: set[str] = set()
        self.diagnostics: list[Diagnostic] = []
        self.partial = False
        self.unplaced: list[str] = []
        """Paths that are nobody's."""

    def file(self, path: str, file: TreeFile) -> None:
        parts = path.split("/")
        if unsafe(path):
            self._say(parts, error(path, "unsafe-path", "the path has a part that no file may have"))
            return
        match parts:
            case ["workloads", name, *rest] if rest:
                self._workload(name).files["/".join(rest)] = file
            case ["workloads", name] if split(name)[1] in KINDS:
                hint = f"move it to workloads/{split(name)[0]}/{name}"
                self.diagnostics.append(error(path, STRAY, "a workload is a directory", hint))
            case ["transforms", name]:
                self.transforms[name] = file
            case [folder, ".transformless"]:
                self.transformless.add(folder)
            case [name] if name.endswith(".container"):
                self._legacy("", name).files[name] = file
            case [folder, name] if name.endswith(".container") and _may_hold(folder):
                self._legacy(folder, name).files[name] = file
            case [top, *_] if top not in _OURS:
                self.unplaced.append(path)
            case _:
                pass

    def refused(self, path: str, why: str) -> None:
        parts = path.split("/")
        finding = error(path, "refused-entry", f"it is refused: {why}", "put a regular file in its place")
        match parts:
            case ["workloads"]:
                self.partial = True
                self.diagnostics.append(finding)
            case ["transforms"]:
                self.refused_transforms["*"] = why
            case ["transforms", name]:
                self.refused_transforms[name] = why
            case ["workloads", _, *_]:
                self._say(parts, finding)
            case [name] if name.endswith(".container"):
                self._say(parts, finding)
            case [folder, name] if name.endswith(".container") and _may_hold(folder):
                self._say(parts, finding)
            case [name] if "." not in name and name not in _OURS:
                # It may have been a folder of workloads until the commit before.
                self.partial = True
                message = f"it is refused ({why}), so it is not known whether there are workloads in it"
                hint = "nothing is removed from the host until it is a regular file or folder, or gone"
                self.diagnostics.append(warning(path, "unreadable-folder", message, hint))
            case _:
                pass

    def missing(self, tree: Tree) -> None:
        """Tell what seems to have been meant, after all paths were sorted; nothing is removed where it is in doubt."""
        if not any(each.origin.startswith(f"{WORKLOADS}/") for each in self.candidates.values()):
            if near := near_folder((*tree.files, *tree.refused), WORKLOADS):
                self.partial = True
                message = f"there is no {WORKLOADS}/, so every workload of it would be removed from the hosts"
                hint = f"did you mean {WORKLOADS}/? nothing is removed while there is {near}/"
                self.diagnostics.append(error(near, NO_WORKLOADS, message, hint))
            elif not self.candidates and not self.partial:
                message = "there is no workload in this repository, so every workload would be removed from the hosts"
                hint = f"a workload is a folder: {WORKLOADS}/NAME/NAME.container"
                self.diagnostics.append(warning(WORKLOADS, NO_WORKLOADS, message, hint))
        elif near := near_folder(tree.files, WORKLOADS):
            message = f"what is in {near}/ is read by nobody"
            self.diagnostics.append(warning(near, MISSPELLING, message, f"did you mean {WORKLOADS}/?"))
        if path := near_hosts(tree.files):
            hint = f"did you mean {HOSTS}/{path.partition('/')[2]}?"
            self.diagnostics.append(warning(path, MISSPELLING, "it is read by nobody", hint))
        found = [each for each in strays(self.unplaced, tree.files) if not self._told(each.file)]
        # What is nobody's may have been a workload until the commit before: it is not taken off the host meanwhile.
        self.partial |= bool(found)
        self.diagnostics.extend(found)
        for path in sorted(tree.files):
            if "/" not in path and near_file(path, STORAGE_FILE):
                finding = warning(path, MISSPELLING, "it is read by nobody", f"did you mean {STORAGE_FILE}?")
                self.diagnostics.append(finding)

    def _told(self, path: str) -> bool:
        """Tell whether the folder that a path is in has a finding as a whole already."""
        return any(each.file == path.partition("/")[0] for each in self.diagnostics)

    def _say(self, parts: list[str], finding: Diagnostic) -> None:
        """Add a finding to the workload that the path belongs to, or else to the repository."""
        match parts:
            case ["workloads", name, *_] if name not in ("", ".", ".."):
                self._workload(name).diagnostics.append(finding)
            case [name] if name.endswith(".container"):
                self._legacy("", name).diagnostics.append(finding)
            case [folder, name] if name.endswith(".container") and _may_hold(folder):
                self._legacy(folder, name).diagnostics.append(finding)
            case _:
                self.diagnostics.append(finding)

    def _workload(self, name: str) -> Candidate:
        origin = f"{WORKLOADS}/{name}"
        return self.candidates.setdefault(origin, Candidate(name, origin, legacy=False))

    def _legacy(self, folder: str, name: str) -> Candidate:
        origin = f"{folder}/{name}" if folder else name
        return self.candidates.setdefault(
            origin, Candidate(name.removesuffix(".container"), origin, legacy=True, folder=folder)
        )


def _may_hold(folder: str) -> bool:
    """Tell whether a top-level folder can be one of quadlet-deploy's."""
    return folder not in _OURS and not folder.startswith(".") and folder not in ("", "..")


def unsafe(path: str) -> bool:
    """Tell whether a path has an empty or dotted part, a control character or a backslash.

    git's own tools refuse to make such trees, but a hostile server can send one.
    """
    parts = path.split("/")
    return any(part in ("", ".", "..") for part in parts) or any(
        ord(char) < 0x20 or char in "\x7f\\" or "\ud800" <= char <= "\udfff" for char in path
    )
