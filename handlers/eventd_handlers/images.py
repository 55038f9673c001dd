"""Images: pull and tag, in the store of the workload's user. What came of it is looked at by who asked."""

from __future__ import annotations

from eventd.core.actions import Action, PullImages, TagImages
from eventd.core.errors import EventdError, TemporaryError
from eventd.runtime.transaction import Transaction


async def pull(action: Action, tx: Transaction) -> None:
    """Pull every image, going on past failures. Raises TemporaryError("pull-failed") naming all of them."""
    assert isinstance(action, PullImages)
    failures: list[EventdError] = []
    for reference in action.references:
        try:
            await tx.host.images.pull(tx.user(), reference, timeout=action.timeout)
        except EventdError as error:
            failures.append(error)
    if failures:
        raise TemporaryError("; ".join(error.message for error in failures), reason="pull-failed")


async def tag(action: Action, tx: Transaction) -> None:
    """Move tags back."""
    assert isinstance(action, TagImages)
    for image, reference in action.images:
        await tx.host.images.tag(tx.user(), image, reference)
