"""Removals: the account and the data of a workload that left the repository, kept or deleted.

A controller: each requested deletion is a subject of its own (`deletion:web`), planned, judged (the policy holds it
until an operator has signed), journalled and reported beside the workloads. Only a retained workload, stopped and
cleared of its units by its own plan, can be deleted. If it returns to the repository, the deletion is withdrawn. A
deletion that has begun is finished first, and its workload waits for that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from eventd.approvals.controller import Approvals
from eventd.approvals.model_facts import is_rejected
from eventd.desired.controller_activation import Participant
from eventd.desired.controller_load import Loaded
from eventd.desired.model import Desired, RemoveData
from eventd.kernel import document_table
from eventd.kernel.controller import Assessment, Controller
from eventd.kernel.model.action import Action
from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.whole import wholly
from eventd.platform.model_facts import Account, PlatformFact
from eventd.removal.model import Removal, Stage
from eventd.removal.model_action_table import deletion
from eventd.removal.model_actions import DeleteAccount
from eventd.removal.model_facts import RemovalFact, RenameState
from eventd.removal.model_renames import find
from eventd.state.controller_inventory import Inventory
from eventd.workloads.model_facts import WorkloadFact
from eventd.workloads.model_records import Ownership

PREFIX = "deletion:"


@dataclass(slots=True)
class Removals(Controller, Participant):
    """See the module."""

    inventory: Inventory
    approvals: Approvals
    wall: Callable[[], float] = time.time
    prefix: str = PREFIX
    renamed: Mapping[str, RenameState] = field(default_factory=dict)
    """By new name: workloads that are, or may be, a renamed one.

