"""Recovery: settles the steps that the previous daemon process left open, before the first run, and reports it.

The action tables say how each kind of step is settled. Recovery observes the host for that, writes the records, and
closes the steps. It works in two parts, because a unit can only be observed once its user's manager is connected.
Settling a step twice is harmless, so after a crash in here the next start simply does it again.

A step that cannot be settled (the database is not writable, an account cannot be looked up) stays open, and is retried
before each run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from eventd.kernel.model.action_table import ActionTable
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.events import Emit, KernelEvent, KernelOrigin
from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.model.journal import NOTHING, Observation, OpenStep, Settlement
from eventd.platform.model_facts import PlatformFact
from eventd.platform.model_facts import unit as as_unit
from eventd.port_set import Host
from eventd.state.controller_inventory import Inventory
from eventd.workloads.model_recovery import (
    OwnAccount,
    SetFile,
    SetLingering,
    SetUnit,
    WorkloadObservation,
    World,
)

log = logging.getLogger(__name__)
COMPLETE_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Settled:
    """A step that was found open, and how it was settled."""

    step: OpenStep
    ended: str
    note: str


@dataclass(slots=True)
class Recovery:
    """The recovery of one start of the daemon."""

    host: Host
    inventory: Inventory
    facts: Facts
    emit: Emit
    actions: ActionTable
    pending: list[OpenStep] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)
    """The steps settled since the start, for the status."""
    runs: list[int] = field(default_factory=list)
    """Runs that were found open."""
    found: int = 0
    """Steps that were found open."""
    _closed: bool = False

    async def begin(self) -> None:
        """Read the open steps, and settle all but those of units. Raises what reading raises."""
        self.pending = list(await self.inventory.journal.open_steps())
        self.found = len(self.pending)
        for step in self.pending:
            log.warning(
                "run %d was interrupted in the step %s %s of %s",
                step.run,
                step.verb,
                step.target,
                step.workload,
            )
        await self._settle(lambda observation: observation is not WorkloadObservation.UNIT)

    def units_of(self, workload: str) -> frozenset[str]:
        """Return the units of a workload that must be observed."""
        return frozenset(
            step.known().get("unit", step.target)
            for step in self.pending
            if step.workload == workload and self.actions.observation(step) is WorkloadObservation.UNIT
        )

    async def finish(self) -> None:
        """Settle the remaining steps, and close the interrupted runs. What fails is retried before the next run."""
        await self._settle(lambda _observation: True)
        if self._closed:
            return
        try:
            self.runs += await self.inventory.journal.close_runs()
        except EventdError as error:
            log.error("cannot close the interrupted runs yet: %s", error)  # noqa: TRY400 - reported, not a bug
        else:
            self._closed = True

    async def settle_failed(self, step: OpenStep) -> bool:
        """Make the records agree with what a failed step left behind. Return False if that fails: the step stays open.

        A failed write may have taken effect, and an action that took effect may not have been recorded. A failed start
        needs nothing here: the next plan reads the unit's own state.
        """
        if self.actions.observation(step) in (NOTHING, WorkloadObservation.UNIT):
            return True
        try:
            found = self.actions.settle(step, await self._observe(step), self.inventory.records)
            await self._carry_out(step, found)
        except EventdError as error:
            log.error("%s %s failed and cannot be settled yet: %s", step.verb, step.target, error)  # noqa: TRY400
            self.pending.append(step)
            return False
        log.info("%s %s failed: %s", step.verb, step.target, found.note)
        return True

    @property
    def done(self) -> bool:
        """Nothing is left to settle."""
        return self._closed and not self.pending

    async def _settle(self, now: Callable[[Observation], bool]) -> None:
        for step in tuple(self.pending):
            if not now(self.actions.observation(step)):
                continue
            try:
                found = self.actions.settle(step, await self._observe(step), self.inventory.records)
                await self._carry_out(step, found)
                await self.inventory.journal.end_step(step.id, found.ended.value, found.note)
            except EventdError as error:
                # The workload's own run hits the same error and reports it. The other workloads must not wait.
                log.error("%s %s cannot be settled yet: %s", step.verb, step.target, error)  # noqa: TRY400
                continue
            self.pending.remove(step)
            self._report(step, found)

    def _report(self, step: OpenStep, found: Settlement) -> None:
        self.settled.append(Settled(step, found.ended.value, found.note))
        log.warning(
            "%s %s of run %d: %s: %s",
            step.verb,
            step.target,
            step.run,
            found.ended,
            found.note,
            extra={"workload": step.workload, "run": step.run, "verb": step.verb, "ended": found.ended.value},
        )
        self.emit(
            KernelOrigin.DAEMON,
            KernelEvent.RECOVERED,
            step.workload,
            scope=step.workload,
            attributes={
                "run": step.run,
                "verb": step.verb,
                "target": step.target,
                "ended": found.ended.value,
                "note": found.note,
            },
        )

    async def _observe(self, step: OpenStep) -> World:
        match self.actions.observation(step):
            case WorkloadObservation.ACCOUNT:
                return World(account=await self.host.accounts.lookup(step.target))
            case WorkloadObservation.FILE:
                path = step.known().get("path")
                return World(file=await self.host.files.read(path) if path else None)
            case WorkloadObservation.LINGER:
                return World(linger=self.facts.get(FactKey(PlatformFact.LINGER, step.workload)) is True)
            case WorkloadObservation.UNIT:
                unit = step.known().get("unit", step.target)
                return World(unit=as_unit(self.facts.get(FactKey(PlatformFact.UNIT, unit, step.workload))))
            case _:
                return World()

    async def _carry_out(self, step: OpenStep, found: Settlement) -> None:
        for change in found.changes:
            match change:
                case OwnAccount(account):
                    if account.name not in self.inventory.records.workloads:
                        await self.inventory.created(account.name, account.uid, step.run)
                    await self.inventory.made([account.home], account.uid, step.run)
                    await self.host.accounts.complete(account, timeout=COMPLETE_TIMEOUT)
                case SetFile(path, record):
                    await self.inventory.file(step.workload, path, record)
                case SetUnit(unit, started):
                    await self.inventory.unit(step.workload, unit, started)
                case SetLingering(lingering):
                    await self.inventory.change(step.workload, lingering=lingering)
