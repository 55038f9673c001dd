"""The planner of workloads returns one decision: what to do for a workload now, and what holds or blocks the rest.

It owns no state and starts nothing. It is called before a run (is there any work?), within one (what next?) and after
it (does the recorded failure still count?), and decides from facts, records and failures. Its one side effect: it
clears a failure whose cause is gone before anything was tried.

    active revision + facts + records -> Decision -> WorkloadController
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import anyio

from eventd.audit.model import Audit, audit
from eventd.desired.controller_active import ActiveRevision
from eventd.desired.model import UnitRole, Workload
from eventd.kernel.controller import Decision, is_denied
from eventd.kernel.failures import Failures
from eventd.kernel.model.action import Action
from eventd.kernel.model.facts import Facts
from eventd.kernel.model.verdicts import Hold, Verdict
from eventd.kernel.status_store import Failure
from eventd.platform.model_facts import ActiveState
from eventd.state.controller_inventory import Inventory
from eventd.workloads import controller_status as status
from eventd.workloads.controller_judging import (
    STARTING,
    BlockedError,
    Judge,
    Sight,
    View,
    blocked,
    draft,
    left,
)
from eventd.workloads.controller_transaction import UnitFailedError
from eventd.workloads.model_context import Context
from eventd.workloads.plan_file_problem import FileProblem, file_problem


@dataclass(slots=True)
class Planner:
    """See the module."""

    active: ActiveRevision
    view: View
    judge: Judge
    inventory: Inventory
    facts: Facts
    failures: Failures
    context: Context
    """The context of every plan."""

    def allow(self, paths: frozenset[str]) -> None:
        """Accept these foreign files from now on."""
        self.context = replace(self.context, allow=paths)

    # Decisions

    def decide(
        self, name: str, workload: Workload | None, context: Context, wait: frozenset[str]
    ) -> Decision:
        """Return the decision for a workload, up to the first of the verbs that `wait`."""
        seen = self.view.of(name, workload)
        stop = blocked(workload, seen, self.inventory.records, context) if workload is not None else None
        actions = left(draft(name, workload, seen, self.inventory.records, context), wait, stop)
        return Decision(actions, Sight(workload, seen, self.active.gates_of(name)), stop)

    def sight(self, name: str, workload: Workload | None) -> Sight:
        """Return a workload as it is observed now."""
        return Sight(workload, self.view.of(name, workload), self.active.gates_of(name))

    def actions(self, name: str, *, forced: bool) -> tuple[Action, ...]:
        """Return all planned actions of a workload, ignoring waits."""
        workload = self.active.workload(name)
        seen = self.view.of(name, workload)
        return draft(name, workload, seen, self.inventory.records, replace(self.context, forced=forced))

    def wait_verbs(self, name: str, workload: Workload | None) -> frozenset[str]:
        """Return the verbs that wait for a retry that is not due."""
        failure = self.failures.get(name)
        if failure is not None and failure.report.judged and not self._is_still(name, workload, failure):
            self.failures.clear(name)  # what blocked it is gone; nothing was tried, so there is no backoff
        digest = workload.digest if workload else ""
        failure = self.failures.get(name)
        if failure is None or self.failures.may_start(name, digest, anyio.current_time()):
            return frozenset()
        failed = failure.report.failing_verb
        if failure.attempts == 1 and failed in STARTING and status.down(workload, self.facts) is None:
            # It came up by itself: verify it; only once, since a crash loop comes up all the time.
            return frozenset()
        return STARTING | {failed}

    def blocked(
        self, name: str, workload: Workload | None, *, forced: bool = False
    ) -> UnitFailedError | None:
        """Return why no action may be taken on a workload now."""
        if workload is None:
            return None
        seen = self.view.of(name, workload)
        return blocked(workload, seen, self.inventory.records, replace(self.context, forced=forced))

    def _is_still(self, name: str, workload: Workload | None, failure: Failure) -> bool:
        """Return whether a judged failure is still judged the same."""
        block = self.blocked(name, workload)
        if block is not None and block.reason == failure.report.reason:
            return True
        actions = self.actions(name, forced=False)
        return bool(actions) and is_denied(self.verdict(name, workload, actions[0]), failure)

    def is_foreign(self, name: str, workload: Workload | None) -> bool:
        """Return whether the provenance of its units blocks a workload."""
        return isinstance(self.blocked(name, workload), BlockedError)

    def verdict(self, name: str, workload: Workload | None, action: Action) -> Verdict:
        """Return the policies' verdict on an action now."""
        return self.judge(action, self.sight(name, workload))

    def held(self, name: str, workload: Workload | None) -> Hold | None:
        """Return what holds the next action of a workload."""
        actions = self.actions(name, forced=False)
        verdict = self.verdict(name, workload, actions[0]) if actions else None
        return verdict if isinstance(verdict, Hold) else None

    # Observations

    def audit(self, name: str) -> Audit:
        """Audit the units of a workload, from memory."""
        workload = self.active.workload(name)
        if workload is None:
            return Audit()
        seen = self.view.of(name, workload)
        return audit(workload, seen, self.context.layout, self.context.allow)

    def file_problem(self, name: str, workload: Workload | None) -> FileProblem | None:
        """Return the problem with the host's files that a workload names."""
        if workload is None or not any(unit.named for unit in workload.units):
            return None
        return file_problem(workload, self.view.of(name, workload), self.inventory.records)

    def repairs(self, name: str, workload: Workload | None) -> bool:
        """Return whether this turn repairs a verified workload that went down by itself, successfully or not."""
        if workload is None or not self.is_verified(name, workload):
            return False
        if self.is_foreign(name, workload):
            return False
        seen = self.view.of(name, workload)
        if seen.lost or seen.stopped:
            return False  # it was stopped for its volume, and starts again because the volume is back
        running = {u.name for u in workload.units if u.role is UnitRole.RUNNING}
        return any(
            state.active is ActiveState.FAILED
            or (state.active is ActiveState.INACTIVE and not state.job and unit in running)
            for unit, state in seen.units.items()
        )

    def is_verified(self, name: str, workload: Workload) -> bool:
        """Return whether exactly this content was verified."""
        record = self.inventory.records.workloads.get(name)
        return record is not None and record.verified_digest == workload.digest
