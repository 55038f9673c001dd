"""The steps of one update in one turn: from the pull to verified images, or back to the previous ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from eventd.desired.model import UnitRole, Workload
from eventd.kernel.document_table import DocumentTable
from eventd.kernel.executor import HeldError, Step
from eventd.kernel.model.errors import DisconnectedError, EventdError, PermanentError, TemporaryError
from eventd.kernel.model.facts import FactKey
from eventd.kernel.transaction import SupersededError
from eventd.managers.model_trouble import ManagerUnavailableError
from eventd.platform.model_facts import Account
from eventd.platform.systemd.ports import UserManagers
from eventd.updates.controller_images import VerifiedImages
from eventd.updates.model import Update, UpdateResult
from eventd.updates.model_actions import PullImages, TagImages
from eventd.updates.model_images import (
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
from eventd.updates.ports import Images
from eventd.workloads.controller_judging import Sight
from eventd.workloads.controller_planner import Planner
from eventd.workloads.controller_transaction import CALLED_OFF, Transaction, UnitFailedError
from eventd.workloads.controller_units import last_lines, restart_units
from eventd.workloads.model_facts import ManagerState, WorkloadFact

PULL_TIMEOUT = 600.0
"""Seconds for one image."""
GONE_BACK = "update-rolled-back"
"""The reason of an update that was rolled back: the previous image is up and verified."""
ASIDE = frozenset({"pull-failed", "known-bad-image", "image-gone", GONE_BACK, "podman-failed"})
"""Reasons of a failed update that left the workload as it was."""


class UpdateFailedError(UnitFailedError):
    """A new image did not become healthy; the previous one runs again."""


class UpdateRows(Protocol):
    """The stored rows of updates."""

    results: DocumentTable[UpdateResult]

    async def begin_applying(self, row: Update, before: Mapping[str, str]) -> Update:
        """Store that an update begins, with the previous images; return the row as it is now."""
        ...


class UpdateWork:
    """One update in one turn."""

    def __init__(
        self,
        planner: Planner,
        verified: VerifiedImages,
        user_managers: UserManagers,
        rows: UpdateRows,
        tx: Transaction,
        workload: Workload,
        row: Update,
    ) -> None:
        self._planner = planner
        self._verified = verified
        self._user_managers = user_managers
        self._rows = rows
        self.tx = tx
        self.workload = workload
        self.row = row
        self.changed: Mapping[str, str] = {}
        self.bad: dict[str, str] = {}
        self.message = ""
        self.cut_off = False
        """It was interrupted through no fault of the image, and continues later."""

    async def run(self, step: Step) -> None:
        """Pull, compare, restart, verify; or roll back."""
        uses, account = images_of(self.workload), self.tx.user()
        references = updatable(uses)
        if not references:
            self.message = "no image of it can be updated: " + ", ".join(
                f"{use.reference} ({use.fixed})" for use in uses
            )
            return
        seen = self._planner.sight(self.workload.name, self.workload)
        resumed = self.row.applying
        if not resumed:
            await self._begin(uses, references, account)
        # An interrupted update continues with what it has pulled, so it needs no network now.
        if not resumed or not await self._moved(account):
            try:
                await step(
                    PullImages(self.workload.name, references, PULL_TIMEOUT, "an update was requested"), seen
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
        await self._verified.remember(account, self.workload, restorable(uses))

    async def _stop_if_cut_off(self, error: EventdError) -> None:
        """Raise the error again if it is not about the image.

        The host is shutting down, the user's manager is gone, or the start job was cancelled. The update stays stored
        and continues later: a rollback now would fail as well.
        """
        self.tx.excuse(error)
        name, gone = self.workload.name, isinstance(error, DisconnectedError | ManagerUnavailableError)
        gone |= error.reason == CALLED_OFF
        if not gone:
            try:
                await self._user_managers.refresh(name)
            except TemporaryError:
                gone = True
        if gone or self.tx.facts.get(FactKey(WorkloadFact.MANAGER, name)) is not ManagerState.UP:
            self.cut_off = True
            raise error

    @property
    def _images(self) -> Images:
        return self._verified.images

    async def _begin(self, uses: tuple[ImageUse, ...], references: tuple[str, ...], account: Account) -> None:
        """Store what runs, and tag it so that it is not pruned."""
        running = await self._images.running(account)
        before = {r: image.id for r, image in (await self._local(references, account)).items()}
        for use in uses:
            if use.reference in references and (image := running_of(use, running)):
                before[use.reference] = image
        for reference, image in before.items():
            await self._images.tag(account, image, keep_tag(reference))
        self.row = await self._rows.begin_applying(self.row, before)

    async def _local(self, references: tuple[str, ...], account: Account) -> Mapping[str, Image]:
        return await self._images.inspect(account, references)

    async def _refuse_bad(self, step: Step, seen: Sight, account: Account) -> None:
        """Refuse an image that an earlier update was rolled back from: it would fail every night."""
        result = self._rows.results.get(self.workload.name)
        known = {} if result is None or self.row.retry else result.bad
        again = sorted(r for r, image in self.changed.items() if known.get(r) == image)
        if not again:
            return
        self.changed = {}
        await self._tag_back(step, seen, account)
        raise PermanentError(
            f"{', '.join(again)}: the registry still has the image that the last update was rolled back from",
            reason="known-bad-image",
            hint=f"push another image, or `eventctl update {self.workload.name} --retry`",
        )

    async def _moved(self, account: Account) -> tuple[tuple[str, str], ...]:
        """Return the previous images whose references name other images now."""
        now = await self._local(tuple(self.row.before), account)
        return tuple(
            (image, reference)
            for reference, image in self.row.before.items()
            if reference not in now or now[reference].id != image
        )

    async def _tag_back(self, step: Step, seen: Sight, account: Account) -> None:
        """Move tags back to the previous images."""
        moved = await self._moved(account)
        if moved:
            await step(TagImages(self.workload.name, moved, "the previous images"), seen)

    def _units(
        self,
        uses: tuple[ImageUse, ...],
        running: Sequence[Running],
        wanted: Mapping[str, str],
        changed: Iterable[str],
    ) -> tuple[str, ...]:
        """Return the units that run other images than `wanted`, and those that are down with a changed image."""
        always = {unit.name for unit in self.workload.units if unit.role is UnitRole.RUNNING}
        idle = without_containers(uses, running, changed)
        return (*to_restart(uses, running, wanted), *(unit for unit in idle if unit in always))

    async def _restart(self, step: Step, units: tuple[str, ...], why: str) -> None:
        """Restart units in their order, then verify the whole workload."""
        await restart_units(step, self._planner, self.workload, units, why)

    async def _go_back(
        self, step: Step, uses: tuple[ImageUse, ...], account: Account, error: EventdError
    ) -> None:
        """Restore the previous images, restart what does not run them, verify, and report the failure."""
        failed = "; ".join(
            f"{r}: {short_id(image)} failed; the previous one is {short_id(self.row.before.get(r, ''))}"
            for r, image in self.changed.items()
        )
        self.bad, self.changed = dict(self.changed), {}
        unit = getattr(error, "unit", "")
        # Read the log now: later the unit has logged its start with the previous image.
        said = await last_lines(self.tx, unit) if unit else ()
        try:
            await self._tag_back(step, self._planner.sight(self.workload.name, self.workload), account)
            running = await self._images.running(account)
            units = self._units(uses, running, self.row.before, self.row.before)
            await self._restart(step, units, "back to the previous image")
        except (HeldError, SupersededError):
            raise
        except EventdError as second:
            await self._stop_if_cut_off(second)
            raise UpdateFailedError(
                f"{failed}: {error.message}; the rollback failed as well: {second.message}",
                unit=unit or getattr(second, "unit", ""),
                reason="update-rollback-failed",
                hint="eventctl status shows what runs",
            ) from error
        raise UpdateFailedError(
            f"{failed}: {error.message}; rolled back; the previous image is up and verified",
            unit=unit,
            reason=GONE_BACK,
            hint="push a fixed image for the next update; this one is not retried by itself",
            log=said,
        ) from error
