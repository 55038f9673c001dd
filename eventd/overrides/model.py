"""Overrides: temporary deviations from what the repository says.

Pure. A suspension leaves a workload as it is; a rollback runs another revision than the repository's. Decides what a
failed start or verification failed on, and when a rollback ends by itself. Next: `overrides.controller` stores
overrides, and the planner asks it for the effective workload.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from eventd.desired.model import DesiredUnit, FileRole, OnFailure, UnitRole, Workload, WorkloadOptions
from eventd.desired.model_units import triggered_unit
from eventd.gates.model_predicate_scope import quadlet_files
from eventd.gates.model_predicates import All, Any, Atom, Predicate, missing
from eventd.health.model_actions import Verify
from eventd.health.model_expectations import UNHEALTHY
from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.model.report import Outcome, WorkloadReport
from eventd.platform.model_facts import PlatformFact
from eventd.unitfiles.model import UnitFile
from eventd.workloads.model_actions import RestartUnit, StartUnit
from eventd.workloads.model_facts import WorkloadFact

KEPT = 3
"""Verified revisions stored per workload."""
TRIES = 5
"""How often one revision is retried because a fact that it failed on has changed for the better."""
NETWORK = FactKey(PlatformFact.UNIT, "network-online.target")
NETWORK_TEXT = "unit:network-online.target"

_STARTS = frozenset({StartUnit.verb, RestartUnit.verb, Verify.verb})
_FAULTS = frozenset(
    {
        "start-failed",
        "dependency-failed",
        "no-such-unit",
        "bad-unit-setting",
        "not-up-in-time",
        "not-healthy-in-time",
        "crashed-in-grace",
        "crash-looping",
        "unit-failed",
        "unit-stopped",
        "start-limit-hit",
        "deadline",
    }
)
"""Failures of a start or a verification that another revision may not have. An unreachable manager, a unit shadowed or
masked by a foreign file, a full disk: a rollback would fail the same way."""


@dataclass(frozen=True, slots=True)
class Suspension:
    """A workload that eventd observes and does not change."""

    workload: str
    """Empty: the whole host."""
    since: float
    """Seconds since the epoch."""
    by: str
    why: str = ""

    @property
    def sentence(self) -> str:
        """Return it as a sentence."""
        what = self.workload or "this host"
        return f"{what} is suspended by {self.by}{f': {self.why}' if self.why else ''}"


@dataclass(frozen=True, slots=True)
class Revision:
    """A workload's complete content, so that a rollback needs neither the network nor the old commit in git."""

    __pydantic_config__: ClassVar[Mapping[str, str]] = {
        "ser_json_bytes": "base64",
        "val_json_bytes": "base64",
    }
    workload: Workload
    digest: str
    """`Workload.digest`."""
    commit: str
    """The commit it was verified at (or that an operator named)."""
    verified_at: float = 0.0
    """Seconds since the epoch; 0: never on this host."""


@dataclass(frozen=True, slots=True)
class Revisions:
    """The last verified revisions of one workload, the newest first, each content once."""

    rows: tuple[Revision, ...] = ()

    def with_verified(self, revision: Revision) -> Revisions:
        """Return the revisions with one that has just been verified."""
        rest = [row for row in self.rows if row.digest != revision.digest]
        return Revisions((revision, *rest)[:KEPT])

    def other_than(self, digests: Iterable[str]) -> Revision | None:
        """Return the newest revision whose digest is not in `digests`."""
        unwanted = frozenset(digests)
        return next((row for row in self.rows if row.digest not in unwanted), None)


@dataclass(frozen=True, slots=True)
class Rollback:
    """The active revision is not the repository's."""

    workload: str
    bad: str
    """`identity` of the repository's content; when it changes, the rollback ends."""
    bad_commit: str
    good: Revision
    since: float
    """Seconds since the epoch."""
    by: str
    automatic: bool
    reason: str = ""
    """Why the bad revision failed, as `message`, `unit` and `log`; set by an automatic rollback only."""
    message: str = ""
    unit: str = ""
    log: tuple[str, ...] = ()
    failed_on: tuple[str, ...] = ()
    """Parts of the health predicate about other subjects that were not met."""
    restore: tuple[str, ...] = ()
    """Units that nothing starts by itself and that ran before the change; they have to run after the rollback."""

    @property
    def sentence(self) -> str:
        """Return what is active and why, as a sentence."""
        bad, good = self.bad_commit[:12], self.good.commit[:12]
        if not self.automatic:
            return f"{self.by} rolled {self.workload} back to {good} (the repository has {bad})"
        return f"{bad} failed ({self.reason}): {self.message}; rolled back to {good}"