Made by `note`; `workloads.controller_renames` acts on it.
"""
    _desired: Desired | None = None
    _here: frozenset[str] = frozenset()
    """Workloads whose account is kept, whatever was requested."""
    _facts: Facts = field(default_factory=Facts)
    _dirty: Callable[[str], None] = lambda _name: None
    _unwatch: Callable[[], None] = lambda: None

    def attach(self, facts: Facts, dirty: Callable[[str], None]) -> None:
        """Watch what deletions wait for, and set the facts of those that have begun."""
        self._facts, self._dirty = facts, dirty
        for name, row in self.inventory.removals.rows.items():
            if row.stage is not Stage.NONE:
                facts.set(FactKey(RemovalFact.DELETION, name), True)  # noqa: FBT003
        self._watch()

    async def prepare(self, loaded: Loaded) -> None:
        """Store what a new revision says about the data of its workloads, and which workloads are back or gone."""
        desired = loaded.desired
        rows: list[tuple[document_table.DocumentTable[Removal], str, Removal | None]] = []
        removals = self.inventory.removals
        for name, workload in desired.workloads.items():
            before = removals.get(name)
            if before is not None and before.stage is not Stage.NONE:
                continue
            data = workload.options.remove_data
            # The first commit that says so, not the latest, which would change with every commit.
            same = before is not None and before.data is data and before.said_by != "operator"
            said_by = before.said_by if same and before is not None else desired.commit
            after = Removal(data, said_by) if data is RemoveData.DELETE else None
            if after != before:
                rows.append((removals, name, after))
        gone = () if desired.partial else self.inventory.records.workloads.keys() - _all(desired)
        for name in gone:
            before = removals.get(name) or Removal()
            if not before.since:
                left = replace(before, since=self.wall(), commit=desired.commit, digest=self._last(name))
                rows.append((removals, name, left))
        await document_table.write(rows)
        digests = {
            name: row.digest
            for name, row in removals.rows.items()
            if row.since and row.stage is Stage.NONE and name in self.inventory.records.workloads
        }
        self.renamed = find(desired, digests, self.inventory.records.workloads.keys())
        back = {PREFIX + name for name in _all(desired) | self._kept_for_renames()}
        for subject in {request.subject for request in self.approvals.requests.rows.values()} & back:
            row = removals.get(subject.removeprefix(PREFIX))
            await self.approvals.withdraw(subject, begun=row is not None and row.stage is not Stage.NONE)

    def activated(self, loaded: Loaded) -> None:
        """Update for a new desired state."""
        self._desired = loaded.desired
        # Read for every dirty workload, so computed once per revision.
        self._here = frozenset(_all(loaded.desired) | self._kept_for_renames())
        self._watch()

    def names(self) -> Collection[str]:
        """Return the requested deletions of workloads that are stopped and cleared of their units."""
        return [
            PREFIX + name for name in self.inventory.removals if self._wanted(name) and self._stopped(name)
        ]

    def digest(self, name: str) -> str:
        """Identify the deletion."""
        row = self._row(name)
        return f"{row.data}:{row.since}" if row is not None else ""

    def plan(self, name: str, *, forced: bool) -> tuple[Action, ...]:  # noqa: ARG002
        """Return the deletion, if it is requested and possible now."""
        action = self._action(name.removeprefix(PREFIX))
        return () if action is None or is_rejected(deletion(action), self._facts) else (action,)

    def assess_idle(self, name: str) -> Assessment:
        """Return the status of a deletion that is not carried out now."""
        workload = name.removeprefix(PREFIX)
        if self._row(name) is None:
            return Assessment(message="deleted")
        if self._action(workload) is not None:
            return Assessment(message="the deletion was rejected; account and data are kept")
        return Assessment(message="eventd manages no account to delete")

    @wholly
    async def ask(self, workload: str, data: RemoveData) -> None:
        """Request, as root, to delete a workload's data, whatever the repository said; `KEEP` withdraws that.

        Raises PermanentError(reason="no-such-workload" | "still-wanted" | "deletion-begun" | "not-ours").
        """
        if self.inventory.removing.locked():
            raise PermanentError(
                f"an account is being deleted now, perhaps {workload}", reason="deletion-begun"
            )
        async with self.inventory.removing:
            await self._ask(workload, data)
        self._watch()
        self._dirty(PREFIX + workload)

    async def _ask(self, workload: str, data: RemoveData) -> None:
        record = self.inventory.records.workloads.get(workload)
        row = self.inventory.removals.get(workload)
        if row is not None and row.stage is not Stage.NONE:
            raise PermanentError(f"the deletion of {workload} has begun", reason="deletion-begun")
        if record is None:
            raise PermanentError(
                f"eventd manages no account {workload}",
                reason="no-such-workload",
                hint="eventctl retained lists the retained accounts",
            )
        if self._is_here(workload) or not record.retained:
            raise PermanentError(
                f"{workload} is still in the repository, or not stopped yet",
                reason="still-wanted",
                hint="remove it from the repository first, then repeat this; its data is kept until then",
            )
        if record.ownership is not Ownership.CREATED:
            raise PermanentError(
                f"the account {workload} was adopted, not made by eventd; eventd never deletes it",
                reason="not-ours",
                hint="userdel(8), once you are sure",
            )
        row = row or Removal(since=self.wall())
        if data is RemoveData.KEEP:
            await self.approvals.withdraw(PREFIX + workload, begun=False)
        await self.inventory.removals.put(workload, replace(row, data=data, said_by="operator"))

    def _last(self, workload: str) -> str:
        """Return the digest of a workload's content when it left."""
        wanted = self._desired.workloads.get(workload) if self._desired is not None else None
        record = self.inventory.records.workloads.get(workload)
        return wanted.digest if wanted is not None else record.verified_digest if record is not None else ""

    def _kept_for_renames(self) -> set[str]:
        """Return the workloads whose account another one takes over, or may."""
        return {old for state in self.renamed.values() for old in state.old}

    def _row(self, name: str) -> Removal | None:
        return self.inventory.removals.get(name.removeprefix(PREFIX))

    def _is_here(self, workload: str) -> bool:
        """Return whether a workload is, or may be, in the repository, or continues under another name."""
        return self._desired is None or self._desired.partial or workload in self._here

    def _wanted(self, workload: str) -> bool:
        row = self.inventory.removals.get(workload)
        if row is None or self._desired is None:
            return False
        if row.stage is not Stage.NONE:
            return True
        return row.data is RemoveData.DELETE and bool(row.since) and not self._is_here(workload)

    def _stopped(self, workload: str) -> bool:
        record = self.inventory.records.workloads.get(workload)
        return record is None or record.retained

    def _action(self, workload: str) -> DeleteAccount | None:
        row = self.inventory.removals.get(workload)
        if row is None or not self._wanted(workload):
            return None
        if row.stage is not Stage.NONE:
            return _delete(workload, row.uid, row.home, row.made_by)
        record = self.inventory.records.workloads.get(workload)
        account = self._facts.get(FactKey(PlatformFact.ACCOUNT, workload))
        if record is None or not record.retained or record.ownership is not Ownership.CREATED:
            return None
        if not isinstance(account, Account):
            return None
        return _delete(workload, account.uid, account.home, record.run)

    def _watch(self) -> None:
        """Watch the facts of workloads whose data is to be deleted: whether they are stopped, and who is logged in."""
        self._unwatch()
        kinds = (WorkloadFact.WORKLOAD, PlatformFact.ACCOUNT, PlatformFact.SESSIONS)
        keys = [
            FactKey(kind, name)
            for name, row in self.inventory.removals.rows.items()
            if row.data is RemoveData.DELETE or row.stage is not Stage.NONE
            for kind in kinds
        ]
        self._unwatch = self._facts.watch(keys, lambda key: self._dirty(PREFIX + key.name))


def _delete(workload: str, uid: int, home: str, made_by: int) -> DeleteAccount:
    why = f"the workload {workload} left the repository, and its data is to be deleted"
    return DeleteAccount(PREFIX + workload, workload, uid, home, made_by, why)


def _all(desired: Desired) -> set[str]:
    return {*desired.workloads, *desired.refused}
