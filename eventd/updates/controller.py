"""The update controller: pull, compare, restart only what changed, verify; or roll back to the previous images.

An update is stored before anything is pulled, with the images that ran. If it is interrupted, the next start continues
it. It ends with all containers verified, either on the images that their references name now or on the previous ones.
It never uses `podman auto-update` and prunes nothing: the previous image is kept by its own tag. The steps of one
update are in `eventd.updates.controller_work`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import anyio

from eventd.desired.controller_active import ActiveRevision
from eventd.desired.model import Workload
from eventd.kernel.controller import NOTHING, Decision, Part, Request, RetryState, Turn, TurnStage
from eventd.kernel.document_table import DocumentTable
from eventd.kernel.executor import Executor
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.report import Outcome, WorkloadReport
from eventd.kernel.whole import wholly
from eventd.platform.systemd.ports import UserManagers
from eventd.state.controller_inventory import Inventory
from eventd.updates.controller_images import VerifiedImages
from eventd.updates.controller_work import ASIDE, GONE_BACK, UpdateWork
from eventd.updates.model import Update, UpdateResult
from eventd.updates.model_actions import PullImages
from eventd.workloads.controller_planner import Planner
from eventd.workloads.controller_units import explain, on_host


@dataclass(slots=True)
class UpdateController(Part):
    """See the module."""

    stage = TurnStage.RENEW
    active: ActiveRevision
    planner: Planner
    inventory: Inventory
    images: VerifiedImages
    user_managers: UserManagers
    wall: Callable[[], float]
    rows: DocumentTable[Update] = field(init=False)
    results: DocumentTable[UpdateResult] = field(init=False)
    asking: anyio.Lock = field(default_factory=anyio.Lock)
    """Held from reading a row until it is overwritten: an update may be requested while another ends."""

    def __post_init__(self) -> None:
        """Name the tables."""
        store = self.inventory.documents
        self.rows = DocumentTable(store, "update", Update)
        self.results = DocumentTable(store, "update-result", UpdateResult)

    async def load(self) -> None:
        """Load what is stored."""
        await self.rows.load()
        await self.results.load()

    @wholly
    async def ask(self, name: str, by: str, *, retry: bool) -> None:
        """Store a request for an update; one in progress continues, and another follows it."""
        async with self.asking:
            known = self.rows.get(name)
            if known is None or not known.applying:
                await self.rows.put(name, Update(name, self.wall(), by, retry))
            else:
                await self.rows.put(name, replace(known, again=by, again_retry=retry))

    def decide(self, name: str, request: Request, retries: RetryState) -> Decision:  # noqa: ARG002
        """Return the pull of an update that is requested, or was interrupted, and can continue."""
        workload = self.active.workload(name)
        if workload is None or name not in self.rows:
            return NOTHING
        if not retries.failures.may_start(name, workload.digest, anyio.current_time()):
            return NOTHING
        return Decision((PullImages(name, (), 0.0, ""),), self.planner.sight(name, workload))

    async def reconcile(self, turn: Turn, executor: Executor) -> None:
        """Carry out the requested update of a workload, if there is one.

        A workload that is held, or that has a newer revision, is updated afterwards. One that failed is updated at
        once: the new image may be the cure.
        """
        workload, tx = self.active.workload(turn.name), on_host(turn.tx)
        if workload is None:
            return
        await self.images.note_verified(tx, workload, turn.report)
        row = self.rows.get(turn.name)
        if row is None or turn.report.outcome in (Outcome.HELD, Outcome.SUPERSEDED):
            return
        updated = await self._update(turn, workload, row, executor)
        if updated.outcome is not Outcome.FAILED or updated.reason not in ASIDE:
            turn.report = updated
            return
        turn.run_report = updated  # the workload's status is the same as without the update
        if updated.reason == GONE_BACK:
            # What failed before the update is up now, and verified.
            turn.report = replace(turn.report, outcome=Outcome.OK)

    async def _update(
        self, turn: Turn, workload: Workload, row: Update, executor: Executor
    ) -> WorkloadReport:
        # Units that a restart of this turn has restarted are included below.
        tx = replace(on_host(turn.tx), invocations={}, reloads=0)
        work = UpdateWork(self.planner, self.images, self.user_managers, self, tx, workload, row)
        done = await executor.carry_out(tx, work.run, explain(tx))
        if done.outcome in (Outcome.HELD, Outcome.SUPERSEDED) or work.cut_off:
            return done
        try:
            await self._end(row, work, done)
        except EventdError as error:
            return replace(done, outcome=Outcome.FAILED, reason=error.reason, message=error.message)
        return replace(
            done,
            message=done.message or work.message,
            actions=turn.report.actions + done.actions,
            seconds=turn.report.seconds + done.seconds,
        )

    async def begin_applying(self, row: Update, before: Mapping[str, str]) -> Update:
        """Store that an update begins, with the previous images; return the row as it is now."""
        async with self.asking:
            asked = self.rows.get(row.workload)
            if asked is not None and asked != row:  # since this one began
                row = replace(row, again=asked.by, again_retry=asked.retry)
            row = replace(row, before=before, applying=True)
            await self.rows.put(row.workload, row)
        return row

    async def _end(self, row: Update, work: UpdateWork, done: WorkloadReport) -> None:
        ok = done.outcome is not Outcome.FAILED
        before = self.results.get(row.workload)
        bad = {} if before is None or ok else dict(before.bad)
        result = UpdateResult(
            row.workload,
            self.wall(),
            row.by,
            ok,
            done.reason,
            done.message or work.message,
            work.changed,
            {**bad, **work.bad},
        )
        await self.results.put(row.workload, result)
        async with self.asking:
            now = self.rows.get(row.workload)
            again = (
                Update(row.workload, self.wall(), now.again, now.again_retry) if now and now.again else None
            )
            await self.rows.put(row.workload, again)
