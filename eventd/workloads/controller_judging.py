"""Judging: the observed state of a workload, its plan, and how much of the plan may be carried out.

Owns the order in which the pure parts (observe, plan, audit, policies) are called. It has no side effects and no state.

    facts, records -> View -> draft -> blocked, left -> Planner; Judge -> Executor
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from eventd.accounts import model_homes as homes
from eventd.audit.model import audit
from eventd.desired.model import UnitRole, Workload
from eventd.gates.model import OPEN, WorkloadGates
from eventd.health.model_actions import Verify
from eventd.kernel.model.action import Action
from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.model.verdicts import Allow, Verdict
from eventd.managers.model_actions import Reload
from eventd.platform.model_facts import PlatformFact
from eventd.removal.plan import plan_removal
from eventd.workloads.controller_transaction import UnitFailedError
from eventd.workloads.model_actions import RestartUnit, StartUnit, StopUnit
from eventd.workloads.model_case import Case, Policy
from eventd.workloads.model_context import Context
from eventd.workloads.model_facts import ManagerState
from eventd.workloads.model_observed import Observed, observe
from eventd.workloads.model_records import Records
from eventd.workloads.plan import plan
from eventd.workloads.plan_units import gave_up, is_renewed

UNSEEN = Observed(
    None, linger=False, manager=ManagerState.DOWN, manager_unit=None, files={}, units={}, sessions=frozenset()
)
"""What is observed of a user that does not exist."""
STARTING = frozenset({StartUnit.verb, RestartUnit.verb, Verify.verb})
"""Actions that wait while a start is in its backoff, or systemd gave up."""
TOUCHING = STARTING | {Reload.verb, StopUnit.verb}
"""Actions that units of foreign provenance block: a reload would load the foreign files."""


class BlockedError(UnitFailedError):
    """A unit has foreign files, or the home is gone: nothing is started or changed until that is resolved."""

    judged = True


class GaveUpError(UnitFailedError):
    """systemd gave up on a unit: it is not started until something about it changes, or a run is forced."""

    judged = True


@dataclass(frozen=True, slots=True)
class View:
    """Observes workloads: the facts, and which of them concern one."""

    facts: Facts
    memory: Callable[[], Records]
    paths_of: Callable[[int], Sequence[str]]

    @property
    def records(self) -> Records:
        """The current records (a load replaces them)."""
        return self.memory()

    def of(self, name: str, workload: Workload | None) -> Observed:
        """Observe one workload: its desired units and those it was last known to have."""
        account = self.facts.get(FactKey(PlatformFact.ACCOUNT, name))
        uid = getattr(account, "uid", None)
        units = dict.fromkeys(u.name for u in workload.units) if workload else {}
        units |= dict.fromkeys(self.records.units.get(name, {}))
        paths = self.paths_of(uid) if uid is not None else ()
        named = [each for unit in workload.units for each in unit.named] if workload else ()
        return observe(self.facts, name, units, paths, workload.volumes if workload else (), named)


def draft(
    name: str, workload: Workload | None, seen: Observed, records: Records, context: Context
) -> tuple[Action, ...]:
    """Plan a workload, or its removal if the repository no longer has it."""
    if workload is not None:
        return plan(workload, seen, records, context)
    record = records.workloads.get(name)
    return plan_removal(record, seen, records) if record is not None else ()


@dataclass(frozen=True, slots=True)
class Sight:
    """A workload, as observed for a decision."""

    workload: Workload | None
    """None: it left the repository."""
    observed: Observed
    gates: WorkloadGates = OPEN


UNSEEN_SIGHT = Sight(None, UNSEEN)


@dataclass(slots=True)
class Judge:
    """Applies the policies. The first verdict that is not Allow counts; otherwise the Allow that names an approval."""

    policies: Sequence[Policy]
    """In their order; a reload of the configuration replaces them."""
    records: Callable[[], Records]
    facts: Facts

    def reload(self, policies: Sequence[Policy]) -> None:
        """Ask these from now on."""
        self.policies = policies

    def __call__(self, action: Any, seen: Sight | None, run: int = 0) -> Verdict:
        """Return the verdict on an action; `run` 0: a query that spends nothing."""
        sight = seen or UNSEEN_SIGHT
        case = Case(action, sight.workload, sight.observed, self.records(), self.facts, sight.gates, run)
        allowed = Allow()
        for policy in self.policies:
            verdict = policy(case)
            if not isinstance(verdict, Allow):
                return verdict
            allowed = verdict if verdict.approval else allowed
        return allowed


def blocked(workload: Workload, seen: Observed, records: Records, context: Context) -> UnitFailedError | None:
    """Return why no action may be taken on a workload: its provenance, its home, or systemd gave up."""
    found = audit(workload, seen, context.layout, context.allow).findings
    if found:
        more = f" (and {len(found) - 1} more: eventctl audit {workload.name})" if len(found) > 1 else ""
        return BlockedError(
            f"{found[0].message}{more}", unit=found[0].unit, reason=found[0].code, hint=found[0].fix
        )
    if (
        seen.account is not None
        and homes.is_gone(seen.named)
        and (what := homes.lost(workload, seen.account, records))
    ):
        message, hint = homes.trouble(workload.name, seen.account, what)
        return BlockedError(message, unit="", reason=homes.MISSING, hint=hint)
    for unit in workload.units:
        state = seen.units.get(unit.name)
        if state is None:
            continue
        renewed = is_renewed(workload.name, unit, state, seen, records)
        if unit.role is not UnitRole.ON_DEMAND and gave_up(state) and not (context.forced or renewed):
            return GaveUpError(
                f"{unit.name} crashed until systemd's start limit and is not started again",
                unit=unit.name,
                reason="start-limit-hit",
                hint="push a fix, or `eventctl sync` to try once more",
            )
    return None


def left(
    actions: tuple[Action, ...], wait: frozenset[str], stop: UnitFailedError | None
) -> tuple[Action, ...]:
    """Return the actions that may be carried out now, up to the first that waits or that `stop` forbids."""
    match stop:
        case None:
            return until(actions, wait)
        case BlockedError():
            return until(actions, wait | TOUCHING)
        case _:
            return until(actions, wait | STARTING)


def until(actions: tuple[Action, ...], wait: frozenset[str]) -> tuple[Action, ...]:
    """Return the actions before the first whose verb has to wait: later ones depend on it."""
    for number, action in enumerate(actions):
        if action.verb in wait:
            return actions[:number]
    return actions
