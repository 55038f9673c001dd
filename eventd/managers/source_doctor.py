"""Diagnoses why a user's manager cannot be used, before a use or after a failure.

`model_trouble` explains what is observed here. If the manager does not answer, this also replaces the connection: the
new one waits in its first call, and the reply shows that the manager answers again.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.facts import FactKey
from eventd.managers import adapter_evidence
from eventd.managers.model_trouble import Cause, ManagerUnavailableError, explain
from eventd.platform.model_facts import PlatformFact, unit
from eventd.platform.systemd.model_user_manager import manager_unit

if TYPE_CHECKING:
    from eventd.kernel.model.facts import Facts
    from eventd.managers.source import UserManagersSource
    from eventd.platform.model_facts import Account
    from eventd.platform.systemd.source import SystemSource

_HANGS = frozenset({Cause.FROZEN, Cause.STOPPED, Cause.SILENT})


@dataclass(slots=True)
class ManagerDoctor:
    """Diagnoses user managers."""

    facts: Facts
    system: SystemSource
    managers: UserManagersSource

    async def diagnose(self, account: Account, error: EventdError | None) -> ManagerUnavailableError | None:
        """Return why the manager cannot be used; None if no cause is found. `error`: as in `explain`."""
        name = manager_unit(account.uid)
        state = unit(self.facts.get(FactKey(PlatformFact.UNIT, name)))
        if error is not None:
            # The fact of a unit that is not watched has no `Result`.
            with contextlib.suppress(EventdError):
                state = await self.system.read_unit(name)
        # It reads a few files of /run, /proc and /sys, which are not on a disk, so it may block the loop.
        seen = adapter_evidence.collect(account.uid)
        found = explain(account, state, seen, error)
        if found is not None and found.cause in _HANGS:
            await self.managers.reconnect(account.name)
        return found
