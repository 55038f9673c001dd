"""Rebuilds the records from the host after the state file was lost, damaged or restored from an older copy.

An account is eventd's if it has an ownership marker (a copy of its record outside the database, writable only by root)
and is still the account that the marker describes. Its files are eventd's if they match the last verified revision or
the desired one; its units count as started with that revision. The rebuild does not change the host: it writes no file
and touches no unit. What cannot be proven is left alone and reported.

    markers -> records of workloads, before the first run -> records of files and units, once the revision is read
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from eventd.desired.controller_activation import Participant
from eventd.desired.controller_load import Loaded, Loader
from eventd.desired.model import Workload
from eventd.kernel.document_table import DocumentTable
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.model.journal import OpenStep
from eventd.platform.model_facts import Account, FileState, PlatformFact
from eventd.port_set import Host
from eventd.state.controller_inventory import Inventory
from eventd.workloads.model_layout import Layout
from eventd.workloads.model_records import (
    LOSSES,
    FileRecord,
    Ownership,
    StateLoss,
    UnitRecord,
    WorkloadRecord,
)
from eventd.workloads.plan_files import file_is, mode_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pending:
    """A workload whose files and units are not recorded yet."""

    commit: str
    """The last verified revision, or empty."""
    digest: str
    """The digest of its content in that revision."""
    lost: bool = False
    """It had no record at all."""


@dataclass(slots=True)
class Rebuild(Participant):
    """The rebuild of one start of the daemon, and what is left to do."""

    host: Host
    inventory: Inventory
    facts: Facts
    layout: Layout
    owner_uid: int
    loader: Loader
    wall: Callable[[], float] = time.time
    pending: DocumentTable[Pending] = field(init=False)
    losses: DocumentTable[StateLoss] = field(init=False)

    def __post_init__(self) -> None:
        """Create the document tables."""
        self.pending = DocumentTable(self.inventory.documents, "rebuild", Pending)
        self.losses = DocumentTable(self.inventory.documents, LOSSES, StateLoss)

    async def workloads(self, steps: Iterable[OpenStep]) -> None:
        """Compare the markers with the records, and bring the records up to date. `steps`: the open steps.

        Raises what reading and writing the store raises.
        """
        await self.losses.load()
        await self.pending.load()
        markers = await self.inventory.markers()
        records = self.inventory.records.workloads
        busy = {step.workload for step in steps} | {step.target for step in steps}
        unproven: list[str] = []
        for name, mark in markers.items():
            record = records.get(name)
            if record == mark:
                continue
            if record is None and not await self._fits(mark):
                # No account of that name, or a different one: it is not ours to manage, let alone to remove.
                unproven.append(name)
                continue
            cut_off = (
                record is None and name in busy
            )  # interrupted while it was created: its step is settled next
            if not cut_off:
                # Write this before the record: after a crash in between, the record alone would look complete.
                pending = Pending(mark.verified_commit, mark.verified_digest, lost=record is None)
                await self.pending.put(name, pending)
            await self.inventory.workload(mark)
        for record in tuple(records.values()):
            if record.name not in markers:
                await self.inventory.mark(
                    record
                )  # its marker was deleted by hand, or it is older than markers
        restored = [name for name, row in self.pending.rows.items() if row.lost and name in records]
        if self._is_news(restored, unproven):
            await self._report(tuple(sorted(restored)), tuple(sorted(unproven)))

    async def prepare(self, loaded: Loaded) -> None:
        """Record the files and units of the pending workloads that match a revision."""
        desired = loaded.desired
        for name, row in tuple(self.pending.rows.items()):
            if name in self.inventory.records.workloads:
                wanted = desired.workloads.get(name)
                verified = wanted
                if wanted is None or wanted.digest != row.digest:
                    verified = await self._at(row.commit, name)
                await self._record(name, row, [each for each in (verified, wanted) if each is not None])
                # They were not watched when the manager was connected; without this the plan would consider them
                # stopped.
                units = {unit.name for each in (verified, wanted) if each is not None for unit in each.units}
                self.host.user_managers.watch(name, frozenset(units))
                await self.host.user_managers.refresh(name)
            await self.pending.put(name, None)

    @property
    def unacknowledged(self) -> tuple[StateLoss, ...]:
        """The losses that no operator has acknowledged."""
        return tuple(loss for loss in self.losses.rows.values() if not loss.acknowledged)

    async def acknowledge(self) -> int:
        """Acknowledge all losses; return how many there were."""
        rows = [(key, loss) for key, loss in self.losses.rows.items() if not loss.acknowledged]
        for key, loss in rows:
            await self.losses.put(key, replace(loss, acknowledged=True))
        return len(rows)

    def _is_news(self, restored: list[str], unproven: list[str]) -> bool:
        """Return whether no recorded loss lists these already: an unproven marker stays, and is reported once."""
        named = self.losses.rows.values()
        return bool(restored or unproven) and not any(
            set(restored) <= set(loss.restored) and set(unproven) <= set(loss.unproven) for loss in named
        )

    async def _fits(self, mark: WorkloadRecord) -> bool:
        account = await self.host.accounts.lookup(mark.name)
        if account is None:
            return False
        login = account.shell.rpartition("/")[2] not in ("nologin", "false")
        return account.uid == mark.uid and not (login and mark.ownership is Ownership.CREATED)

    async def _report(self, restored: tuple[str, ...], unproven: tuple[str, ...]) -> None:
        """Add the result to the loss that caused it. Without one, an older state file was restored: record that."""
        key, loss = max(self.losses.rows.items(), default=("", None), key=lambda row: row[0])
        if loss is None or loss.acknowledged or loss.restored or loss.unproven:
            now = self.wall()
            key, loss = (
                f"{now:017.6f}",
                StateLoss(now, "the state file was older than what is on this host", ""),
            )
        loss = replace(loss, restored=restored, unproven=unproven)
        await self.losses.put(key, loss)
        log.error("%s; kept as %s", loss.why, loss.kept or "nothing")
        log.error("still managed, because of their ownership markers: %s", ", ".join(restored) or "none")
        if unproven:
            log.error("left alone, because nothing proves that they are eventd's: %s", ", ".join(unproven))

    async def _at(self, commit: str, name: str) -> Workload | None:
        if not commit:
            return None
        try:
            desired = await self.loader.assemble(await self.host.repository.tree(commit))
        except EventdError as error:
            log.warning("%s cannot be compared with revision %s: %s", name, commit[:12], error)
            return None
        return desired.workloads.get(name)

    async def _record(self, name: str, row: Pending, revisions: list[Workload]) -> None:
        account = self.facts.get(FactKey(PlatformFact.ACCOUNT, name))
        if not isinstance(account, Account):
            return
        run = self.inventory.records.workloads[name].run
        for workload in revisions:
            whole = True
            for file in workload.files:
                path = self.layout.path(file, account.uid)
                state = self.facts.get(FactKey(PlatformFact.FILE, path))
                seen = state if isinstance(state, FileState) else None
                mode = mode_of(executable=file.executable)
                if not file_is(seen, file.digest, mode, self.owner_uid):
                    whole = False
                elif self.inventory.records.file(name, path) is None:
                    await self.inventory.file(name, path, FileRecord(file.digest, run))
            if not whole or workload.digest != row.digest:
                continue
            # Every file is in place, and the revision was verified: every unit was started with it.
            for unit in workload.units:
                if self.inventory.records.unit(name, unit.name) is None:
                    await self.inventory.unit(name, unit.name, UnitRecord(unit.digest, run))
