"""Turns a tree of files into the desired state of this host. The entry point is `assemble`.

Pure. The steps: survey, options, transforms, content, validation, units, eventd's own drop-ins. An error in one
workload refuses that workload only: it is in `Desired.refused`, so it is left on the host as it is, and not mistaken
for one that was removed. Next: `eventd.workloads.plan`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from eventd.adoption.model_finds import named_volumes
from eventd.approvals.model_committed import committed
from eventd.compose.model_stack import PROVIDER, StackHost, bound, with_service
from eventd.desired.model import Desired, FileRole, Tree, VolumeUse, Workload, WorkloadOptions
from eventd.desired.model_content import Content, read
from eventd.desired.model_host_ports import UNPRIVILEGED, clashes, host_ports, low
from eventd.desired.model_misspellings import OPTIONS_FILE
from eventd.desired.model_options import HostFile, Options, parse_host, parse_options
from eventd.desired.model_options_place import OptionsPlace
from eventd.desired.model_own_drop_ins import own_drop_ins
from eventd.desired.model_plain_secrets import plain_secrets, sockets
from eventd.desired.model_survey import HOSTS, Candidate, Survey, error, survey, warning
from eventd.desired.model_transform_sources import Choice, TransformSources
from eventd.desired.model_units import desired_units
from eventd.desired.model_validation import check
from eventd.desired.model_write_access import write_access
from eventd.files.model_named import with_named
from eventd.health.model_checks import START_TIMEOUT, health_check, waits_by_default
from eventd.kernel.model.diagnostics import Diagnostic, Severity
from eventd.kernel.model.located import Located
from eventd.kernel.model.names import DISTRIBUTION, did_you_mean, workload_problem
from eventd.storage.model_file import PLACES, read_manifest
from eventd.storage.model_placement import volumes_of
from eventd.updates.model_timer import with_timer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class HostRules:
    """What the host's own configuration says about workloads."""

    hostname: str
    """The host's name: its file in the repository is `hosts/<hostname>.toml`."""
    transforms: Mapping[str, bytes] = field(default_factory=dict)
    """Files of the host's transform folder: name (`tailscale.container`) -> content. They win over the repository's."""
    transforms_folder: str = "/etc/eventd/transforms"
    """The path of that folder, for messages."""
    stacks_folder: str = "/etc/eventd/stacks"
    """Where compose stacks are installed, one folder per uid."""
    compose_provider: str = PROVIDER
    """The program that applies compose files. Fixed here, so that podman does not pick one."""
    transformless: frozenset[str] = frozenset()
    """Folders of quadlet-deploy's layout that need no transform."""
    protected: frozenset[str] = frozenset()
    """Names of accounts that no workload may use."""
    default_requires: tuple[Located, ...] = ()
    """The requirements of every workload that does not set `requires` itself."""
    options: WorkloadOptions = field(default_factory=WorkloadOptions)
    """Defaults."""
    storage_paths: tuple[str, ...] = PLACES
    """Folders below which volumes may be mounted."""
    unprivileged_port_start: int = UNPRIVILEGED
    """The first port that ordinary users may bind (sysctl net.ipv4.ip_unprivileged_port_start)."""
    update_spread: str = "900s"
    """Updates are spread over this time after their schedule, each workload at its own offset."""


_Result: TypeAlias = tuple[Workload | None, list[Diagnostic]]
Cache: TypeAlias = dict[str, tuple[object, _Result]]
"""Workload -> its inputs and the result. Only `assemble` reads it."""


def assemble(tree: Tree, host: HostRules, cache: Cache | None = None) -> Desired:
    """Return the desired state of the host. Deterministic; never raises, whatever the tree contains.

    With the `cache` of an earlier call, workloads with unchanged inputs are reused.
    """
    return _Assembly(tree, host, survey(tree), {} if cache is None else cache).result()


