"""The provenance of a workload's units: compares what the manager loaded with what eventd installed.

Pure. It combines two views: the manager's properties of each unit (`FragmentPath`, `SourcePath`, `DropInPaths`,
`NeedDaemonReload`, `UnitFileState`, `LoadState`: the `UNIT` facts), and the files on disk that would be loaded next
(the `FOREIGN` fact). A `Finding` blocks its workload. What a reload fixes is not a finding but `stale`, as long as the
reload would load nothing foreign.

`eventd.workloads.plan` plans the reload, `eventd.workloads` blocks, and `eventctl audit` explains, all by `audit`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

from eventd.audit.model_facts import Foreign
from eventd.audit.model_places import WATCH_UNIT, drop_in_folders
from eventd.desired.model import DesiredUnit, FileRole, Workload
from eventd.platform.model_facts import Account, LoadState, UnitState
from eventd.workloads.model_layout import Layout
from eventd.workloads.model_observed import Observed

GENERATED = "/systemd/generator"
"""Part of the path of a user manager's generator folders (systemd.generator(7))."""
DISTRIBUTION = ("/usr/lib/", "/usr/share/", "/lib/")
"""Folders with a distribution's own drop-ins."""
PROPERTIES = ("FragmentPath", "SourcePath", "DropInPaths", "NeedDaemonReload", "UnitFileState", "LoadState")


class Code(StrEnum):
    """Kinds of findings. Also the reason of a workload that one blocks."""

    SHADOWED = "shadowed"
    """Another unit file, or Quadlet file, is or would be loaded instead of eventd's."""
    STRAY_DROP_IN = "stray-drop-in"
    """A drop-in that is not eventd's changes the unit, or would."""
    MASKED = "unit-masked"
    """The unit is masked."""
    TRANSIENT = "transient-unit"
    """The unit was made at run time (systemd-run(1))."""
    UNAUDITED = "cannot-be-audited"
    """The user's folders cannot be read or watched."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One deviation from what eventd installed."""

    code: Code
    unit: str
    """Empty: all units of the workload."""
    path: str
    """The file that is the cause, empty if there is none."""
    found: str
    """The actual state, as a clause."""
    wanted: str
    """The desired state."""
    command: str
    """A command that shows it, run as root."""
    fix: str
    """What an operator should do. eventd never changes files that it does not own."""

    @property
    def message(self) -> str:
        """Return the actual state as a sentence."""
        return f"{self.unit} {self.found}" if self.unit else self.found


@dataclass(frozen=True, slots=True)
class Audit:
    """The result of the audit of one workload."""

    findings: tuple[Finding, ...] = ()
    stale: tuple[str, ...] = ()
    """Units that the manager has to load again, which is safe."""


def audit(workload: Workload, seen: Observed, layout: Layout, allow: Collection[str] = ()) -> Audit:
    """Compare every unit of a workload with its desired files. `allow`: paths that an operator accepts."""
    account = seen.account
    if account is None:
        return Audit()
    judge = _Judge(workload, account, layout, frozenset(allow), seen.foreign)
    findings: dict[tuple[Code, str], Finding] = {}
    for each in judge.on_disk():
        findings.setdefault((each.code, each.path or each.unit), each)
    dirty = bool(findings)
    stale: list[str] = []
    for unit in workload.units:
        state = seen.units.get(unit.name)
        if state is None:
            continue
        wrong = tuple(judge.loaded(unit, state))
        if not wrong:
            if state.needs_reload or state.load is LoadState.NOT_FOUND:
                stale.append(unit.name)
            continue
        if not dirty and all(judge.is_past(finding, state) for finding in wrong):
            stale.append(unit.name)
            continue
        for each in wrong:
            findings.setdefault((each.code, each.path or each.unit), each)
    return Audit(tuple(findings.values()), tuple(stale))


def command(user: str, unit: str) -> str:
    """Return a command for root that shows the properties of a user's unit."""
    return f"systemctl --user -M {user}@ show {unit} -p {','.join(PROPERTIES)}"


