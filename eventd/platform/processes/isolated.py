"""Runs work for one scope (a workload's user, a probe) so that its errors do not affect other scopes.

A source serves all scopes in one task group, and an exception in one task ends the group. A workload must not be able
to cause that, so each task for one scope is started through `isolated` (`tests/unit/platform/test_isolated.py` checks
it).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from eventd.kernel.model.errors import EventdError, TemporaryError

_log = logging.getLogger(__name__)


async def isolated(
    what: str, work: Callable[[], Awaitable[None]], failed: Callable[[EventdError], None]
) -> None:
    """Run `work()`. Log an exception, and pass it to `failed`.

    `what`: names the scope, as the beginning of a sentence.
    """
    try:
        await work()
    except EventdError as error:
        _log.warning("%s: %s", what, error, extra={"reason": error.reason})
        failed(error)
    except Exception as error:  # noqa: BLE001 - isolating it is the purpose; it is logged and passed on
        _log.exception("%s: ended with %s; other work continues", what, type(error).__name__)
        failed(
            TemporaryError(
                f"{what}: ended with {type(error).__name__}",
                reason="bad-reply",
                hint="the traceback is in journalctl -u eventd",
            )
        )