def explain_files(workload: Workload) -> str:
    """Return all files of a workload as they are installed, each below a header line."""
    blocks: list[str] = []
    for file in workload.files:
        text = file.content.decode("utf-8", "replace")
        if "\0" in text:
            text = f"({len(file.content)} bytes)\n"
        blocks.append(f"# --- {file.role} {file.name} (from {file.origin})\n{text}")
    return "\n".join(block if block.endswith("\n") else block + "\n" for block in blocks)


class _Assembly:
    """One pass. A class, because the steps share the tree, the host's rules and the findings."""

    def __init__(self, tree: Tree, host: HostRules, found: Survey, cache: Cache) -> None:
        self.cache = cache
        self.tree = tree
        self.host = host
        self.found = found
        self.diagnostics = [*found.diagnostics, *committed(tree)[1]]
        self.transforms = TransformSources(host.transforms, host.transforms_folder, host.transformless, found)
        self.host_file, self.host_errors = self._host_file()
        self.storage, storage_findings = read_manifest(tree, host.hostname, host.storage_paths)
        self.diagnostics.extend(storage_findings)

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
                # It is unknown which workloads are for this host: leave every one as it is.
                refused[name] = self.host_errors
                continue
            if not self.host_file.selects(name):
                continue
            workload, findings = self._cached(name, candidates)
            if workload is None:
                refused[name] = tuple(sorted(findings, key=_place))
            else:
                workloads[name] = workload
                self.diagnostics.extend(findings)
        self.diagnostics.extend(clashes({name: each.ports for name, each in workloads.items()}))
        for name in [name for name in self.cache if name not in by_name]:
            del self.cache[name]
        return Desired(
            self.tree.commit,
            workloads,
            refused,
            tuple(sorted(dict.fromkeys(self.diagnostics), key=_place)),
            self.storage,
            self.found.partial,
        )

    def _host_file(self) -> tuple[HostFile, tuple[Diagnostic, ...]]:
        path = f"{HOSTS}/{self.host.hostname}.toml"
        for refused in (HOSTS, path):
            if refused in self.tree.refused:
                why = self.tree.refused[refused]
                finding = error(
                    refused, "refused-entry", f"it is refused: {why}", "replace it with a regular file"
                )
                self.diagnostics.append(finding)
                return HostFile(), (finding,)
        if path not in self.tree.files:
            if others := sorted(
                p for p in self.tree.files if p.startswith(f"{HOSTS}/") and p.endswith(".toml")
            ):
                message = f"this host has no {path}, so every workload runs here"
                self.diagnostics.append(
                    warning(path, "host-not-listed", message, did_you_mean(path, others) or "add it")
                )
            return HostFile(), ()
        parsed, findings = parse_host(self.tree.files[path].content, path)
        self.diagnostics.extend(findings)
        return parsed, findings

    def _listed(self, names: Iterable[str]) -> None:
        """Check the names in the host's file against the existing workloads."""
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
        """Add one error for each folder of quadlet-deploy's layout whose transform does not exist."""
        wanted = [c for c in self.found.candidates if c.folder and self.host_file.selects(c.name)]
        for folder in dict.fromkeys(candidate.folder for candidate in wanted):
            if finding := self.transforms.unknown_folder(folder):
                self.diagnostics.append(finding)

    def _cached(self, name: str, candidates: list[Candidate]) -> _Result:
        """Return the cached result for these inputs, or compute it."""
        options, problems = self._options(candidates[0])
        choice = self.transforms.choice(candidates[0], options)
        protected, storage = self.host.protected, self.storage
        inputs = (candidates, options, problems, self.transforms.inputs(choice), protected, storage)
        known = self.cache.get(name)
        if known is None or known[0] != inputs:
            known = self.cache[name] = (inputs, self._workload(name, candidates, options, problems, choice))
        return known[1]

    def _workload(
        self,
        name: str,
        candidates: list[Candidate],
        options: Options,
        problems: list[Diagnostic],
        choice: Choice,
    ) -> _Result:
        findings = [finding for candidate in candidates for finding in candidate.diagnostics]
        findings.extend(problems)
        candidate = candidates[0]
        if len(candidates) > 1:
            places = ", ".join(each.origin for each in candidates)
            message = f"the workload {name} is in the repository {len(candidates)} times: {places}"
            findings.append(error(candidate.origin, "duplicate-workload", message, "keep one of them"))
            return None, findings
        if problem := workload_problem(name, self.host.protected):
            findings.append(error(candidate.origin, problem[0], problem[1], "rename it"))
        elif name in DISTRIBUTION:
            message = f"distributions have a system account named {name}, and eventd does not adopt those"
            findings.append(warning(candidate.origin, "distribution-account", message, "rename it"))
        transforms, transform_problems = self.transforms.files(choice)
        content, content_problems = read(candidate, transforms)
        findings.extend([*transform_problems, *content_problems])
        volumes, placement_problems = volumes_of(
            name, content, options.values.volumes, self.storage, options.values.bulk
        )
        findings.extend(placement_problems)
        ports = host_ports(name, content)
        findings.extend(low(ports, self.host.unprivileged_port_start))
        findings.extend(plain_secrets(content))
        findings.extend(sockets(content))
        findings.extend(write_access(content))
        options = _waiting_for(volumes, candidate, options)
        options = _with_time_for_checks(content, options)
        gated = bool(options.values.requires)
        stacks = StackHost(self.host.stacks_folder, self.host.compose_provider)
        if content.stack:
            content, problems_of_stack = with_service(content, options.values, stacks, gated=gated)
            findings.extend(problems_of_stack)
        content, problems_of_timer = with_timer(content, options.values, self.host)
        findings.extend(problems_of_timer)
        findings.extend(check(content, gated=gated, manual=options.manual, place=options.values.place))
        findings = list(dict.fromkeys(findings))
        if any(finding.severity is Severity.ERROR for finding in findings):
            return None, findings
        units, cycle = desired_units(content, options.values.manual)
        findings.extend(cycle)
        if cycle:
            return None, findings
        units = with_named(units, content, options.values, volumes, self.host.compose_provider)
        if content.stack:
            units = bound(units, content, options.values, stacks)
        files = [*(part.install for part in content.parts.values()), *own_drop_ins(content, gated=gated)]
        files.sort(key=lambda file: (file.role, file.name))
        stores = named_volumes(content, options.values)
        return (
            Workload(name, tuple(files), units, options.values, candidate.origin, volumes, ports, stores),
            findings,
        )

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
        return replace(options, values=replace(options.values, place=self._place(candidate))), findings

    def _place(self, candidate: Candidate) -> OptionsPlace:
        """Return where to write the options of a workload."""
        file, prefix = f"{HOSTS}/{self.host.hostname}.toml", f"workload.{candidate.name}"
        if candidate.legacy:
            return OptionsPlace(file, prefix)
        own = f"{candidate.origin}/{OPTIONS_FILE}"
        return OptionsPlace(own, "", file, prefix, self.host_file.sets(candidate.name))


def _waiting_for(volumes: tuple[VolumeUse, ...], candidate: Candidate, options: Options) -> Options:
    """Return the options with each volume that the workload uses added to `requires`."""
    written = {each.text for each in options.values.requires}
    more = [f"volume:{use.volume}" for use in volumes if f"volume:{use.volume}" not in written]
    if not more:
        return options
    requires = (*options.values.requires, *(Located(text, candidate.origin, 0) for text in more))
    return replace(options, values=replace(options.values, requires=requires))


def _with_time_for_checks(content: Content, options: Options) -> Options:
    """Return the options with a deadline long enough for the health checks that starts wait for, unless one is set."""
    checks = (
        health_check(unit)
        for part, unit in content.units(FileRole.QUADLET)
        if part.name.endswith(".container") and waits_by_default(unit)
    )
    longest = max((check.start_timeout for check in checks if check is not None), default=START_TIMEOUT)
    if options.explicit_deadline or longest <= START_TIMEOUT:
        return options
    values = options.values
    return replace(options, values=replace(values, deadline=max(values.deadline, longest)))


def _place(finding: Diagnostic) -> tuple[str, int, str, str]:
    return finding.file, finding.line, finding.code, finding.message
