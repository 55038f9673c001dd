"""Looks why a user's manager cannot be used, when it is to be used or has just failed.

Owns the look and the connection's fate: one that does not answer is closed, so that the link connects anew and waits in
an open call, whose answer is the event that ends the condition. What is seen is judged by `core.manager_trouble`.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventd.adapters import manager_evidence
from eventd.core.errors import EventdError
from eventd.core.facts import FactKey
from eventd.core.layout import manager_unit
from eventd.core.manager_trouble import Cause, ManagerUnavailableError, explain
from eventd.platform.model_facts import PlatformFact, unit

if TYPE_CHECKING:
    from eventd.core.facts import Facts
    from eventd.platform.model_facts import Account
    from eventd.sources.systemd import SystemSource
    from eventd.sources.user_managers import UserManagersSource

_HANGS = frozenset({Cause.FROZEN, Cause.STOPPED, Cause.SILENT})


@dataclass(slots=True)
class ManagerDoctor:
    """See the module."""

    facts: Facts
    system: SystemSource
    managers: UserManagersSource

    async def diagnose(self, account: Account, error: EventdError | None) -> ManagerUnavailableError | None:
        """Return why the manager cannot be used; None if nothing says so. `error`: as in `explain`."""
        name = manager_unit(account.uid)
        state = unit(self.facts.get(FactKey(PlatformFact.UNIT, name)))
        if error is not None:
            # Of units that nobody watches in full, the facts have no `Result`.
            with contextlib.suppress(EventdError):
                state = await self.system.read_unit(name)
        # A few files of /run, /proc and /sys: none of them is on a disk.
        seen = manager_evidence.look(account.uid)
        found = explain(account, state, seen, error)
        if found is not None and found.cause in _HANGS:
            await self.managers.suspect(account.name)
        return found
