"""The outlook: what is left to do for one subject now, what of it may be done, and what keeps the rest.

Owns no memory and starts nothing: it is asked before a run (is there any work?), within one (what has to wait?) and
after it (does the failure on record still count?), and answers from facts, records, and what has failed or is held.
The one thing that it changes: a failure whose cause is gone, with nothing tried for it, is forgotten.

    in force + facts + records -> draft, verdict -> Turns (does it), Standings (says it)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import anyio

from eventd.core.actions import PullImages, RestartUnit
from eventd.core.desired import OnUnhealthy, UnitRole, Workload
from eventd.core.facts import Facts
from eventd.core.gates import OPEN
from eventd.core.plan import FileTrouble, file_trouble
from eventd.core.provenance import Audit, audit
from eventd.core.report import Standing
from eventd.core.verdicts import Allow, Case, Deny, Hold, Verdict
from eventd.core.wellness import Illness, illness
from eventd.kernel.action import Action
from eventd.platform.model_facts import ActiveState
from eventd.runtime import standing
from eventd.runtime.converge import Converger
from eventd.runtime.failures import Failure, Failures
from eventd.runtime.holds import Holds
from eventd.runtime.in_force import InForce
from eventd.runtime.judging import STARTING, UNSEEN, BlockedError, blocked, draft, judge, left
from eventd.runtime.keeper import Keeper, keeper_of
from eventd.runtime.ledger import Ledger
from eventd.runtime.queue import Batch
from eventd.runtime.transaction import UnitFailedError
from eventd.runtime.update import Updates


@dataclass(slots=True)
class Outlook:
    """See the module."""

    in_force: InForce
    converger: Converger
    ledger: Ledger
    facts: Facts
    failures: Failures
    holds: Holds
    updates: Updates
    standings: Mapping[str, Standing]
    """What was said last: a block that is known is no news."""

    def has_work(self, name: str, batch: Batch) -> bool:
        """Tell whether a run over `batch` can do something for a subject, or has something new to say of it."""
        keeper = keeper_of(self.in_force.keepers, name)
        if keeper is not None:
            return self._has_kept_work(name, keeper, batch)
        if self.in_force.desired is None or name in self.in_force.desired.refused:
            return False
        workload = self.in_force.workload(name)
        if workload is not None and name in batch.restarts:
            return True
        asked = batch.asks(name)
        block = self.blocked(name, workload, asked=asked)
        actions = left(self.actions(name, asked=asked), self.wait_verbs(name, workload), block)
        if actions:
            hold = self._verdict(name, workload, actions[0])
            digest, now = workload.digest if workload else "", anyio.current_time()
            return not (
                isinstance(hold, Hold) and self.holds.same(name, digest, hold.waits_for, now, workload)
            )
        if workload is not None and name in self.updates.rows and block is None:
            return self._may_update(name, workload)
        if workload is not None and block is None and self.treatable(name, workload) is not None:
            return True
        before = self.standings.get(name)
        return block is not None and (
            before is None or (before.reason, before.message) != (block.reason, block.message)
        )

    def _may_update(self, name: str, workload: Workload) -> bool:
        """Tell whether an update that is asked for, or was cut off, can go on."""
        now = anyio.current_time()
        if not self.failures.may_start(name, workload.digest, now):
            return False
        hold = self._verdict(name, workload, PullImages(name, (), 0.0, ""))
        return not (
            isinstance(hold, Hold) and self.holds.same(name, workload.digest, hold.waits_for, now, workload)
        )

    def treatable(self, name: str, workload: Workload) -> Illness | None:
        """Return what `[health] on_unhealthy` has something done about now: verified, up, ill, and not in a pause."""
        if workload.options.on_unhealthy is OnUnhealthy.REPORT or not self._is_verified(name, workload):
            return None
        found = illness(workload, self.in_force.gates_of(name).healthy, self.facts)
        if found is None or found.starting or not found.units or standing.down(workload, self.facts):
            return None
        if not self.failures.may_start(name, workload.digest, anyio.current_time()):
            return None
        action = RestartUnit(name, found.units[0], workload.digest, found.message, workload.options.deadline)
        return found if isinstance(self._verdict(name, workload, action), Allow) else None

    def _has_kept_work(self, name: str, keeper: Keeper, batch: Batch) -> bool:
        actions = keeper.plan(name, asked=batch.asks(name))
        if not actions:
            return False
        case = Case(actions[0], None, UNSEEN, self.ledger.records, self.facts, OPEN)
        hold = judge(case, self.converger.policies)
        failure = self.failures.rows.get(name)
        if failure is not None and failure.report.judged and not _is_denied(hold, failure):
            self.failures.clear(name)
        if not self.failures.may_start(name, keeper.digest(name), anyio.current_time()):
            return False
        now, digest = anyio.current_time(), keeper.digest(name)
        return not (isinstance(hold, Hold) and self.holds.same(name, digest, hold.waits_for, now, None))

    def actions(self, name: str, *, asked: bool) -> tuple[Action, ...]:
        """Return what would be done for a workload, if nothing had to wait."""
        workload = self.in_force.workload(name)
        seen = self.converger.view.of(name, workload)
        return draft(name, workload, seen, self.ledger.records, replace(self.converger.context, asked=asked))

    def wait_verbs(self, name: str, workload: Workload | None) -> frozenset[str]:
        """Return which actions wait for a retry that is not due."""
        failure = self.failures.rows.get(name)
        if failure is not None and failure.report.judged and not self._is_still(name, workload, failure):
            self.failures.clear(name)  # what forbade it is gone; nothing was tried, so nothing has to wait
        digest = workload.digest if workload else ""
        if self.failures.may_start(name, digest, anyio.current_time()):
            return frozenset()
        failure = self.failures.rows[name]
        failed = failure.report.failing_verb
        if failure.attempts == 1 and failed in STARTING and standing.down(workload, self.facts) is None:
            # It came up by itself: see whether it holds; once, as a crash loop does that all the time.
            return frozenset()
        return STARTING | {failed}

    def blocked(self, name: str, workload: Workload | None, *, asked: bool = False) -> UnitFailedError | None:
        """Return why a workload must not be converged by any action now; `asked`: in a run that somebody asked for."""
        if workload is None:
            return None
        seen = self.converger.view.of(name, workload)
        return blocked(workload, seen, self.ledger.records, replace(self.converger.context, asked=asked))

    def _is_still(self, name: str, workload: Workload | None, failure: Failure) -> bool:
        """Tell whether what was judged is still judged so."""
        block = self.blocked(name, workload)
        if block is not None and block.reason == failure.report.reason:
            return True
        actions = self.actions(name, asked=False)
        return bool(actions) and _is_denied(self._verdict(name, workload, actions[0]), failure)

    def _is_foreign(self, name: str, workload: Workload | None) -> bool:
        """Tell whether the provenance of its units blocks a workload."""
        return isinstance(self.blocked(name, workload), BlockedError)

    def _verdict(self, name: str, workload: Workload | None, action: Action) -> Verdict:
        seen = self.converger.view.of(name, workload)
        facts, gates = self.facts, self.in_force.gates_of(name)
        case = Case(action, workload, seen, self.ledger.records, facts, gates)
        return judge(case, self.converger.policies)

    def held(self, name: str, workload: Workload | None) -> Hold | None:
        """Return what holds the next action of a workload."""
        actions = self.actions(name, asked=False)
        verdict = self._verdict(name, workload, actions[0]) if actions else None
        return verdict if isinstance(verdict, Hold) else None

    def audit(self, name: str) -> Audit:
        """Hold the units of a workload against what they must be, from memory."""
        workload = self.in_force.workload(name)
        if workload is None:
            return Audit()
        seen = self.converger.view.of(name, workload)
        return audit(workload, seen, self.converger.context.layout, self.converger.context.allow)

    def file_trouble(self, name: str, workload: Workload | None) -> FileTrouble | None:
        """Return what is wrong with the host's files that a workload names."""
        if workload is None or not any(unit.named for unit in workload.units):
            return None
        seen = self.converger.view.of(name, workload)
        return file_trouble(workload, seen, self.ledger.records)

    def repairs(self, name: str, workload: Workload | None) -> bool:
        """Tell whether this run starts again what was verified and went down by itself, well or not."""
        if workload is None or not self._is_verified(name, workload):
            return False
        if self._is_foreign(name, workload):
            return False
        seen = self.converger.view.of(name, workload)
        if seen.lost or seen.stopped:
            return False  # it was stopped for its volume, and is started again because that is back
        running = {u.name for u in workload.units if u.role is UnitRole.RUNNING}
        return any(
            state.active is ActiveState.FAILED
            or (state.active is ActiveState.INACTIVE and not state.job and unit in running)
            for unit, state in seen.units.items()
        )

    def _is_verified(self, name: str, workload: Workload) -> bool:
        record = self.ledger.records.workloads.get(name)
        return record is not None and record.verified_digest == workload.digest


def _is_denied(verdict: Verdict, failure: Failure) -> bool:
    """Tell whether a policy still says what made this failure."""
    return isinstance(verdict, Deny) and verdict.reason == failure.report.reason
