"""Diagnoses why a user's manager cannot be used, before a use or after a failure.

It also closes a connection that does not answer, so that the link reconnects and waits in an open call, whose reply
ends the condition. What is seen is judged by `platform.systemd.model_manager_trouble`.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.facts import FactKey
from eventd.managers import adapter_evidence as manager_evidence
from eventd.managers.model_trouble import Cause, ManagerUnavailableError, explain
from eventd.platform.model_facts import PlatformFact, unit
from eventd.workloads.model_layout import manager_unit

if TYPE_CHECKING:
    from eventd.kernel.model.facts import Facts
    from eventd.managers.source import UserManagersSource
    from eventd.platform.model_facts import Account
    from eventd.platform.systemd.source import SystemSource

_HANGS = frozenset({Cause.FROZEN, Cause.STOPPED, Cause.SILENT})


@dataclass(slots=True)
class ManagerDoctor:
    """See the module."""

    facts: Facts
    system: SystemSource
    managers: UserManagersSource

    async def diagnose(self, account: Account, error: EventdError | None) -> ManagerUnavailableError | None:
        """Return why the manager cannot be used; None if no reason is found. `error`: as in `explain`."""
        name = manager_unit(account.uid)
        state = unit(self.facts.get(FactKey(PlatformFact.UNIT, name)))
        if error is not None:
            # Of units that nobody watches in full, the facts have no `Result`.
            with contextlib.suppress(EventdError):
                state = await self.system.read_unit(name)
        # A few files of /run, /proc and /sys: none of them is on a disk.
        seen = manager_evidence.collect(account.uid)
        found = explain(account, state, seen, error)
        if found is not None and found.cause in _HANGS:
            await self.managers.suspect(account.name)
        return found
