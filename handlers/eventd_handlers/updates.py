"""Images: pull and tag, in the store of the workload's user. What came of it is looked at by who asked."""

from __future__ import annotations

from functools import partial

from eventd.kernel.model.action import Action
from eventd.kernel.model.errors import EventdError, TemporaryError
from eventd.kernel.transaction import SupersededError
from eventd.workloads.controller_transaction import Transaction
from eventd.workloads.model_actions import PullImages, TagImages


async def pull(action: Action, tx: Transaction) -> None:
    """Pull every image, going on past failures. Raises TemporaryError("pull-failed") naming all of them.

    A registry that does not answer, which may be one of the workload's own making, must not keep a newer revision from
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
