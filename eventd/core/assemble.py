"""From a tree of files to the desired state of this host. The one way in: `assemble`.

Pure. Puts the steps together: survey, options, transforms, content, validation, units, eventd's own
drop-ins. What is wrong with one workload refuses that one: it stays in `Desired.refused`, so it is left on
the host just as it is, and is not mistaken for one that was removed. Next: `eventd.core.plan`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from eventd.core.content import OPTIONS_FILE, OWN_DROP_IN, Content, read
from eventd.core.desired import (
    Desired,
    FileRole,
    InstallFile,
    Located,
    Tree,
    Workload,
    WorkloadOptions,
)
from eventd.core.diagnostics import Diagnostic, Severity
from eventd.core.names import DISTRIBUTION, did_you_mean, user_problem
from eventd.core.options import HostFile, Options, parse_host, parse_options
from eventd.core.quadlet import KINDS, split
from eventd.core.survey import HOSTS, TRANSFORMS, Candidate, Survey, error, survey, warning
from eventd.core.unitfile import UnitFile, parse
from eventd.core.units import desired_units
from eventd.core.validate import check

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ORIGIN = "eventd"
"""`InstallFile.origin` of what eventd adds."""


@dataclass(frozen=True, slots=True)
class HostRules:
    """What this host, and not the repository, says about workloads."""

    hostname: str
    """Stem of the file in `hosts/` that is for this host."""
    transforms: Mapping[str, bytes] = field(default_factory=dict)
    """The host's transform folder: file name (`tailscale.container`) -> content. Wins over the repository."""
    transforms_folder: str = "/etc/eventd/transforms"
    """Where they are, for diagnostics."""
    transformless: frozenset[str] = frozenset()
    """Folders of quadlet-deploy's layout that need no transform."""
    protected: frozenset[str] = frozenset()
    """Accounts that no workload may have."""
    default_requires: tuple[Located, ...] = ()
    """Required by every workload that does not write `requires` itself."""
    options: WorkloadOptions = field(default_factory=WorkloadOptions)
    """Defaults."""


def assemble(tree: Tree, host: HostRules) -> Desired:
    """Return what the tree wants of the host. Deterministic; raises nothing for whatever the tree holds."""
    return _Assembly(tree, host, survey(tree)).result()


def explain_files(workload: Workload) -> str:
    """Return all files of a workload as they are installed, each under a line that says what it is."""
    blocks: list[str] = []
    for file in workload.files:
        text = file.content.decode("utf-8", "replace")
        if "\0" in text:
            text = f"({len(file.content)} bytes)\n"
        blocks.append(f"# --- {file.role} {file.name} (from {file.origin})\n{text}")
    return "\n".join(block if block.endswith("\n") else block + "\n" for block in blocks)


