"""Verified images: which images the containers of a verified revision ran, so that a rollback uses the same ones.

Stores and restores them: otherwise a tag that has moved since would bring the bad image with the good files.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from eventd.desired.model import OnFailure, Workload
from eventd.kernel.document_table import DocumentTable
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.report import Outcome, WorkloadReport
from eventd.overrides.model import KEPT
from eventd.platform.model_facts import Account
from eventd.state.controller_inventory import Inventory
from eventd.updates.model import UsedImage, UsedImages
from eventd.updates.model_images import ImageUse, images_of, restorable, running_of, to_restart
from eventd.updates.ports import Images
from eventd.workloads.controller_transaction import Transaction

log = logging.getLogger(__name__)


@dataclass(slots=True)
class VerifiedImages:
    """See the module."""

    inventory: Inventory
    images: Images
    used: DocumentTable[UsedImages] = field(init=False)

    def __post_init__(self) -> None:
        """Name the table."""
        self.used = DocumentTable(self.inventory.documents, "images", UsedImages)

    async def load(self) -> None:
        """Load what is stored."""
        await self.used.load()

    async def note_verified(self, tx: Transaction, workload: Workload, report: WorkloadReport) -> None:
        """Store the images of a verified revision, for a rollback."""
        if report.outcome is not Outcome.OK or workload.options.on_failure is not OnFailure.ROLLBACK:
            return
        uses = restorable(images_of(workload))
        record = self.inventory.records.workloads.get(workload.name)
        if not uses or tx.account is None or record is None or record.verified_digest != workload.digest:
            return
        try:
            await self.remember(tx.account, workload, uses)
        except EventdError as error:
            log.warning("cannot store the verified images of %s yet: %s", workload.name, error)

    async def remember(self, account: Account, workload: Workload, uses: list[ImageUse]) -> None:
        """Store which images the containers of a verified revision run."""
        running = await self.images.running(account)
        ids = {use.reference: image for use in uses if (image := running_of(use, running))}
        known = await self.images.inspect(account, tuple(dict.fromkeys(ids.values())))
        images = tuple(
            UsedImage(reference, image, known[image].digests if image in known else ())
            for reference, image in sorted(ids.items())
        )
        rows = self.used.get(workload.name) or UsedImages()
        if images and rows.of(workload.digest) != images:
            await self.used.put(workload.name, rows.with_verified(workload.digest, images, KEPT))

    async def restore(self, tx: Transaction, workload: Workload) -> tuple[str, ...]:
        """Tag the images again that this revision was verified with; return the units that need a restart.

        For a rollback: otherwise a tag that has moved since would bring the bad image with the good files.
        """
        used = self.used.get(workload.name)
        wanted = {each.reference: each.id for each in (used.of(workload.digest) if used is not None else ())}
        if not wanted or tx.account is None:
            return ()
        found = await self.images.inspect(tx.account, tuple(wanted))
        moved = tuple(
            (image, reference)
            for reference, image in wanted.items()
            if reference not in found or found[reference].id != image
        )
        for image, reference in moved:
            await self.images.tag(tx.account, image, reference)
        running = await self.images.running(tx.account)
        return to_restart(images_of(workload), running, wanted)
