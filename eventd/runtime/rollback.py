"""Going back: a change that does not become healthy is taken back in the same run, if its workload says so.

The order is written first. From then on the effective workload is the good revision, so that after a crash the next
plan goes on with it; that its content was verified once does not count, all of it is verified again. What eventd does
not start by itself (networks, what is bound to another unit) has to run again, too, if it did before the change.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from eventd.core.desired import OnFailure, Workload
from eventd.core.errors import EventdError, PermanentError
from eventd.core.facts import FactKey, Facts
from eventd.core.gates import WorkloadGates
from eventd.core.orders import Revision, Rollback, bound_units, identity, rolls_back
from eventd.core.ports import Repository
from eventd.core.report import Outcome, WorkloadReport
from eventd.platform.model_facts import PlatformFact
from eventd.platform.model_facts import unit as as_unit
from eventd.runtime.converge import Converger
from eventd.runtime.ledger import Ledger
from eventd.runtime.load import Loaded
from eventd.runtime.orders import Orders, suspended
from eventd.runtime.restarting import Step, restart_units
from eventd.runtime.transaction import Transaction
from eventd.runtime.whole import wholly

Load = Callable[[str], Awaitable[Loaded]]
log = logging.getLogger(__name__)


@dataclass(slots=True)
class GoingBack:
    """See the module."""

    orders: Orders
    ledger: Ledger
    converger: Converger
    facts: Facts
    in_force: Callable[[Rollback], Awaitable[None]]
    """Writes the order, and has everything look at the workload afresh."""
    gates_of: Callable[[str], WorkloadGates]
    repository: Callable[[], Repository]
    images: Callable[[Transaction, Workload], Awaitable[tuple[str, ...]]]
    """Lets a content's references name the images again that it was verified with; returns who runs others."""
    read: Load | None = None
    """Reads a commit, and does nothing else."""

    async def after(
        self, tx: Transaction, workload: Workload, report: WorkloadReport, before: frozenset[str]
    ) -> WorkloadReport:
        """Return the report of an attempt, or, if that was a change to be taken back, of the way back.

        `before`: what ran before the change, of what eventd does not start by itself.
        """
        name, record = tx.workload, self.ledger.records.workloads.get(tx.workload)
        verified = record.verified_digest if record is not None else ""
        if not rolls_back(workload, report, verified) or suspended(name, self.facts):
            return report
        return await self.take_back(tx, workload, report, before)

    async def take_back(
        self, tx: Transaction, workload: Workload, report: WorkloadReport, before: frozenset[str]
    ) -> WorkloadReport:
        """Go back to the last other revision that was verified; return the same report where there is none."""
        name = tx.workload
        try:
            order = self.orders.make_automatic(workload, report)
            if order is None:
                return report  # its first deployment: there is nothing to go back to
            restore = before & bound_units(order.good.workload)
            await self.begin(replace(order, restore=tuple(sorted(restore))))
        except EventdError as error:
            log.error("%s cannot be rolled back: %s", name, error)  # noqa: TRY400 - reported with what failed
            return replace(report, message=f"{report.message}; it could not be rolled back: {error.message}")
        log.warning("%s: %s", name, order.sentence)
        again = replace(
            tx,
            commit=order.good.commit,
            gates=self.gates_of(name),
            restore=restore,
            reloads=0,
            invocations={},
        )
        await self._images(again, order.good.workload)
        back = await self.converger.converge(again, order.good.workload, asked=True, wait=frozenset())
        if back.outcome in (Outcome.OK, Outcome.UNCHANGED):
            others = await self._images(again, order.good.workload)
            if others:
                back = await self._restart(replace(again, invocations={}), order.good.workload, others, back)
        return replace(back, actions=report.actions + back.actions, seconds=report.seconds + back.seconds)

    async def order(self, name: str, to: str | None, by: str) -> Rollback:
        """Return what an operator asks for: back to a commit, or to the last verified content before this one.

        Raises PermanentError(reason="no-such-commit" | "nothing-to-go-back-to" | "not-at-commit" | ...).
        """
        good = self.orders.before(name) if to is None else await self._revision_at(name, to)
        if good is None:
            raise PermanentError(
                f"no other revision of {name} has been verified on this host",
                reason="nothing-to-go-back-to",
                hint=f"eventctl rollback {name} --to COMMIT",
            )
        order = self.orders.make(name, good, by)
        if order is None:
            raise PermanentError(
                f"the repository does not have {name}, or refuses it",
                reason="not-in-the-repository",
                hint=f"eventctl why {name}",
            )
        return order

    async def _revision_at(self, name: str, text: str) -> Revision:
        """Return a workload as it was at a commit of the branch's history, with today's rules of this host."""
        commit = await self.repository().resolve(text)
        assert self.read is not None
        desired = (await self.read(commit)).desired
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
        wanted = self.orders.desired.workloads.get(name) if self.orders.desired else None
        if wanted is not None and identity(wanted) == identity(workload):
            raise PermanentError(
                f"{name} at {commit[:12]} is what the repository has now",
                reason="nothing-to-go-back-to",
                hint=f"eventctl resume {name} ends a rollback",
            )
        return Revision(workload, workload.digest, commit)

    async def _images(self, tx: Transaction, workload: Workload) -> tuple[str, ...]:
        """Move tags back; where that cannot be done, what comes of it is seen by the verification."""
        try:
            return await self.images(tx, workload)
        except EventdError as error:
            log.warning("%s: images are not as they were verified: %s", workload.name, error)
            return ()

    async def _restart(
        self, tx: Transaction, workload: Workload, units: tuple[str, ...], back: WorkloadReport
    ) -> WorkloadReport:
        """Restart units that the change had left alone, but that run an image that came with it."""

        async def work(step: Step) -> None:
            await restart_units(
                step, self.converger, workload, units, "it runs an image that came with the change"
            )

        done = await self.converger.carry_out(tx, workload, work)
        return replace(done, actions=back.actions + done.actions, seconds=back.seconds + done.seconds)

    @wholly
    async def begin(self, order: Rollback) -> None:
        """Put an order in force: nothing of the workload counts as verified from here on."""
        record = self.ledger.records.workloads.get(order.workload)
        if record is not None and record.verified_digest:
            await self.ledger.change(order.workload, verified_digest="")
        await self.in_force(order)

    async def remember(self, name: str, workload: Workload | None) -> None:
        """Remember a content that was verified, to go back to; forget those of a workload that left."""
        record = self.ledger.records.workloads.get(name)
        try:
            if workload is not None:
                await self.orders.verified(workload, record)
            elif record is not None and record.retained:
                await self.orders.forget(name)
        except EventdError as error:
            # The next load looks at it again.
            log.error("the revision of %s is not remembered: %s", name, error)  # noqa: TRY400

    def running(self, name: str, workload: Workload | None) -> frozenset[str]:
        """Return the units that run now, of a workload with a change that may have to be taken back."""
        if workload is None or workload.options.on_failure is not OnFailure.ROLLBACK:
            return frozenset()
        known = self.orders.revisions.get(name)
        if known is None or self._is_verified(workload):
            return frozenset()
        units = {unit.name for row in known.rows for unit in row.workload.units}
        states = {unit: as_unit(self.facts.get(FactKey(PlatformFact.UNIT, unit, name))) for unit in units}
        return frozenset(unit for unit, state in states.items() if state is not None and state.up)

    def restore(self, name: str, workload: Workload | None) -> frozenset[str]:
        """Return the units that a rollback, which was cut off, still has to bring back."""
        order = self.orders.rollback_of(name)
        if order is None or workload is None or self._is_verified(workload):
            return frozenset()
        return frozenset(order.restore)

    def _is_verified(self, workload: Workload) -> bool:
        record = self.ledger.records.workloads.get(workload.name)
        return record is not None and record.verified_digest == workload.digest
