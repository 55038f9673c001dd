"""Finds a workload's transform: its options or its folder name it, the host or the repository has its files.

Pure. The host's files win over the repository's, one by one; each is parsed once per pass. How a transform is
applied is `eventd.unitfiles.model_transforms`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from eventd.desired.model_options import Options
from eventd.desired.model_survey import TRANSFORMLESS, TRANSFORMS, Candidate, Survey, error
from eventd.kernel.model.diagnostics import Diagnostic, Severity
from eventd.kernel.model.names import did_you_mean
from eventd.unitfiles.model import UnitFile, parse
from eventd.unitfiles.model_quadlet import KINDS, split

Parsed = tuple[UnitFile | None, tuple[Diagnostic, ...]]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which transform a workload uses, and where that is written."""

    name: str
    """Empty: none."""
    file: str
    line: int = 0
    """0: the folder decides it."""


@dataclass(slots=True)
class TransformSources:
    """The transforms that are available in one pass."""

    host: Mapping[str, bytes]
    """File name -> content."""
    host_folder: str
    host_transformless: frozenset[str]
    found: Survey
    parsed: dict[str, Parsed] = field(default_factory=dict)

    def choice(self, candidate: Candidate, options: Options) -> Choice:
        """Return the transform of a workload: that of its options, else that of its folder."""
        if options.transform is not None:
            return Choice(options.transform.text, options.transform.file, options.transform.line)
        if not candidate.legacy:
            return Choice(options.values.transform or "", candidate.origin)
        marked = candidate.folder in self.host_transformless or candidate.folder in self.found.transformless
        return Choice("" if marked else candidate.folder, candidate.origin)

    def inputs(self, choice: Choice) -> object:
        """Return everything that `files` depends on, for comparison."""
        if not choice.name:
            return choice
        sources = {kind: self._source(f"{choice.name}.{kind}") for kind in KINDS}
        known = () if any(sources.values()) else (*sorted(self._names()), *self.found.refused_transforms)
        return choice, sources, known

    def files(self, choice: Choice) -> tuple[dict[str, UnitFile], tuple[Diagnostic, ...]]:
        """Return the transform's files by extension, and the errors in them. A transform without files is an error."""
        if not choice.name:
            return {}, ()
        parsed = {kind: self._parse(f"{choice.name}.{kind}") for kind in KINDS}
        files = {kind: unit for kind, (unit, _) in parsed.items() if unit is not None}
        if not files:
            return {}, (self._unknown(choice),)
        return files, tuple(problem for _, problems in parsed.values() for problem in problems)

    def unknown_folder(self, folder: str) -> Diagnostic | None:
        """Return an error if a folder of quadlet-deploy's layout has no transform."""
        if folder in self.host_transformless or folder in self.found.transformless:
            return None
        choice = Choice(folder, folder)
        return None if self.files(choice)[0] else self._unknown(choice)

    def _names(self) -> set[str]:
        return {split(name)[0] for name in (*self.host, *self.found.transforms)}

    def _source(self, name: str) -> tuple[str, bytes] | None:
        """Return the path and content of a transform file."""
        if name in self.host:
            return f"{self.host_folder}/{name}", self.host[name]
        if name in self.found.transforms:
            file = self.found.transforms[name]
            return file.path, file.content
        return None

    def _parse(self, name: str) -> Parsed:
        if name not in self.parsed:
            unit: UnitFile | None = None
            problems: tuple[Diagnostic, ...] = ()
            if source := self._source(name):
                unit = parse(source[1], source[0])
                problems = unit.diagnostics
            elif why := self.found.refused_transforms.get(name):
                problems = (error(f"{TRANSFORMS}/{name}", "refused-entry", f"it is refused: {why}"),)
            self.parsed[name] = (unit, problems)
        return self.parsed[name]

    def _unknown(self, choice: Choice) -> Diagnostic:
        refused = self.found.refused_transforms
        name = choice.name
        why = refused.get("*") or refused.get(f"{name}.container")
        message = f"the transform {name} is refused: {why}" if why else f"there is no transform {name}"
        remedy = f"add {TRANSFORMS}/{name}.container"
        if not choice.line:
            remedy += f", or mark the folder with an empty file {name}/{TRANSFORMLESS}"
        near = did_you_mean(name, self._names())
        hint = f"{near} Else {remedy}" if near.startswith("did") else remedy
        key = "transform" if choice.line else ""
        return Diagnostic(Severity.ERROR, choice.file, choice.line, key, message, hint, "unknown-transform")
