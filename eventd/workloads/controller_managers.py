"""Actions that need a user's manager fail with the manager's own reason when it cannot be used."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from eventd.health.model_actions import Verify
from eventd.kernel.executor import Handler
from eventd.kernel.model.action import Action
from eventd.kernel.model.errors import EventdError
from eventd.kernel.transaction import SupersededError
from eventd.managers.model_actions import Reload, StartManager
from eventd.managers.model_trouble import ManagerUnavailableError
from eventd.platform.model_facts import Account
from eventd.workloads.controller_transaction import Transaction
from eventd.workloads.model_actions import RestartUnit, StartUnit, StopUnit

IN_MANAGER = (StartManager, Reload, StartUnit, RestartUnit, StopUnit, Verify)
"""Actions that need a user's manager."""
Diagnose = Callable[[Account, EventdError | None], Awaitable[ManagerUnavailableError | None]]
"""Returns why a user's manager cannot be used, given the error of an attempt."""


def diagnosed(handlers: Mapping[type[Any], Handler], diagnose: Diagnose | None) -> dict[type[Any], Handler]:
    """Return the handlers; those that need a manager check it before, and after a failure."""
    if diagnose is None:
        return dict(handlers)
    return {
        action: _diagnosed(handler, diagnose) if issubclass(action, IN_MANAGER) else handler
        for action, handler in handlers.items()
    }


def _diagnosed(handler: Handler[Transaction], diagnose: Diagnose) -> Handler[Transaction]:
    async def handle(action: Action, tx: Transaction) -> None:
        if tx.account is None:
            await handler(action, tx)
            return
        if (trouble := await diagnose(tx.account, None)) is not None:
            raise trouble
        try:
            await handler(action, tx)
        except SupersededError:
            raise
        except EventdError as error:
            if (trouble := await diagnose(tx.account, error)) is not None:
                raise trouble from error
            raise

    return handle
