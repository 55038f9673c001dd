"""The provenance of a workload's units: what the manager loaded, held against what it must be.

Pure. Two views are put together: what the manager says of each unit (`FragmentPath`, `SourcePath`, `DropInPaths`,
`NeedDaemonReload`, `UnitFileState`, `LoadState`: the `UNIT` facts), and what stands on the disk and would be loaded
next (the `FOREIGN` fact). A `Finding` blocks its workload; what a reload puts right is not a finding but `stale`, as
long as a reload would bring in nothing foreign.

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
"""What a user manager's generator folders have in their paths (systemd.generator(7))."""
DISTRIBUTION = ("/usr/lib/", "/usr/share/", "/lib/")
"""Where a distribution's own drop-ins are."""
PROPERTIES = ("FragmentPath", "SourcePath", "DropInPaths", "NeedDaemonReload", "UnitFileState", "LoadState")


class Code(StrEnum):
    """What can be wrong. Also the reason of a workload that is blocked by it."""

    SHADOWED = "shadowed"
    """Another unit file, or Quadlet file, is or would be loaded instead of eventd's."""
    STRAY_DROP_IN = "stray-drop-in"
    """A drop-in that is not eventd's changes the unit, or would."""
    MASKED = "unit-masked"
    """Somebody masked the unit."""
    TRANSIENT = "transient-unit"
    """The unit is one that a program made at run time (systemd-run(1))."""
    UNAUDITED = "cannot-be-audited"
    """The user's folders cannot be looked at or watched."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be."""

    code: Code
    unit: str
    """Empty: it concerns all units of the workload."""
    path: str
    """The file that is the cause, empty if there is none."""
    found: str
    """What is, as a clause."""
    wanted: str
    """What must be."""
    command: str
    """Shows it, run as root."""
    fix: str
    """What an operator does about it. Files that eventd does not own are never changed by eventd."""

    @property
    def message(self) -> str:
        """What is, in a sentence with its subject."""
        return f"{self.unit} {self.found}" if self.unit else self.found


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit of one workload found."""

    findings: tuple[Finding, ...] = ()
    stale: tuple[str, ...] = ()
    """Units that the manager has to load again, which is safe."""


def audit(workload: Workload, seen: Observed, layout: Layout, allow: Collection[str] = ()) -> Audit:
    """Hold every unit of a workload against what it must be. `allow`: paths that an operator accepts."""
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
    """Return what shows the properties of a user's unit, run by root."""
    return f"systemctl --user -M {user}@ show {unit} -p {','.join(PROPERTIES)}"


@dataclass(frozen=True, slots=True)
class _Judge:
    workload: Workload
    account: Account
    layout: Layout
    allow: frozenset[str]
    foreign: Foreign | None

    def on_disk(self) -> Iterator[Finding]:
        """Yield what a reload would load, or what keeps us from knowing."""
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
                "find out what writes to these folders all the time, and stop it; eventd looks again by itself",
            )
        for path in self.foreign.paths:
            if path not in self.allow:
                yield self._foreign(path)

    def loaded(self, unit: DesiredUnit, state: UnitState) -> Iterator[Finding]:
        """Yield what the manager has loaded for a unit, and should not have."""
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
        """Tell whether what was loaded is no longer on the disk, so that a reload forgets it."""
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
        """Return the unit that a file or a folder of drop-ins is about; the folder's name if it is about several."""
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
            f"remove {path}; eventd never touches what it did not make",
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
    """Tell whether a drop-in shows in DropInPaths. One of a Quadlet file does not: the generator merges it."""
    return "/containers/systemd/" not in path
