"""Finds the workloads of a tree by path alone, in eventd's layout and in that of quadlet-deploy.

    workloads/NAME/…            the workload NAME
    NAME.container              the workload NAME, transform-less        (quadlet-deploy)
    FOLDER/NAME.container       the workload NAME, with the transform FOLDER   (quadlet-deploy)

Pure. Everything that looks like a workload becomes a candidate, even if it is refused: a workload that is left out
would be removed from the host. Next: `eventd.desired.model_content` reads a candidate's files.
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
"""An empty file of this name in a folder of quadlet-deploy's layout says that the folder has no transform."""
_OURS = frozenset({WORKLOADS, TRANSFORMS, HOSTS, APPROVALS})


@dataclass(slots=True)
class Candidate:
    """Files that may be a workload."""

    name: str
    origin: str
    """Directory or file in the repository."""
    legacy: bool
    """It is in quadlet-deploy's layout."""
    folder: str = ""
    """In quadlet-deploy's layout: its folder, which names its transform."""
    files: dict[str, TreeFile] = field(default_factory=dict)
    """Its files, by path below the workload's folder."""
    diagnostics: list[Diagnostic] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything found in a tree."""

    candidates: tuple[Candidate, ...]
    """Sorted by name and origin; a name may occur twice."""
    transforms: Mapping[str, TreeFile]
    """File name -> file."""
    refused_transforms: Mapping[str, str]
    """File name (`*`: all of them) -> why."""
    transformless: frozenset[str]
    """Folders that are marked as having no transform."""
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
        """Paths that belong to no workload."""

    def file(self, path: str, file: TreeFile) -> None:
        parts = path.split("/")
        if unsafe(path):
            self._add(parts, error(path, "unsafe-path", "the path contains a part that is not allowed"))
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
        finding = error(path, "refused-entry", f"it is refused: {why}", "replace it with a regular file")
        match parts:
            case ["workloads"]:
                self.partial = True
                self.diagnostics.append(finding)
            case ["transforms"]:
                self.refused_transforms["*"] = why
            case ["transforms", name]:
                self.refused_transforms[name] = why
            case ["workloads", _, *_]:
                self._add(parts, finding)
            case [name] if name.endswith(".container"):
                self._add(parts, finding)
            case [folder, name] if name.endswith(".container") and _may_hold(folder):
                self._add(parts, finding)
            case [name] if "." not in name and name not in _OURS:
                # It may have been a folder of workloads in the previous commit.
                self.partial = True
                message = f"it is refused ({why}), and may contain workloads"
                hint = "make it a regular file or folder, or remove it; until then nothing is removed from the host"
                self.diagnostics.append(warning(path, "unreadable-folder", message, hint))
            case _:
                pass

    def missing(self, tree: Tree) -> None:
        """Add findings about misspelt names, once all paths are sorted. In doubt, nothing may be removed."""
        if not any(each.origin.startswith(f"{WORKLOADS}/") for each in self.candidates.values()):
            if near := near_folder((*tree.files, *tree.refused), WORKLOADS):
                self.partial = True
                message = f"there is no {WORKLOADS}/, so every workload in it would be removed from the hosts"
                hint = f"did you mean {WORKLOADS}/? nothing is removed while there is {near}/"
                self.diagnostics.append(error(near, NO_WORKLOADS, message, hint))
            elif not self.candidates and not self.partial:
                message = "there is no workload in this repository, so every workload would be removed from the hosts"
                hint = f"a workload is a folder: {WORKLOADS}/NAME/NAME.container"
                self.diagnostics.append(warning(WORKLOADS, NO_WORKLOADS, message, hint))
        elif near := near_folder(tree.files, WORKLOADS):
            message = f"nothing reads the files in {near}/"
            self.diagnostics.append(warning(near, MISSPELLING, message, f"did you mean {WORKLOADS}/?"))
        if path := near_hosts(tree.files):
            hint = f"did you mean {HOSTS}/{path.partition('/')[2]}?"
            self.diagnostics.append(warning(path, MISSPELLING, "nothing reads this file", hint))
        found = [each for each in strays(self.unplaced, tree.files) if not self._has_finding(each.file)]
        # A misplaced file may have been a workload in the previous commit: do not remove that from the host.
        self.partial |= bool(found)
        self.diagnostics.extend(found)
        for path in sorted(tree.files):
            if "/" not in path and near_file(path, STORAGE_FILE):
                finding = warning(
                    path, MISSPELLING, "nothing reads this file", f"did you mean {STORAGE_FILE}?"
                )
                self.diagnostics.append(finding)

    def _has_finding(self, path: str) -> bool:
        """Return whether the folder of a path has a finding as a whole already."""
        return any(each.file == path.partition("/")[0] for each in self.diagnostics)

    def _add(self, parts: list[str], finding: Diagnostic) -> None:
        """Add a finding to the path's workload or, if it has none, to the repository."""
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
    """Return whether a top-level folder can be one of quadlet-deploy's."""
    return folder not in _OURS and not folder.startswith(".") and folder not in ("", "..")


def unsafe(path: str) -> bool:
    """Return whether a path has an empty or dotted part, a control character or a backslash.

    git's own tools refuse to create such trees, but a hostile server can send one.
    """
    parts = path.split("/")
    return any(part in ("", ".", "..") for part in parts) or any(
        ord(char) < 0x20 or char in "\x7f\\" or "\ud800" <= char <= "\udfff" for char in path
    )