class _Assembly:
    """One pass. A class only because the steps share the tree, the host's rules and the findings."""

    def __init__(self, tree: Tree, host: HostRules, found: Survey) -> None:
        self.tree = tree
        self.host = host
        self.found = found
        self.diagnostics = list(found.diagnostics)
        self.parsed: dict[str, tuple[UnitFile | None, tuple[Diagnostic, ...]]] = {}
        self.host_file, self.host_errors = self._host_file()

    def result(self) -> Desired:
        workloads: dict[str, Workload] = {}
        refused: dict[str, tuple[Diagnostic, ...]] = {}
        self._folders()
        by_name: dict[str, list[Candidate]] = {}
        for candidate in self.found.candidates:
            by_name.setdefault(candidate.name, []).append(candidate)
        self._listed(by_name)
        for name, candidates in sorted(by_name.items()):
            if self.host_errors:
                # Which workloads are for this host is not known: leave every one as it is.
                refused[name] = self.host_errors
                continue
            if not self.host_file.selects(name):
                continue
            workload, findings = self._workload(name, candidates)
            if workload is None:
                refused[name] = tuple(sorted(findings, key=_place))
            else:
                workloads[name] = workload
                self.diagnostics.extend(findings)
        return Desired(
            self.tree.commit,
            workloads,
            refused,
            tuple(sorted(dict.fromkeys(self.diagnostics), key=_place)),
            self.found.partial,
        )

    def _host_file(self) -> tuple[HostFile, tuple[Diagnostic, ...]]:
        path = f"{HOSTS}/{self.host.hostname}.toml"
        for refused in (HOSTS, path):
            if refused in self.tree.refused:
                why = self.tree.refused[refused]
                finding = error(
                    refused, "refused-entry", f"it is refused: {why}", "put a regular file in its place"
                )
                self.diagnostics.append(finding)
                return HostFile(), (finding,)
        if path not in self.tree.files:
            if others := sorted(
                p for p in self.tree.files if p.startswith(f"{HOSTS}/") and p.endswith(".toml")
            ):
                message = f"there is no {path} for this host, so every workload runs here"
                self.diagnostics.append(
                    warning(path, "host-not-listed", message, did_you_mean(path, others) or "add it")
                )
            return HostFile(), ()
        parsed, findings = parse_host(self.tree.files[path].content, path)
        self.diagnostics.extend(findings)
        return parsed, findings

    def _listed(self, names: Iterable[str]) -> None:
        """Check the names in the host's file against the workloads there are."""
        known = list(names)
        listed = [(place, Severity.ERROR) for place in self.host_file.workloads or ()]
        listed += [(place, Severity.WARNING) for place in self.host_file.exclude]
        path = f"{HOSTS}/{self.host.hostname}.toml"
        listed += [
            (Located(name, path, table.line()), Severity.ERROR)
            for name, table in self.host_file.overrides.items()
        ]
        for place, severity in listed:
            if place.text not in known:
                message = f"there is no workload {place.text} in this repository"
                hint = did_you_mean(place.text, known)
                self.diagnostics.append(
                    Diagnostic(severity, place.file, place.line, "", message, hint, "unknown-workload")
                )

    def _folders(self) -> None:
        """Fail the run for each folder of quadlet-deploy's layout whose transform is nowhere, once."""
        for folder in dict.fromkeys(c.folder for c in self.found.candidates if c.legacy and c.folder):
            if self._is_unknown(folder):
                self.diagnostics.append(self._unknown_transform(folder, folder))

    def _is_unknown(self, folder: str) -> bool:
        name = f"{folder}.container"
        return not (
            folder in self.host.transformless
            or folder in self.found.transformless
            or name in self.host.transforms
            or name in self.found.transforms
        )

    def _unknown_transform(self, file: str, name: str, line: int = 0) -> Diagnostic:
        refused = self.found.refused_transforms
        why = refused.get("*") or refused.get(f"{name}.container")
        known = {split(each)[0] for each in (*self.host.transforms, *self.found.transforms)}
        hint = did_you_mean(name, known) if known else ""
        remedy = f"add {TRANSFORMS}/{name}.container"
        if not line:
            remedy += f", or mark the folder with an empty file {name}/.transformless"
        message = f"the transform {name} is refused: {why}" if why else f"there is no transform {name}"
        hint = f"{hint} Else {remedy}" if hint.startswith("did") else remedy
        return Diagnostic(
            Severity.ERROR, file, line, "transform" if line else "", message, hint, "unknown-transform"
        )

    def _workload(self, name: str, candidates: list[Candidate]) -> tuple[Workload | None, list[Diagnostic]]:
        findings = [finding for candidate in candidates for finding in candidate.diagnostics]
        candidate = candidates[0]
        if len(candidates) > 1:
            places = ", ".join(each.origin for each in candidates)
            message = f"the workload {name} is in the repository {len(candidates)} times: {places}"
            findings.append(error(candidate.origin, "duplicate-workload", message, "keep one of them"))
            return None, findings
        if problem := user_problem(name, self.host.protected):
            findings.append(error(candidate.origin, problem[0], problem[1], "rename it"))
        elif name in DISTRIBUTION:
            message = f"distributions have a system account {name}, and eventd adopts none"
            findings.append(warning(candidate.origin, "distribution-account", message, "rename it"))
        options, problems = self._options(candidate)
        findings.extend(problems)
        transforms, transform_problems = self._transforms(candidate, options)
        findings.extend(transform_problems)
        content, problems = read(candidate, transforms)
        findings.extend(problems)
        if any(problem.code == "compose-unsupported" for problem in problems):
            return None, findings  # that a stack has no units is no second error
        gated = bool(options.values.requires)
        findings.extend(check(content, gated=gated, manual=options.manual))
        findings = list(dict.fromkeys(findings))
        if any(finding.severity is Severity.ERROR for finding in findings):
            return None, findings
        units, cycle = desired_units(content, options.values.manual)
        findings.extend(cycle)
        if cycle:
            return None, findings
        files = [*(part.install for part in content.parts.values()), *_own_drop_ins(content, gated=gated)]
        files.sort(key=lambda file: (file.role, file.name))
        return Workload(name, tuple(files), units, options.values, candidate.origin), findings

    def _options(self, candidate: Candidate) -> tuple[Options, list[Diagnostic]]:
        options, findings = Options(self.host.options), list[Diagnostic]()
        if not candidate.legacy and OPTIONS_FILE in candidate.files:
            file = candidate.files[OPTIONS_FILE]
            options, problems = parse_options(file.content, file.path, options)
            findings.extend(problems)
        options, problems = self.host_file.override(candidate.name, options)
        findings.extend(problems)
        if not options.explicit_requires and self.host.default_requires:
            options = replace(options, values=replace(options.values, requires=self.host.default_requires))
        return options, findings

    def _transforms(
        self, candidate: Candidate, options: Options
    ) -> tuple[dict[str, UnitFile], tuple[Diagnostic, ...]]:
        """Return the transform's files by extension; each folder or name is looked up and parsed once."""
        name, file, line = candidate.folder, candidate.origin, 0
        if options.transform is not None:
            name, file, line = options.transform.text, options.transform.file, options.transform.line
        elif options.values.transform is not None and not candidate.folder:
            name = options.values.transform
        elif not name or name in self.host.transformless or name in self.found.transformless:
            return {}, ()
        if not name:
            return {}, ()
        found = {kind: self._transform(f"{name}.{kind}") for kind in KINDS}
        files = {kind: unit for kind, (unit, _) in found.items() if unit is not None}
        if not files:
            return {}, (self._unknown_transform(file, name, line),)
        return files, tuple(problem for _, problems in found.values() for problem in problems)

    def _transform(self, name: str) -> tuple[UnitFile | None, tuple[Diagnostic, ...]]:
        if name not in self.parsed:
            unit: UnitFile | None = None
            problems: tuple[Diagnostic, ...] = ()
            if name in self.host.transforms:
                unit = parse(self.host.transforms[name], f"{self.host.transforms_folder}/{name}")
            elif name in self.found.transforms:
                unit = parse(self.found.transforms[name].content, self.found.transforms[name].path)
            elif name in self.found.refused_transforms:
                why = self.found.refused_transforms[name]
                problems = (error(f"{TRANSFORMS}/{name}", "refused-entry", f"it is refused: {why}"),)
            self.parsed[name] = (unit, problems or (unit.diagnostics if unit else ()))
        return self.parsed[name]


