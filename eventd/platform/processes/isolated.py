"""Runs work that serves one scope (a workload's user, a probe), so that its errors do not affect other scopes.

A source serves all scopes in one task group, and an exception in a task of a group ends the group. What one workload
says must not be able to do that, so tasks that serve one scope are started through `isolated`
(`tests/unit/platform/test_isolated.py` looks that they are).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from eventd.kernel.model.errors import EventdError, TemporaryError

_log = logging.getLogger(__name__)


async def isolated(
    what: str, work: Callable[[], Awaitable[None]], failed: Callable[[EventdError], None]
) -> None:
    """Run `work()`; tell `failed` of an exception, with a sentence for people. Its traceback is in the log.

    `what`: whose it is, as the beginning of a sentence.
    """
    try:
        await work()
    except EventdError as error:
        _log.warning("%s: %s", what, error, extra={"reason": error.reason})
        failed(error)
    except Exception as error:  # noqa: BLE001 - that is what this is for; it is logged, and told
        _log.exception("%s: ended with %s; other work continues", what, type(error).__name__)
        failed(
            TemporaryError(
                f"{what}: ended with {type(error).__name__}",
                reason="bad-reply",
                hint="the traceback is in journalctl -u eventd",
            )
        )