def identity(workload: Workload) -> str:
    """Identify a content with its options: a fix may be a longer deadline and no changed file.

    Places in files are left out, so that a comment above an option changes nothing.
    """
    options = workload.options
    plain: WorkloadOptions = replace(options, requires=(), expect=())
    texts = [*(each.text for each in options.requires), "expect", *(each.text for each in options.expect)]
    shown = f"{workload.digest}\n{_sorted_sets(plain)}\n{texts!r}"
    return hashlib.sha256(shown.encode()).hexdigest()


def rolls_back(workload: Workload, report: WorkloadReport, verified_digest: str) -> bool:
    """Return whether a failed change is rolled back: it was never healthy, and the failure is its own fault."""
    return (
        report.outcome is Outcome.FAILED
        and workload.options.on_failure is OnFailure.ROLLBACK
        and workload.digest != verified_digest
        and report.reason in _FAULTS
        and (report.failing_verb in _STARTS or report.reason == "start-limit-hit")
    )


def failed_on(expect: Predicate | None, report: WorkloadReport, name: str, facts: Facts) -> tuple[str, ...]:
    """Return the missing conditions about other subjects: only those can be met without a change of the workload.

    Probes are left out. A probe asks what the workload itself serves, and only while the verification waits for it.
    """
    if report.reason in ("not-healthy-in-time", UNHEALTHY) and expect is not None:
        return tuple(part.text for part in missing(expect, facts) if _foreign(part.atoms, name))
    network = facts.get(NETWORK)
    if network is not None and not getattr(network, "up", False):
        return (NETWORK_TEXT,)  # a start without it may have lacked no more than an image
    return ()


def wakes(order: Rollback, expect: Predicate | None) -> frozenset[FactKey]:
    """Return the facts whose change may end a rollback. `expect`: of the repository's content."""
    keys = {NETWORK} if NETWORK_TEXT in order.failed_on else set[FactKey]()
    for part in _parts(expect):
        if part.text in order.failed_on:
            keys |= part.keys()
    return frozenset(keys)


def came_right(order: Rollback, expect: Predicate | None, facts: Facts) -> bool:
    """Return whether everything that the bad revision failed on is met now (if it failed on anything but itself).

    A mere change is not enough: a mount that is still missing in another way is no reason to take the service down
    again.
    """
    if not order.automatic or not order.failed_on:
        return False
    if NETWORK_TEXT in order.failed_on and not getattr(facts.get(NETWORK), "up", False):
        return False
    known = {part.text: part for part in _parts(expect)}
    texts = [text for text in order.failed_on if text != NETWORK_TEXT]
    return all(text in known and known[text].holds(facts) for text in texts)


def bound_units(workload: Workload) -> frozenset[str]:
    """Return the units that run only for other units of the workload, and that systemd stops with those.

    Networks, volumes and pods of Quadlet, and units with Requires=, Requisite=, BindsTo= or PartOf= on another unit.
    Not units that a timer, a socket or a path starts: when those run is not decided here.
    """
    files = quadlet_files(workload)
    triggered = {triggered_unit(name, unit) for name, unit in files.items()}
    names = {unit.name for unit in workload.units}
    return frozenset(
        unit.name
        for unit in workload.units
        if unit.role is UnitRole.ON_DEMAND
        and unit.name not in triggered
        and (_is_network_or_alike(unit) or _needs_one_of(files.get(unit.file), names))
    )


def _is_network_or_alike(unit: DesiredUnit) -> bool:
    return unit.file_role is FileRole.QUADLET and unit.file.endswith((".network", ".volume", ".pod"))


def _needs_one_of(file: UnitFile | None, names: set[str]) -> bool:
    if file is None:
        return False
    if file.value("Container", "Pod"):
        return True
    keys = ("Requires", "Requisite", "BindsTo", "PartOf")
    return any(
        word in names for key in keys for line in file.values("Unit", key) for word in line.value.split()
    )


def _parts(expect: Predicate | None) -> tuple[Predicate, ...]:
    """Return the parts that `predicates.missing` names one by one."""
    match expect:
        case None:
            return ()
        case All(members):
            return tuple(part for member in members for part in _parts(member))
        case Any(members) if len(members) == 1:
            return _parts(members[0])
        case _:
            return (expect,)


def _foreign(found: Iterable[Atom], name: str) -> bool:
    own = (
        WorkloadFact.WORKLOAD,
        PlatformFact.ACCOUNT,
        WorkloadFact.MANAGER,
        PlatformFact.LINGER,
        PlatformFact.SESSIONS,
    )
    return all(
        atom.probe is None and atom.key.scope != name and not (atom.key.kind in own and atom.key.name == name)
        for atom in found
    )


def _sorted_sets(options: WorkloadOptions) -> str:
    """Return the options as text, independent of the iteration order of sets."""
    return repr(replace(options, manual=frozenset())) + repr(sorted(options.manual))
