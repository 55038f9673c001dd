"""Resets of damaged podman stores: offered, held until an operator has signed, and then done once.

A controller: each damaged store is a subject of its own (`store:web`), whose one action the policy holds. It is found
when a start fails with a sentence of podman's that means damage; then podman itself is asked, as the account, so that
no workload's own words offer anything. What is known of it is a fact (DAMAGE), which ends with the reset, or as soon as
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
from eventd.containers.model_events import ContainerEvent
from eventd.containers.model_facts import ContainerFact
from eventd.containers.model_podman_damage import REASON, Damage, damage
from eventd.desired.controller_activation import Participant
from eventd.desired.controller_active import ActiveRevision
from eventd.desired.controller_load import Loaded
from eventd.desired.model import Workload
from eventd.kernel.controller import NOTHING, Controller, Decision, Desk, Request, Stand, Turn
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
from eventd.workloads.model_actions import ResetStore

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
        """Watch what is found, and what becomes of the request."""
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
        """Take in a new desired state: what left it is not reset."""
        self._wanted = frozenset(loaded.desired.workloads)

    def names(self) -> Collection[str]:
        """Return the stores that are known to be damaged, of workloads that are wanted."""
        return [PREFIX + name for name in sorted(self._damaged & self._wanted)]

    def digest(self, name: str) -> str:
        """Identify the damage."""
        found = self._damage(name.removeprefix(PREFIX))
        return f"{found.part}:{found.path}" if found is not None else ""

    def plan(self, name: str, *, forced: bool) -> tuple[Action, ...]:  # noqa: ARG002
        """Return the reset, unless it was rejected, or nobody knows one."""
        action = self._action(name.removeprefix(PREFIX))
        return () if action is None or is_rejected(reset(action), self._facts) else (action,)

    def stand(self, name: str) -> Stand:
        """Return where a reset stands that is not to be carried out now."""
        found = self._damage(name.removeprefix(PREFIX))
        if found is None:
            return Stand(message="podman's store can be read")
        if not found.can_be_reset:
            return Stand(message=f"{found.title}, and no reset is known that keeps the rest")
        return Stand(message=f"the reset was rejected: {found.title}")

    async def examine(self, tx: Transaction, workload: Workload, report: WorkloadReport) -> WorkloadReport:
        """Return the report of an attempt; one that a damaged store failed says so, and what can be done."""
        name = workload.name
        if report.outcome in (Outcome.OK, Outcome.UNCHANGED):
            if name in self._damaged and report.outcome is Outcome.OK:
                self._tell(tx, name, None)
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
            log.warning("%s: podman cannot be asked: %s", name, error, extra={"workload": name})
            return report
        self._tell(tx, name, found)
        if found is None:
            return report
        hint = (
            f"eventctl approvals shows a reset that keeps {found.stays}; it is done once that is signed"
            if found.can_be_reset
            else f"no reset is known that keeps the rest; look with eventctl shell {name}"
        )
        return replace(report, reason=REASON, message=f"{found.title}: {found.said}", hint=hint)

    def _tell(self, tx: Transaction, name: str, found: Damage | None) -> None:
        """Set the fact; the controller's subject is dirty with it."""
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
class StoreDamage(Controller):
    """Has every failed turn of a workload looked at for damage that no restart heals."""

    active: ActiveRevision
    resets: StoreResets

    def concerns(self, name: str) -> bool:
        """Every workload."""
        return ":" not in name

    def decide(self, name: str, request: Request, desk: Desk) -> Decision:  # noqa: ARG002
        """Do nothing."""
        return NOTHING

    async def reconcile(self, turn: Turn, executor: Executor) -> None:  # noqa: ARG002
        """Say so if a damaged store is the cause, and what can be done."""
        workload = self.active.workload(turn.name)
        if workload is not None:
            turn.report = await self.resets.examine(on_host(turn.tx), workload, turn.report)
