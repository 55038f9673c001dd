"""Rollback: a change that does not become healthy is rolled back in the same run, if its workload says so.

The override is stored first. From then on the good revision is the active one, so the next plan continues with it after
a crash. Its earlier verification does not count; all of it is verified again. Units that eventd does not start by
itself (networks, units bound to another one) have to run again if they did before the change.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from eventd.desired.controller_activation import Activation
from eventd.desired.controller_load import Loaded
from eventd.desired.model import OnFailure, Workload
from eventd.kernel.controller import FINE, Part, Turn, TurnStage
from eventd.kernel.executor import Executor, Step
from eventd.kernel.index import Index
from eventd.kernel.model.errors import EventdError, PermanentError
from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.model.report import Outcome, WorkloadReport, WorkloadState, WorkloadStatus
from eventd.kernel.whole import wholly
from eventd.overrides.controller import Overrides, suspended
from eventd.overrides.model import Revision, Rollback, bound_units, identity, rolls_back
from eventd.platform.model_facts import PlatformFact
from eventd.platform.model_facts import unit as as_unit
from eventd.repository.ports import Repository
from eventd.updates.controller_images import VerifiedImages
from eventd.workloads import controller_status as workloads_controller_status
from eventd.workloads.controller import WorkloadController
from eventd.workloads.controller_transaction import Transaction
from eventd.workloads.controller_units import explain, on_host, restart_units

Load = Callable[[str], Awaitable[Loaded]]
NAME = "rollback"
log = logging.getLogger(__name__)


@dataclass(slots=True)
class RollbackController(Part):
    """See the module."""

    stage = TurnStage.GO_BACK
    overrides: Overrides
    activation: Activation
    workloads: WorkloadController
    executor: Executor
    facts: Facts
    repository: Repository
    images: VerifiedImages
    index: Index
    load_commit: Load
    """Reads a commit, without side effects."""

    def begin(self, turn: Turn) -> None:
        """Note which units run before the change, of those that eventd does not start by itself."""
        workload = self.activation.active.workload(turn.name)
        turn.before[NAME] = self._running(turn.name, workload)
        on_host(turn.tx).restore = self._restore(turn.name, workload)

    async def reconcile(self, turn: Turn, executor: Executor) -> None:  # noqa: ARG002
        """Roll back a change that failed."""
        name, active = turn.name, self.activation.active
        workload = active.workload(name)
        if workload is not None:
            record = self.workloads.inventory.records.workloads.get(name)
            verified = record.verified_digest if record is not None else ""
            if rolls_back(workload, turn.report, verified) and not suspended(name, self.facts):
                turn.report = await self.take_back(turn, workload, turn.report)
            # After a rollback, verification uses the gates of the revision that is now active.
            tx = on_host(turn.tx)
            tx.commit, tx.gates = active.commit_of(name), active.gates_of(name)

    async def settled(self, turn: Turn) -> None:
        """Store a verified revision, to roll back to."""
        await self.remember(turn.name, self.activation.active.workload(turn.name))

    async def take_back(self, turn: Turn, workload: Workload, report: WorkloadReport) -> WorkloadReport:
        """Roll back to the last other verified revision; return the same report if there is none."""
        name, tx = turn.name, on_host(turn.tx)
        try:
            order = self.overrides.make_automatic(workload, report)
            if order is None:
                return report  # its first deployment: there is no revision to roll back to
            before: frozenset[str] = turn.before[NAME]
            restore = before & bound_units(order.good.workload)
            await self.roll_back(replace(order, restore=tuple(sorted(restore))))
        except EventdError as error:
            log.error("%s cannot be rolled back: %s", name, error)  # noqa: TRY400 - reported with what failed
            return replace(report, message=f"{report.message}; it could not be rolled back: {error.message}")
        log.warning("%s: %s", name, order.sentence)
        again = replace(
            tx,
            commit=order.good.commit,
            gates=self.activation.active.gates_of(name),
            restore=restore,
            reloads=0,
            invocations={},
        )
        good = order.good.workload
        await self._restore_images(again, good)
        back = await self.workloads.converge(self.executor, again, good, forced=True, wait=frozenset())
        if back.outcome in FINE:
            others = await self._restore_images(again, good)
            if others:
                back = await self._restart(replace(again, invocations={}), good, others, back)
        return replace(back, actions=report.actions + back.actions, seconds=report.seconds + back.seconds)

    def amend(
        self, name: str, status: WorkloadStatus, row: WorkloadReport
    ) -> tuple[WorkloadStatus, WorkloadReport]:
        """Add to the status that the active revision is not the repository's."""
        order = self.overrides.rollback_of(name)
        if order is None or row.outcome is Outcome.REFUSED:
            return status, row
        status, row = workloads_controller_status.rolled_back(order, status, row)
        if status.state is WorkloadState.ROLLED_BACK:
            self.index.wake_on(name, self.overrides.wakes(name))
        return status, row

    async def order(self, name: str, to: str | None, by: str) -> Rollback:
        """Return the rollback that an operator requests: to a commit, or to the last verified revision before this one.

        Raises PermanentError(reason="no-such-commit" | "nothing-to-go-back-to" | "not-at-commit" | ...).
        """
        good = self.overrides.before(name) if to is None else await self._revision_at(name, to)
        if good is None:
            raise PermanentError(
                f"no other revision of {name} has been verified on this host",
                reason="nothing-to-go-back-to",
                hint=f"eventctl rollback {name} --to COMMIT",
            )
        order = self.overrides.make(name, good, by)
        if order is None:
            raise PermanentError(
                f"the repository does not have {name}, or refuses it",
                reason="not-in-the-repository",
                hint=f"eventctl why {name}",
            )
        return order

    async def _revision_at(self, name: str, text: str) -> Revision:
        """Return a workload as it was at a commit of the branch, under this host's current rules."""
        commit = await self.repository.resolve(text)
        desired = (await self.load_commit(commit)).desired
        workload = desired.workloads.get(name)
        if workload is None:
            wrong = desired.refused.get(name)
            raise PermanentError(
                f"{name} has errors at {commit[:12]}: {wrong[0]}"
                if wrong
                else f"{commit[:12]} has no {name}",
                reason="not-at-commit",
                hint=f"git log -- workloads/{name} names the commits that changed it",
            )
        wanted = self.overrides.desired.workloads.get(name) if self.overrides.desired else None
        if wanted is not None and identity(wanted) == identity(workload):
            raise PermanentError(
                f"{name} at {commit[:12]} is what the repository has now",
                reason="nothing-to-go-back-to",
                hint=f"eventctl resume {name} ends a rollback",
            )
        return Revision(workload, workload.digest, commit)

    async def _restore_images(self, tx: Transaction, workload: Workload) -> tuple[str, ...]:
        """Move image tags back; if that fails, the verification shows the effect."""
        try:
            return await self.images.restore(tx, workload)
        except EventdError as error:
            log.warning("%s: the verified images cannot be restored: %s", workload.name, error)
            return ()

    async def _restart(
        self, tx: Transaction, workload: Workload, units: tuple[str, ...], back: WorkloadReport
    ) -> WorkloadReport:
        """Restart units that the change did not touch but that run an image from it."""

        async def work(step: Step) -> None:
            await restart_units(
                step, self.workloads.planner, workload, units, "it runs an image from the change"
            )

        done = await self.executor.carry_out(tx, work, explain(tx))
        return replace(done, actions=back.actions + done.actions, seconds=back.seconds + done.seconds)

    @wholly
    async def roll_back(self, order: Rollback) -> None:
        """Make another revision active; from here on nothing of the workload counts as verified."""
        inventory = self.workloads.inventory
        record = inventory.records.workloads.get(order.workload)
        if record is not None and record.verified_digest:
            await inventory.change(order.workload, verified_digest="")
        await self.activation.roll_back(order)

    async def remember(self, name: str, workload: Workload | None) -> None:
        """Store a verified revision, to roll back to; drop those of a workload that left."""
        record = self.workloads.inventory.records.workloads.get(name)
        try:
            if workload is not None:
                await self.overrides.verified(workload, record)
            elif record is not None and record.retained:
                await self.overrides.forget(name)
        except EventdError as error:
            # The next load tries it again.
            log.error("cannot store the verified revision of %s yet: %s", name, error)  # noqa: TRY400

    def _running(self, name: str, workload: Workload | None) -> frozenset[str]:
        """Return the units that run now, of a workload whose change may have to be rolled back."""
        if workload is None or workload.options.on_failure is not OnFailure.ROLLBACK:
            return frozenset()
        known = self.overrides.revisions.get(name)
        if known is None or self.workloads.planner.is_verified(name, workload):
            return frozenset()
        units = {unit.name for row in known.rows for unit in row.workload.units}
        states = {unit: as_unit(self.facts.get(FactKey(PlatformFact.UNIT, unit, name))) for unit in units}
        return frozenset(unit for unit, state in states.items() if state is not None and state.up)

    def _restore(self, name: str, workload: Workload | None) -> frozenset[str]:
        """Return the units that an interrupted rollback still has to start."""
        order = self.overrides.rollback_of(name)
        if order is None or workload is None or self.workloads.planner.is_verified(name, workload):
            return frozenset()
        return frozenset(order.restore)
