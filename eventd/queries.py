"""Queries: what is asked of the engine. The API, metrics, status files, documents, doctor and the boot log ask here.

Owns no state, and changes none: each answer is read at the moment of the question, from the part that owns it. What is
done is `eventd.commands`; subscribe to `steps` and `passes` to be notified.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eventd.accounts.ports import Measured
from eventd.adoption.model_finds import Finds
from eventd.approvals.controller import Approvals
from eventd.approvals.model import Attempt, Request
from eventd.audit.controller_alarms import Alarms
from eventd.audit.model import Audit, Finding
from eventd.containers.model import ObservedContainer
from eventd.desired.controller_activation import Activation
from eventd.desired.controller_active import ActiveRevision
from eventd.desired.model import Desired, Workload
from eventd.gates.model import WorkloadGates
from eventd.health.controller_wellbeing import Crash, Wellbeing
from eventd.kernel.controller import RetryState, is_workload
from eventd.kernel.dispatch import Dispatcher
from eventd.kernel.listeners import Listeners
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.events import Event
from eventd.kernel.model.facts import Facts
from eventd.kernel.model.report import RunReport, WorkloadState, WorkloadStatus
from eventd.kernel.model.verdicts import Verdict
from eventd.kernel.progress import Progress
from eventd.kernel.queue import Queue
from eventd.kernel.runs import Counters, Runs
from eventd.kernel.status_store import Held, Statuses
from eventd.overrides.controller import Overrides
from eventd.overrides.model import Rollback, Suspension
from eventd.platform.model_facts import Account
from eventd.port_set import Host
from eventd.removal.model import Removal
from eventd.state.controller_inventory import Inventory
from eventd.state.controller_rebuild import Rebuild
from eventd.state.controller_recovery import Recovery
from eventd.status.controller_problems import Problems
from eventd.updates.controller import UpdateController
from eventd.updates.controller_images import VerifiedImages
from eventd.updates.model import UpdateResult, UsedImages
from eventd.updates.ports import Images
from eventd.workloads.controller_judging import Sight
from eventd.workloads.controller_planner import Planner
from eventd.workloads.model_context import Context
from eventd.workloads.model_observed import Observed
from eventd.workloads.model_records import Records, StateLoss, WorkloadRecord


@dataclass(slots=True, kw_only=True)
class Queries:
    """See the module. Answers are of now; mappings are live views, not to be changed."""

    facts: Facts
    """What is observed. Only sources and controllers write there."""
    problems: Problems
    """Problems of the host or of a whole run, not of one subject."""
    steps: Listeners[[Progress]]
    """Notified of each step of a run."""
    passes: Listeners[[]]
    """Told after each pass, and when a run begins or waits for the host's lock."""
    statuses: Statuses
    """The status of each subject that has been assessed since the daemon started."""
    now: Callable[[], float]
    """Seconds since the epoch."""
    containers: Callable[[Account], Sequence[ObservedContainer]]
    """The containers of an account, from memory."""
    _host: Host
    _dispatcher: Dispatcher
    _queue: Queue
    _runs: Runs
    _retries: RetryState
    _inventory: Inventory
    _active: ActiveRevision
    _activation: Activation
    _overrides: Overrides
    _planner: Planner
    _wellbeing: Wellbeing
    _alarms: Alarms
    _updates: UpdateController
    _images: VerifiedImages
    _approvals: Approvals
    _rebuild: Rebuild
    _recovery: Recovery

    # Events

    @property
    def sequence(self) -> int:
        """The number of the last event."""
        return self._dispatcher.sequence

    def events_since(self, sequence: int) -> list[Event]:
        """Return the kept events after a number."""
        return self._dispatcher.since(sequence)

    async def event_after(self, sequence: int) -> None:
        """Return as soon as there is an event after a number."""
        await self._dispatcher.more(sequence)

    # What is wanted

    @property
    def desired(self) -> Desired | None:
        """What the repository says, at the commit that is active; None before the first one."""
        return self._active.desired

    @property
    def commit(self) -> str:
        """That commit; empty before the first one."""
        return self._active.commit

    @property
    def load_error(self) -> EventdError | None:
        """Why the wanted commit is not active."""
        return self._activation.error

    @property
    def gates(self) -> Mapping[str, WorkloadGates]:
        """The gates of the repository's workloads."""
        return self._active.gates

    @property
    def circular(self) -> Mapping[str, Workload]:
        """Workloads that are refused because they wait for themselves."""
        return self._active.circular

    def workload(self, name: str) -> Workload | None:
        """Return what is to be made of a workload now: the repository's content, unless an override says otherwise."""
        return self._active.workload(name)

    def gates_of(self, name: str) -> WorkloadGates:
        """Return the gates of what is to be made of a workload now."""
        return self._active.gates_of(name)

    # Overrides

    def suspension(self, name: str) -> Suspension | None:
        """Return the suspension of a workload itself (empty: of the host)."""
        return self._overrides.suspensions.get(name)

    def suspension_of(self, name: str) -> Suspension | None:
        """Return what suspends a workload: its own suspension, or the host's."""
        return self._overrides.suspension_of(name)

    def rollback(self, name: str) -> Rollback | None:
        """Return the rollback that was asked for, also one that counts no more."""
        return self._overrides.rollbacks.get(name)

    def rollback_of(self, name: str) -> Rollback | None:
        """Return the rollback that is in force for a workload."""
        return self._overrides.rollback_of(name)

    @property
    def rollbacks(self) -> list[Rollback]:
        """Every rollback that is in force."""
        found = (self.rollback_of(name) for name in self._overrides.rollbacks)
        return [each for each in found if each is not None]

    # What is remembered

    @property
    def records(self) -> Records:
        """What eventd made, and remembers."""
        return self._inventory.records

    def record(self, name: str) -> WorkloadRecord | None:
        """Return what is remembered of a workload."""
        return self.records.workloads.get(name)

    @property
    def removals(self) -> Mapping[str, Removal]:
        """Workloads that left the repository, or whose data is to go when they do."""
        return self._inventory.removals.rows

    @property
    def recovery(self) -> Recovery:
        """What this start found open, and what was done with it."""
        return self._recovery

    @property
    def losses(self) -> Mapping[str, StateLoss]:
        """Every loss of the state file."""
        return self._rebuild.losses.rows

    @property
    def unacknowledged_losses(self) -> tuple[StateLoss, ...]:
        """Those that no operator has said to know of."""
        return self._rebuild.unacknowledged

    # Runs

    @property
    def current_run(self) -> RunReport | None:
        """The run that is on."""
        return self._runs.current

    @property
    def last_run(self) -> RunReport | None:
        """The run before."""
        return self._runs.last

    @property
    def applied_run(self) -> RunReport | None:
        """The last run that did anything, for the commit that is active."""
        return self._runs.applied

    async def runs(self, limit: int) -> Sequence[str]:
        """Return the reports of the latest runs as they were written, the latest first."""
        return await self._inventory.journal.runs(limit)

    @property
    def is_stopping(self) -> bool:
        """The daemon drains."""
        return self._runs.is_stopping

    @property
    def counters(self) -> Counters:
        """Totals of runs since the daemon started."""
        return self._runs.counters

    @property
    def coalesced(self) -> int:
        """Triggers that joined others that were waiting."""
        return self._queue.coalesced

    @property
    def lock_contended(self) -> int:
        """Waits for another process's run."""
        return self._host.lock.contended

    # Where subjects stand

    def names(self) -> set[str]:
        """Return every subject that has something to be said about."""
        found = set(self.statuses) | set(self.records.workloads)
        if self.desired is not None:
            found |= set(self.desired.workloads) | set(self.desired.refused)
        return found

    def workload_names(self) -> set[str]:
        """Return those of `names` that are workloads, without volumes and other subjects."""
        return {name for name in self.names() if is_workload(name)}

    def status(self, name: str) -> WorkloadStatus:
        """Return the status of a subject, even if it has not been assessed since the daemon started."""
        found = self.statuses.get(name)
        if found is not None:
            return found
        record = self.record(name)
        gone = record is not None and record.retained
        return WorkloadStatus(WorkloadState.REMOVED if gone else WorkloadState.PENDING)

    def hold_of(self, name: str) -> Held | None:
        """Return what holds a subject."""
        return self._retries.holds.get(name)

    def is_retried(self, name: str) -> bool:
        """Tell whether a timer will bring a retry."""
        return self._retries.failures.is_waiting(name)

    def attempts_of(self, name: str) -> int:
        """Return how often in a row it was tried and failed; a judgement that fails it is no attempt."""
        failure = self._retries.failures.get(name)
        return failure.attempts if failure is not None and not failure.report.judged else 0

    # Workloads in detail

    @property
    def context(self) -> Context:
        """The context of every plan."""
        return self._planner.context

    def observed(self, name: str, workload: Workload | None) -> Observed:
        """Return a workload as the facts have it now."""
        return self._planner.view.of(name, workload)

    def judge(self, action: Any, sight: Sight) -> Verdict:
        """Return what the policies say of an action, which is not done."""
        return self._planner.judge(action, sight)

    def audit(self, name: str) -> Audit:
        """Hold the units of a workload against what they must be."""
        return self._planner.audit(name)

    def alarms(self, name: str) -> tuple[Finding, ...]:
        """Return what the last look found wrong with the units of a workload."""
        return self._alarms.rows.get(name, ())

    def crash_count(self, name: str) -> int:
        """Return how often units of a workload ended by themselves since the daemon started."""
        return self._wellbeing.crashes.get(name, 0)

    def last_crash(self, name: str) -> Crash | None:
        """Return the last time that one did."""
        return self._wellbeing.last.get(name)

    # Images

    @property
    def images(self) -> Images:
        """The port that asks podman, and registries, for images and containers."""
        return self._host.images

    def used_images(self, name: str) -> UsedImages | None:
        """Return the images that verified revisions of a workload ran."""
        return self._images.used.get(name)

    @property
    def update_results(self) -> Mapping[str, UpdateResult]:
        """What the last update of each workload came to."""
        return self._updates.results.rows

    def is_updating(self, name: str) -> bool:
        """Tell whether an update was asked for that has not ended."""
        return name in self._updates.rows

    # Approvals

    @property
    def approvals(self) -> Collection[Request]:
        """Every request for a signature that is kept."""
        return self._approvals.requests.rows.values()

    def approval(self, text: str) -> Request:
        """Return the request with an id, or the beginning of one. Raises PermanentError(reason="no-such-approval")."""
        return self._approvals.find(text)

    @property
    def refused_signatures(self) -> list[Attempt]:
        """The signatures that were refused, the latest first."""
        return self._approvals.attempts.latest()

    # Accounts

    async def account(self, name: str) -> Account | None:
        """Return an account of this host from NSS, whoever made it."""
        return await self._host.accounts.lookup(name)

    async def found_in(self, account: Account, *, timeout: float) -> Finds:
        """Return what an account has of its own that runs containers. Raises PermanentError(reason="home-unknown")."""
        return await self._host.account_inspector.inspect(account, timeout=timeout)

    async def measured(self, account: Account, *, timeout: float) -> Measured:
        """Count what is in the home of an account, as far as that can be done in the time."""
        return await self._host.removal.measure(account, timeout=timeout)
