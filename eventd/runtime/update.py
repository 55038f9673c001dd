"""Updates: pull, compare, restart only what changed, verify; or go back to the images of before. In a run, journalled.

An update is written down before anything is pulled, with the images that ran: whatever cuts it off, the next start goes
on with it, and ends either with all containers on what their references name, verified, or on the images of before.
Never `podman auto-update`, and nothing is pruned: the image of before is kept by a tag of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import anyio

from eventd.core.actions import PullImages, TagImages
from eventd.core.desired import OnFailure, UnitRole, Workload
from eventd.core.errors import DisconnectedError, EventdError, PermanentError, TemporaryError
from eventd.core.facts import FactKey
from eventd.core.images import (
    Image,
    ImageUse,
    Running,
    images_of,
    keep_tag,
    restorable,
    running_of,
    short_id,
    to_restart,
    updatable,
    without_containers,
)
from eventd.core.manager_trouble import ManagerUnavailableError
from eventd.core.observed import Observed
from eventd.core.orders import KEPT
from eventd.core.ports import Images
from eventd.core.report import Outcome, WorkloadReport
from eventd.core.updates import Update, UpdateResult, UsedImage, UsedImages
from eventd.platform.model_facts import Account
from eventd.runtime.converge import Converger, HeldError, last_lines
from eventd.runtime.host import Host
from eventd.runtime.ledger import Ledger
from eventd.runtime.restarting import Step, restart_units
from eventd.runtime.shelf import Shelf
from eventd.runtime.transaction import CALLED_OFF, SupersededError, Transaction, UnitFailedError
from eventd.runtime.whole import wholly
from eventd.workloads.model_facts import ManagerState, WorkloadFact

log = logging.getLogger(__name__)
PULL_TIMEOUT = 600.0
"""Seconds for one image."""
GONE_BACK = "update-rolled-back"
"""The reason of an update that was taken back: what was before is up, and verified."""
ASIDE = frozenset({"pull-failed", "known-bad-image", "image-gone", GONE_BACK, "podman-failed"})
"""How an update can fail and leave the workload as it was before."""


class UpdateFailedError(UnitFailedError):
    """A new image did not hold; what was before runs again."""


@dataclass(slots=True)
class Updates:
    """See the module."""

    host: Callable[[], Host]
    ledger: Ledger
    converger: Converger
    wall: Callable[[], float]
    rows: Shelf[Update] = field(init=False)
    results: Shelf[UpdateResult] = field(init=False)
    used: Shelf[UsedImages] = field(init=False)
    asking: anyio.Lock = field(default_factory=anyio.Lock)
    """Held from reading a row until another is written over it: one may be asked for while another one ends."""

    def __post_init__(self) -> None:
        """Name the shelves."""
        store = self.ledger.store
        self.rows = Shelf(store, "update", Update)
        self.results = Shelf(store, "update-result", UpdateResult)
        self.used = Shelf(store, "images", UsedImages)

    async def load(self) -> None:
        """Read what the last life left."""
        for shelf in (self.rows, self.results, self.used):
            await shelf.load()

    @wholly
    async def ask(self, name: str, by: str, *, retry: bool) -> None:
        """Write down that an update is wanted; one that is on its way goes on as it is, and another one follows."""
        async with self.asking:
            known = self.rows.get(name)
            if known is None or not known.applying:
                await self.rows.put(name, Update(name, self.wall(), by, retry))
            else:
                await self.rows.put(name, replace(known, again=by, again_retry=retry))

    async def after(self, tx: Transaction, workload: Workload, report: WorkloadReport) -> WorkloadReport:
        """Carry out the update that a workload is to have, if any; return what came of it.

        A workload that is held, or that has a newer revision, gets it when that is over. One that failed gets it at
        once: the new image may be the cure.
        """
        row = self.rows.get(workload.name)
        if row is None or report.outcome in (Outcome.HELD, Outcome.SUPERSEDED):
            return report
        work = _Work(self, tx, workload, row)
        # What a restart of this run has restarted is not left out below.
        work.tx = replace(tx, invocations={}, reloads=0)
        done = await self.converger.carry_out(work.tx, workload, work.run)
        if done.outcome in (Outcome.HELD, Outcome.SUPERSEDED) or work.cut_off:
            return done
        try:
            await self._end(row, work, done)
        except EventdError as error:
            return replace(done, outcome=Outcome.FAILED, reason=error.reason, message=error.message)
        message = done.message or work.message
        return replace(
            done,
            message=message,
            actions=report.actions + done.actions,
            seconds=report.seconds + done.seconds,
        )

    async def _end(self, row: Update, work: _Work, done: WorkloadReport) -> None:
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

    async def note_verified(self, tx: Transaction, workload: Workload, report: WorkloadReport) -> None:
        """Remember the images of a verified revision that a rollback may come back to."""
        if report.outcome is not Outcome.OK or workload.options.on_failure is not OnFailure.ROLLBACK:
            return
        uses = restorable(images_of(workload))
        record = self.ledger.records.workloads.get(workload.name)
        if not uses or tx.account is None or record is None or record.verified_digest != workload.digest:
            return
        try:
            await self.remember(tx.account, workload, uses)
        except EventdError as error:
            log.warning("the images of %s are not remembered: %s", workload.name, error)

    async def remember(self, account: Account, workload: Workload, uses: list[ImageUse]) -> None:
        """Write down which images the containers of a verified content run."""
        running = await self.host().images.running(account)
        ids = {use.reference: image for use in uses if (image := running_of(use, running))}
        known = await self.host().images.inspect(account, tuple(dict.fromkeys(ids.values())))
        images = tuple(
            UsedImage(reference, image, known[image].digests if image in known else ())
            for reference, image in sorted(ids.items())
        )
        rows = self.used.get(workload.name) or UsedImages()
        if images and rows.of(workload.digest) != images:
            await self.used.put(workload.name, rows.with_verified(workload.digest, images, KEPT))

    async def as_verified(self, tx: Transaction, workload: Workload) -> tuple[str, ...]:
        """Let references name the images again that this content was verified with; return whose units need a restart.

        For a rollback: a tag that has moved since would bring the bad image with the good files.
        """
        used = self.used.get(workload.name)
        wanted = {each.reference: each.id for each in (used.of(workload.digest) if used is not None else ())}
        if not wanted or tx.account is None:
            return ()
        found = await self.host().images.inspect(tx.account, tuple(wanted))
        moved = tuple(
            (image, reference)
            for reference, image in wanted.items()
            if reference not in found or found[reference].id != image
        )
        for image, reference in moved:
            await self.host().images.tag(tx.account, image, reference)
        running = await self.host().images.running(tx.account)
        return to_restart(images_of(workload), running, wanted)


class _Work:
    """One update in one run."""

    def __init__(self, updates: Updates, tx: Transaction, workload: Workload, row: Update) -> None:
        self.updates = updates
        self.tx = tx
        self.workload = workload
        self.row = row
        self.changed: Mapping[str, str] = {}
        self.bad: dict[str, str] = {}
        self.message = ""
        self.cut_off = False
        """It could not be gone on with, through no fault of the image: it is later."""

    async def run(self, step: Step) -> None:
        """Pull, compare, restart, verify; or go back."""
        uses, account = images_of(self.workload), self.tx.user()
        references = updatable(uses)
        if not references:
            self.message = "no image of it can be updated: " + ", ".join(
                f"{use.reference} ({use.fixed})" for use in uses
            )
            return
        seen = self.updates.converger.view.of(self.workload.name, self.workload)
        resumed = self.row.applying
        if not resumed:
            await self._begin(uses, references, account)
        # One that was cut off goes on with what it has pulled: the network need not be there now.
        if not resumed or not await self._moved(account):
            try:
                await step(
                    PullImages(self.workload.name, references, PULL_TIMEOUT, "an update was asked for"), seen
                )
            except (HeldError, SupersededError):
                raise
            except EventdError as error:
                await self._stop_if_cut_off(error)
                await self._tag_back(step, seen, account)
                raise
        now = {reference: image.id for reference, image in (await self._local(references, account)).items()}
        self.changed = {r: image for r, image in now.items() if image != self.row.before.get(r)}
        await self._refuse_bad(step, seen, account)
        running = await self._images.running(account)
        units = self._units(uses, running, now, self.changed)
        if not self.changed and not units:
            self.message = "up to date"
            return
        try:
            await self._restart(step, units, "its image changed")
        except (HeldError, SupersededError):
            raise
        except EventdError as error:
            await self._stop_if_cut_off(error)
            await self._go_back(step, uses, account, error)
        self.message = "; ".join(
            f"{r}: {short_id(self.row.before.get(r, ''))} -> {short_id(image)}"
            for r, image in self.changed.items()
        )
        await self.updates.remember(account, self.workload, restorable(uses))

    async def _stop_if_cut_off(self, error: EventdError) -> None:
        """Raise the error again if it says nothing of the image.

        The host goes down, the user's manager is gone, or somebody called the start off. The update stays as it was
        written down, and is gone on with: to go back now would fail as well.
        """
        self.tx.excuse(error)
        name, gone = self.workload.name, isinstance(error, DisconnectedError | ManagerUnavailableError)
        gone |= error.reason == CALLED_OFF
        if not gone:
            try:
                await self.updates.host().user_managers.refresh(name)
            except TemporaryError:
                gone = True
        if gone or self.tx.facts.get(FactKey(WorkloadFact.MANAGER, name)) is not ManagerState.UP:
            self.cut_off = True
            raise error

    @property
    def _images(self) -> Images:
        return self.updates.host().images

    async def _begin(self, uses: tuple[ImageUse, ...], references: tuple[str, ...], account: Account) -> None:
        """Write down what runs, and see to it that nobody prunes it."""
        running = await self._images.running(account)
        before = {r: image.id for r, image in (await self._local(references, account)).items()}
        for use in uses:
            if use.reference in references and (image := running_of(use, running)):
                before[use.reference] = image
        for reference, image in before.items():
            await self._images.tag(account, image, keep_tag(reference))
        async with self.updates.asking:
            asked = self.updates.rows.get(self.workload.name)
            if asked is not None and asked != self.row:  # since this one was taken up
                self.row = replace(self.row, again=asked.by, again_retry=asked.retry)
            self.row = replace(self.row, before=before, applying=True)
            await self.updates.rows.put(self.workload.name, self.row)

    async def _local(self, references: tuple[str, ...], account: Account) -> Mapping[str, Image]:
        return await self._images.inspect(account, references)

    async def _refuse_bad(self, step: Step, seen: Observed, account: Account) -> None:
        """Do not take again what an earlier update went back from: it would fail every night."""
        result = self.updates.results.get(self.workload.name)
        known = {} if result is None or self.row.retry else result.bad
        again = sorted(r for r, image in self.changed.items() if known.get(r) == image)
        if not again:
            return
        self.changed = {}
        await self._tag_back(step, seen, account)
        raise PermanentError(
            f"{', '.join(again)}: the registry still has the image that the last update went back from",
            reason="known-bad-image",
            hint=f"push another image, or `eventctl update {self.workload.name} --retry`",
        )

    async def _moved(self, account: Account) -> tuple[tuple[str, str], ...]:
        """Return the images of before, with those references that name others now."""
        now = await self._local(tuple(self.row.before), account)
        return tuple(
            (image, reference)
            for reference, image in self.row.before.items()
            if reference not in now or now[reference].id != image
        )

    async def _tag_back(self, step: Step, seen: Observed, account: Account) -> None:
        """Move the tags back that have moved."""
        moved = await self._moved(account)
        if moved:
            await step(TagImages(self.workload.name, moved, "the images of before"), seen)

    def _units(
        self,
        uses: tuple[ImageUse, ...],
        running: Sequence[Running],
        wanted: Mapping[str, str],
        changed: Iterable[str],
    ) -> tuple[str, ...]:
        """Return the units that run something else than `wanted`, or should run, do not, and have a changed image."""
        always = {unit.name for unit in self.workload.units if unit.role is UnitRole.RUNNING}
        idle = without_containers(uses, running, changed)
        return (*to_restart(uses, running, wanted), *(unit for unit in idle if unit in always))

    async def _restart(self, step: Step, units: tuple[str, ...], why: str) -> None:
        """Restart units in their order, then see all of the workload up and healthy."""
        await restart_units(step, self.updates.converger, self.workload, units, why)

    async def _go_back(
        self, step: Step, uses: tuple[ImageUse, ...], account: Account, error: EventdError
    ) -> None:
        """Put the images of before in place, restart what does not run them, verify, and report the failure."""
        failed = "; ".join(
            f"{r}: {short_id(image)} failed, {short_id(self.row.before.get(r, ''))} was before"
            for r, image in self.changed.items()
        )
        self.bad, self.changed = dict(self.changed), {}
        unit = getattr(error, "unit", "")
        # Now, and not at the end: by then the unit has said how well it does with the image of before.
        said = await last_lines(self.tx, unit) if unit else ()
        view = self.updates.converger.view
        try:
            await self._tag_back(step, view.of(self.workload.name, self.workload), account)
            running = await self._images.running(account)
            units = self._units(uses, running, self.row.before, self.row.before)
            await self._restart(step, units, "back to the image of before")
        except (HeldError, SupersededError):
            raise
        except EventdError as second:
            await self._stop_if_cut_off(second)
            raise UpdateFailedError(
                f"{failed}: {error.message}; going back failed as well: {second.message}",
                unit=unit or getattr(second, "unit", ""),
                reason="update-rollback-failed",
                hint="eventctl status shows what runs",
            ) from error
        raise UpdateFailedError(
            f"{failed}: {error.message}; rolled back, and what was before is up and verified",
            unit=unit,
            reason=GONE_BACK,
            hint="a fixed image is taken by the next update; this one is not taken again by itself",
            log=said,
        ) from error