def _own_drop_ins(content: Content, *, gated: bool) -> Iterable[InstallFile]:
    """Yield eventd's drop-in for each Quadlet file.

    Without it, generated units of a user wait in podman-user-wait-network-online.service, which polls for
    up to 90 s; the daemon knows that target's state from a signal. A file that sets DefaultDependencies=
    itself has its way. With a gate, the unit is also taken out of default.target: a lingering manager reaches
    that at boot, before the daemon can know whether the gate holds. (An empty assignment resets: tried on
    podman 5.4.2, which knows no UpheldBy=; newer ones may.)
    """
    for part, unit in content.units(FileRole.QUADLET):
        lines: list[str] = []
        if not unit.has("Quadlet", "DefaultDependencies"):
            lines += [
                "# The daemon knows whether the network is up.",
                "[Quadlet]",
                "DefaultDependencies=false",
            ]
        if gated:
            lines += ["# The daemon starts this unit, once what its workload requires is there.", "[Install]"]
            lines += ["WantedBy=", "RequiredBy=", "UpheldBy="]
        if lines:
            text = "\n".join(["# Added by eventd.", *lines, ""])
            yield InstallFile(FileRole.QUADLET, f"{part.name}.d/{OWN_DROP_IN}", text.encode(), ORIGIN)


def _place(finding: Diagnostic) -> tuple[str, int, str, str]:
    return finding.file, finding.line, finding.code, finding.message
