"""Resets of damaged podman stores: offered, held until an operator approves, and then carried out once.

A controller: each damaged store is a subject of its own (`store:web`) with one action, which the policy holds. Damage
is suspected when a start fails with a matching message of podman; then podman itself is run as the account, so that a
workload's own output cannot lead to an offer. The finding is a fact (DAMAGE), which ends with the reset, or as soon as
the workload is up again.

    failed start -> examine -> DAMAGE fact -> plan -> approval -> handler -> the workload's next start
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from eventd.approvals.controller import Approvals
from eventd.approvals.model_facts import ApprovalFact, is_rejected
from eventd.containers.model_action_table import reset
from eventd.containers.model_actions import ResetStore
from eventd.containers.model_events import ContainerEvent
from eventd.containers.model_facts import ContainerFact
from eventd.containers.model_podman_damage import REASON, Damage, damage
from eventd.desired.controller_activation import Participant
from eventd.desired.controller_active import ActiveRevision
from eventd.desired.controller_load import Loaded
from eventd.desired.model import Workload
from eventd.kernel.controller import Assessment, Controller, Part, Turn
from eventd.kernel.executor import Executor
from eventd.kernel.model.action import Action
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.events import KernelOrigin
from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.model.report import Outcome, WorkloadReport
from eventd.platform.model_facts import Account, PlatformFact
from eventd.state.controller_inventory import Inventory
from eventd.workloads.controller_transaction import Transaction
from eventd.workloads.controller_units import on_host

PREFIX = "store:"
log = logging.getLogger(__name__)


@dataclass(slots=True)
class StoreResets(Controller, Participant):
    """See the module."""

    inventory: Inventory
    approvals: Approvals
    prefix: str = PREFIX
    _facts: Facts = field(default_factory=Facts)
    _damaged: set[str] = field(default_factory=set)
    _wanted: frozenset[str] = frozenset()

    def attach(self, facts: Facts, dirty: Callable[[str], None]) -> None:
        """Watch the DAMAGE facts, and the decisions about the requests."""
        self._facts = facts

        def changed(key: FactKey) -> None:
            if key.kind is ContainerFact.DAMAGE:
                if key in facts:
                    self._damaged.add(key.name)
                else:
                    self._damaged.discard(key.name)
                dirty(PREFIX + key.name)
            elif key.kind is ApprovalFact.APPROVAL:
                for name in self._damaged:
                    dirty(PREFIX + name)

        facts.watch_all(changed)

    def activated(self, loaded: Loaded) -> None:
        """Take in a new desired state: the store of a workload that left it is not reset."""
        self._wanted = frozenset(loaded.desired.workloads)

    def names(self) -> Collection[str]:
        """Return the stores that are known to be damaged, of workloads in the desired state."""
        return [PREFIX + name for name in sorted(self._damaged & self._wanted)]

    def digest(self, name: str) -> str:
        """Identify the damage."""
        found = self._damage(name.removeprefix(PREFIX))
        return f"{found.part}:{found.path}" if found is not None else ""

    def plan(self, name: str, *, forced: bool) -> tuple[Action, ...]:  # noqa: ARG002
        """Return the reset, unless it was rejected, or none is known."""
        action = self._action(name.removeprefix(PREFIX))
        return () if action is None or is_rejected(reset(action), self._facts) else (action,)

    def assess_idle(self, name: str) -> Assessment:
        """Return the status of a store without a reset to carry out now."""
        found = self._damage(name.removeprefix(PREFIX))
        if found is None:
            return Assessment(message="podman's store is readable")
        if not found.can_be_reset:
            return Assessment(message=f"{found.title}; no reset is known that keeps the rest")
        return Assessment(message=f"the reset was rejected: {found.title}")

    async def examine(self, tx: Transaction, workload: Workload, report: WorkloadReport) -> WorkloadReport:
        """Return the report of an attempt; if a damaged store made it fail, with that as the reason, and a hint."""
        name = workload.name
        if report.outcome in (Outcome.OK, Outcome.UNCHANGED):
            if name in self._damaged and report.outcome is Outcome.OK:
                self._set_damage(tx, name, None)
                await self.approvals.withdraw(PREFIX + name, begun=True)
            return report
        if report.outcome is not Outcome.FAILED or tx.account is None:
            return report
        account = tx.account
        if damage("\n".join((report.message, *report.log)), account.home) is None:
            return report
        try:
            found = damage(await tx.host.images.complaint(account), account.home)
        except EventdError as error:
            log.warning("%s: cannot run podman: %s", name, error, extra={"workload": name})
            return report
        self._set_damage(tx, name, found)
        if found is None:
            return report
        hint = (
            f"eventctl approvals shows a reset that keeps {found.stays}; it is carried out once it is approved"
            if found.can_be_reset
            else f"no reset is known that keeps the rest; see eventctl shell {name}"
        )
        return replace(report, reason=REASON, message=f"{found.title}: {found.said}", hint=hint)

    def _set_damage(self, tx: Transaction, name: str, found: Damage | None) -> None:
        """Set the fact, which marks the store's subject dirty."""
        key = FactKey(ContainerFact.DAMAGE, name)
        if tx.facts.get(key) != found:
            tx.emit(
                KernelOrigin.DAEMON,
                ContainerEvent.STORE_DAMAGED,
                name,
                scope=name,
                attributes={"damaged": found is not None, "path": found.path if found is not None else ""},
                facts=[(key, found)],
            )

    def _damage(self, workload: str) -> Damage | None:
        found = self._facts.get(FactKey(ContainerFact.DAMAGE, workload))
        return found if isinstance(found, Damage) else None

    def _action(self, workload: str) -> ResetStore | None:
        found = self._damage(workload)
        account = self._facts.get(FactKey(PlatformFact.ACCOUNT, workload))
        record = self.inventory.records.workloads.get(workload)
        if found is None or not found.can_be_reset or not isinstance(account, Account) or record is None:
            return None
        return ResetStore(
            PREFIX + workload, workload, account.uid, account.home, found, f"{found.title}: {found.said}"
        )


@dataclass(slots=True)
class StoreDamage(Part):
    """Examines every failed turn of a workload for damage that a restart does not repair."""

    active: ActiveRevision
    resets: StoreResets

    async def reconcile(self, turn: Turn, executor: Executor) -> None:  # noqa: ARG002
        """Amend the report if a damaged store is the cause."""
        workload = self.active.workload(turn.name)
        if workload is not None:
            turn.report = await self.resets.examine(on_host(turn.tx), workload, turn.report)
