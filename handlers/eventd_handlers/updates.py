"""Images: pull and tag, in the store of the workload's user. The caller checks the result."""

from __future__ import annotations

from functools import partial

from eventd.kernel.model.action import Action
from eventd.kernel.model.errors import EventdError, TemporaryError
from eventd.kernel.transaction import SupersededError
from eventd.updates.model_actions import PullImages, TagImages
from eventd.workloads.controller_transaction import Transaction


async def pull(action: Action, tx: Transaction) -> None:
    """Pull every image, continuing after failures. Raises TemporaryError("pull-failed") naming all that failed.

    A registry that does not answer, possibly one that the workload set up itself, must not block a newer revision for
    the rest of the host.
    """
    assert isinstance(action, PullImages)
    failures: list[EventdError] = []
    for reference in action.references:
        pulling = partial(tx.host.images.pull, tx.user(), reference, timeout=action.timeout)
        try:
            await tx.unless_superseded(pulling)
        except SupersededError:
            raise
        except EventdError as error:
            failures.append(error)
    if failures:
        raise TemporaryError("; ".join(error.message for error in failures), reason="pull-failed")


async def tag(action: Action, tx: Transaction) -> None:
    """Move tags back."""
    assert isinstance(action, TagImages)
    for image, reference in action.images:
        await tx.host.images.tag(tx.user(), image, reference)
