"""Requests whose answer depends on the repository wait for the first commit after a start."""

from __future__ import annotations

from eventd.desired.controller_activation import FETCH
from eventd.kernel.model.errors import TemporaryError
from eventd.kernel.waiting import until
from eventd.queries import Queries
from eventd.status import documents

LOAD_TIMEOUT = 60.0
"""Seconds to wait for the first commit after a start."""


async def until_loaded(queries: Queries) -> None:
    """Wait until a commit is loaded or cannot be loaded: the daemon listens before it has read the repository.

    Raises TemporaryError(reason="starting") after LOAD_TIMEOUT seconds.
    """
    loaded = await until(
        queries.facts,
        (FETCH,),
        lambda: documents.overall(queries) != "starting",
        timeout=LOAD_TIMEOUT,
        also=lambda wake: queries.passes.subscribe("a request", wake),
    )
    if not loaded:
        raise TemporaryError(
            "the daemon has not loaded a commit of the repository yet",
            reason="starting",
            hint="eventctl status shows what it waits for",
        )
