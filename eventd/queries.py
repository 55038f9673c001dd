"""Queries: the read side of the engine, for the API, metrics, status files, documents, doctor and the boot log.

Owns no state and changes none: each answer is read from the part that owns it. `eventd.commands` is the write side.
Subscribe to `steps` and `passes` to be notified of changes.
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
    """See the module. Mappings are live views, read-only."""

    facts: Facts
    """The observed facts. Only sources and controllers write them."""
    problems: Problems
    """Problems of the host or of a whole run, not of one subject."""
    steps: Listeners[[Progress]]
    """Notified of each step of a run."""
    passes: Listeners[[]]
    """Notified after each pass, and when a run begins or waits for the host's lock."""
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
        """Return the kept events after a sequence number."""
        return self._dispatcher.since(sequence)

    async def event_after(self, sequence: int) -> None:
        """Wait until there is an event after a sequence number."""
        await self._dispatcher.more(sequence)

    # What is wanted

    @property
    def desired(self) -> Desired | None:
        """The desired state at the active commit; None before the first one."""
        return self._active.desired

    @property
    def commit(self) -> str:
        """The active commit; empty before the first one."""
        return self._active.commit

    @property
    def load_error(self) -> EventdError | None:
        """Why the wanted commit could not be activated."""
        return self._activation.error

    @property
    def gates(self) -> Mapping[str, WorkloadGates]:
        """The gates of the repository's workloads."""
        return self._active.gates

    @property
    def circular(self) -> Mapping[str, Workload]:
        """Workloads that are refused because their waits are circular."""
        return self._active.circular

    def workload(self, name: str) -> Workload | None:
        """Return the desired state of a workload: the repository's, unless an override applies."""
        return self._active.workload(name)

    def gates_of(self, name: str) -> WorkloadGates:
        """Return the gates of a workload's desired state, with overrides."""
        return self._active.gates_of(name)

    # Overrides

    def suspension(self, name: str) -> Suspension | None:
        """Return the suspension of the workload itself (empty name: of the host)."""
        return self._overrides.suspensions.get(name)

    def suspension_of(self, name: str) -> Suspension | None:
        """Return the suspension that applies to a workload: its own, or the host's."""
        return self._overrides.suspension_of(name)

    def rollback(self, name: str) -> Rollback | None:
        """Return the last requested rollback, even if it does not apply any more."""
        return self._overrides.rollbacks.get(name)

    def rollback_of(self, name: str) -> Rollback | None:
        """Return the rollback that applies to a workload."""
        return self._overrides.rollback_of(name)

    @property
    def rollbacks(self) -> list[Rollback]:
        """All rollbacks that apply."""
        found = (self.rollback_of(name) for name in self._overrides.rollbacks)
        return [each for each in found if each is not None]

    # Records

    @property
    def records(self) -> Records:
        """The records of what eventd made."""
        return self._inventory.records

    def record(self, name: str) -> WorkloadRecord | None:
        """Return the record of a workload."""
        return self.records.workloads.get(name)

    @property
    def removals(self) -> Mapping[str, Removal]:
        """Workloads that left the repository, or whose data is deleted when they do."""
        return self._inventory.removals.rows

    @property
    def recovery(self) -> Recovery:
        """The open steps that this start found, and how they were settled."""
        return self._recovery

    @property
    def losses(self) -> Mapping[str, StateLoss]:
        """All losses of the state file."""
        return self._rebuild.losses.rows

    @property
    def unacknowledged_losses(self) -> tuple[StateLoss, ...]:
        """The losses that no operator has acknowledged."""
        return self._rebuild.unacknowledged

    # Runs

    @property
    def current_run(self) -> RunReport | None:
        """The run that is on."""
        return self._runs.current

    @property
    def last_run(self) -> RunReport | None:
        """The last run that ended."""
        return self._runs.last

    @property
    def applied_run(self) -> RunReport | None:
        """The last run that changed anything, at the active commit."""
        return self._runs.applied

    async def runs(self, limit: int) -> Sequence[str]:
        """Return the stored reports of the latest runs, newest first."""
        return await self._inventory.journal.runs(limit)

    @property
    def is_stopping(self) -> bool:
        """Whether the daemon drains."""
        return self._runs.is_stopping

    @property
    def counters(self) -> Counters:
        """Totals of runs since the daemon started."""
        return self._runs.counters

    @property
    def coalesced(self) -> int:
        """Triggers that were merged with waiting ones."""
        return self._queue.coalesced

    @property
    def lock_contended(self) -> int:
        """Waits for another process's run."""
        return self._host.lock.contended

    # The status of subjects

    def names(self) -> set[str]:
        """Return all subjects that have a status."""
        found = set(self.statuses) | set(self.records.workloads)
        if self.desired is not None:
            found |= set(self.desired.workloads) | set(self.desired.refused)
        return found

    def workload_names(self) -> set[str]:
        """Return the workloads among `names`, without volumes and other subjects."""
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
        """Return the hold of a subject."""
        return self._retries.holds.get(name)

    def is_retried(self, name: str) -> bool:
        """Return whether a timer will retry the subject."""
        return self._retries.failures.is_waiting(name)

    def attempts_of(self, name: str) -> int:
        """Return how many attempts failed in a row. A denial by a policy is no attempt."""
        failure = self._retries.failures.get(name)
        return failure.attempts if failure is not None and not failure.report.judged else 0

    # Workloads in detail

    @property
    def context(self) -> Context:
        """The context of every plan."""
        return self._planner.context

    def observed(self, name: str, workload: Workload | None) -> Observed:
        """Return the observed state of a workload."""
        return self._planner.view.of(name, workload)

    def judge(self, action: Any, sight: Sight) -> Verdict:
        """Return the verdict of the policies on an action, without carrying it out."""
        return self._planner.judge(action, sight)

    def audit(self, name: str) -> Audit:
        """Compare the units of a workload with what they must be."""
        return self._planner.audit(name)

    def alarms(self, name: str) -> tuple[Finding, ...]:
        """Return the findings of the last audit of a workload's units."""
        return self._alarms.rows.get(name, ())

    def crash_count(self, name: str) -> int:
        """Return how often units of a workload ended by themselves since the daemon started."""
        return self._wellbeing.crashes.get(name, 0)

    def last_crash(self, name: str) -> Crash | None:
        """Return the last crash of a workload's unit."""
        return self._wellbeing.last.get(name)

    # Images

    @property
    def images(self) -> Images:
        """The port to podman and registries, for images and containers."""
        return self._host.images

    def used_images(self, name: str) -> UsedImages | None:
        """Return the images that the verified revisions of a workload used."""
        return self._images.used.get(name)

    @property
    def update_results(self) -> Mapping[str, UpdateResult]:
        """The result of the last update of each workload."""
        return self._updates.results.rows

    def is_updating(self, name: str) -> bool:
        """Return whether a requested update has not ended yet."""
        return name in self._updates.rows

    # Approvals

    @property
    def approvals(self) -> Collection[Request]:
        """All requests for signatures that are kept."""
        return self._approvals.requests.rows.values()

    def approval(self, text: str) -> Request:
        """Return the request with this id or prefix of an id. Raises PermanentError(reason="no-such-approval")."""
        return self._approvals.find(text)

    @property
    def refused_signatures(self) -> list[Attempt]:
        """The refused signatures, newest first."""
        return self._approvals.attempts.latest()

    # Accounts

    async def account(self, name: str) -> Account | None:
        """Return any account of this host, from NSS."""
        return await self._host.accounts.lookup(name)

    async def found_in(self, account: Account, *, timeout: float) -> Finds:
        """Return what an account itself has that runs containers. Raises PermanentError(reason="home-unknown")."""
        return await self._host.account_inspector.inspect(account, timeout=timeout)

    async def measured(self, account: Account, *, timeout: float) -> Measured:
        """Measure the home of an account, as far as that is possible within `timeout` seconds."""
        return await self._host.removal.measure(account, timeout=timeout)