@dataclass(frozen=True, slots=True)
class _Judge:
    workload: Workload
    account: Account
    layout: Layout
    allow: frozenset[str]
    foreign: Foreign | None

    def on_disk(self) -> Iterator[Finding]:
        """Yield what a reload would load, or why that is not known."""
        if self.foreign is None:
            return
        if self.foreign.problem:
            yield Finding(
                Code.UNAUDITED,
                "",
                "",
                f"the unit folders of {self.account.name} cannot be audited: {self.foreign.problem}",
                "its folders can be read and watched",
                f"systemctl --user -M {self.account.name}@ status '{WATCH_UNIT}*'",
                "find what keeps writing to these folders, and stop it; eventd scans them again by itself",
            )
        for path in self.foreign.paths:
            if path not in self.allow:
                yield self._foreign(path)

    def loaded(self, unit: DesiredUnit, state: UnitState) -> Iterator[Finding]:
        """Yield foreign files that the manager has loaded for a unit."""
        if state.load in (LoadState.NOT_FOUND, LoadState.STUB):
            return
        ours = self._ours(unit)
        fragment = state.fragment_path
        if state.load is LoadState.MASKED or state.file_state.startswith("masked"):
            if fragment not in self.allow:
                yield self._masked(unit.name, fragment)
            return
        generated = GENERATED in fragment and not fragment.startswith(f"{self.account.home}/")
        sourced = unit.file_role is not FileRole.QUADLET or state.source_path == ours
        if state.file_state == "transient" or "/systemd/transient/" in fragment:
            if fragment not in self.allow:
                yield self._transient(unit.name, fragment, ours)
        elif not (generated and sourced):
            other = state.source_path if generated and state.source_path else fragment
            other = other or "nowhere"
            if other not in self.allow:
                yield self._shadowed(unit.name, other, ours)
        for path in state.drop_ins:
            if not self._is_right(path):
                yield self._drop_in(unit.name, path)

    def is_past(self, finding: Finding, state: UnitState) -> bool:
        """Return whether what was loaded is no longer on disk, so that a reload drops it."""
        if self.foreign is None:
            return state.needs_reload
        if self.foreign.problem or finding.path in self.foreign.paths:
            return False
        return state.needs_reload or self.foreign.covers(finding.path)

    def _ours(self, unit: DesiredUnit) -> str:
        return f"{self.layout.folder(unit.file_role, self.account.uid)}/{unit.file}"

    def _is_right(self, path: str) -> bool:
        if path in self.allow or path.startswith(DISTRIBUTION):
            return True
        return GENERATED in path and not path.startswith(f"{self.account.home}/")

    def _foreign(self, path: str) -> Finding:
        folder, _, name = path.rpartition("/")
        above = folder.rpartition("/")[2]
        if above.endswith(".d") and name.endswith(".conf"):
            return self._drop_in(self._whose(above), path)
        unit = self._whose(name)
        assert self.foreign is not None
        if path in self.foreign.masks and unit == name:
            return self._masked(unit, path)
        ours = next((self._ours(u) for u in self.workload.units if unit in (u.name, u.file)), "eventd's file")
        if folder.endswith("/systemd/transient"):
            return self._transient(unit, path, ours)
        return self._shadowed(unit, path, ours)

    def _whose(self, name: str) -> str:
        """Return the unit that a file or drop-in folder is for; the folder's name if it is for several."""
        for unit in self.workload.units:
            if name in (unit.name, unit.file, f"{unit.name}.d", f"{unit.file}.d"):
                return unit.name
        hit = [
            unit.name
            for unit in self.workload.units
            if name in drop_in_folders(unit.name) or name in drop_in_folders(unit.file)
        ]
        return hit[0] if len(hit) == 1 else ""

    def _shadowed(self, unit: str, path: str, ours: str) -> Finding:
        return Finding(
            Code.SHADOWED,
            unit,
            path,
            f"is loaded from {path} instead of eventd's file",
            f"loaded from {ours}",
            command(self.account.name, unit),
            f"remove {path}; eventd never touches files that it did not make",
        )

    def _transient(self, unit: str, path: str, ours: str) -> Finding:
        return Finding(
            Code.TRANSIENT,
            unit,
            path,
            f"is a transient unit, {path}, instead of eventd's file",
            f"loaded from {ours}",
            command(self.account.name, unit),
            f"systemctl --user -M {self.account.name}@ stop {unit}",
        )

    def _drop_in(self, unit: str, path: str) -> Finding:
        subject = unit or next((u.name for u in self.workload.units), "")
        return Finding(
            Code.STRAY_DROP_IN,
            unit,
            path,
            f"is changed by the drop-in {path}" if unit else f"its units are changed by the drop-in {path}",
            "no drop-ins but eventd's and the distribution's",
            command(self.account.name, subject) if _is_shown(path) else f"ls -l {path}",
            f"remove {path}, or allow it: [provenance] allow in eventd.toml",
        )

    def _masked(self, unit: str, path: str) -> Finding:
        runtime = " --runtime" if path.startswith("/run/") else ""
        return Finding(
            Code.MASKED,
            unit,
            path,
            f"is masked by {path}" if path else "is masked",
            "not masked",
            command(self.account.name, unit),
            f"remove {path}, or: systemctl --user -M {self.account.name}@ unmask{runtime} {unit}",
        )


def _is_shown(path: str) -> bool:
    """Return whether a drop-in is listed in DropInPaths. That of a Quadlet file is not: the generator merges it."""
    return "/containers/systemd/" not in path
