"""Activation: makes the wanted commit the active revision, and begins and ends overrides.

Loading a commit has no effects (`eventd.desired.controller_load`). The effects are here, in this order: participants
write down what has to be on disk first, and may refuse the revision; the revision becomes active; participants are
notified.

    REVISION fact -> load -> prepare -> active -> facts are kept for it -> activated
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from eventd.desired.controller_active import ActiveRevision
from eventd.desired.controller_interests import Interests
from eventd.desired.controller_load import Loaded
from eventd.kernel.controller import RetryState
from eventd.kernel.listeners import Listeners
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.events import Event
from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.supervise import bug
from eventd.overrides.controller import Overrides
from eventd.overrides.model import Rollback
from eventd.repository.model_facts import RepositoryFact
from eventd.state.controller_inventory import Inventory

REVISION = FactKey(RepositoryFact.REVISION)
FETCH = FactKey(RepositoryFact.FETCH)
log = logging.getLogger(__name__)


class Participant:
    """Takes part in the activation of a revision. The defaults do nothing."""

    async def prepare(self, loaded: Loaded) -> None:
        """Write down what the revision says, before it is active. If this raises, the previous revision stays."""

    def activated(self, loaded: Loaded) -> None:
        """Take in the active revision. Subjects that it no longer has may still have to be removed."""


@dataclass(slots=True)
class Activation:
    """See the module."""

    facts: Facts
    load: Callable[[str], Awaitable[Loaded]]
    active: ActiveRevision
    overrides: Overrides
    inventory: Inventory
    interests: Interests
    retries: RetryState
    participants: Sequence[Participant]
    content_changed: Listeners[[str]]
    """Called for each workload whose content has changed."""
    revised: Listeners[[]]
    """Told when another revision is active, after all participants."""
    error: EventdError | None = None
    """Why the wanted commit is not active."""
    stale: bool = False
    """The desired state has to be loaded again, although its commit is the wanted one."""

    @property
    def commit(self) -> str:
        """The commit that is active; empty before the first one."""
        return self.active.commit

    @property
    def wanted(self) -> object:
        """The commit that is wanted."""
        return self.facts.get(REVISION)

    def on_wanted(self, listener: Callable[[], None]) -> None:
        """Call `listener` each time that another commit is wanted."""
        self.facts.watch((REVISION,), lambda _key: listener())

    @property
    def is_pending(self) -> bool:
        """The first fetch is still running: no commit is known, and nothing is wrong."""
        return self.active.desired is None and self.error is None and FETCH not in self.facts

    def reload(self) -> None:
        """Forget the desired state, so that the next run makes it anew: transforms or rules changed."""
        self.stale = True

    async def refresh(self) -> bool:
        """Activate the wanted commit, unless it is active already. Errors are kept in `error`.

        Also ends the rollbacks whose cause is gone. Returns whether this activated a commit that had failed before.
        """
        failed = self.error is not None
        await self._activate()
        await self.end_overrides()
        return failed and self.error is None

    async def _activate(self) -> None:
        wanted = self.wanted
        known = self.active.desired is not None and self.active.commit == wanted and not self.stale
        if not isinstance(wanted, str) or known:
            return
        self.stale = False
        try:
            await self.activate(await self.load(wanted))
            self.error = None
        except EventdError as error:
            self.error, self.stale = error, True
        except Exception as error:
            log.exception("bug: reading %s ended with %s", wanted, type(error).__name__)
            self.error, self.stale = bug(error), True

    async def activate(self, loaded: Loaded) -> None:
        """Make a revision the active one. Raises EventdError."""
        for each in self.participants:
            await each.prepare(loaded)
        self.active.replace(loaded)
        for name in await self.overrides.desired_changed(loaded.desired, loaded.gates):
            self._begin_afresh(name)
        await self.interests.renew()
        # Watch converged workloads too: a unit that only a timer starts has no record.
        for name in {**self.active.units_in_gates, **loaded.desired.workloads}:
            self.interests.watch(name)
        for name, workload in loaded.desired.workloads.items():
            await self.overrides.verified(workload, self.inventory.records.workloads.get(name))
        self.interests.attend()
        for each in self.participants:
            each.activated(loaded)
        self.revised()

    async def roll_back(self, order: Rollback) -> None:
        """Use another revision of one workload instead of the repository's."""
        await self.overrides.roll_back(order)
        self.interests.attend()
        self._begin_afresh(order.workload)
        await self.interests.renew()

    async def end_overrides(self) -> None:
        """End the rollbacks whose cause is gone, so that the repository's revision is tried again."""
        if self.overrides.rollbacks.rows:
            ended = await self.overrides.end_what_came_right(tuple(self.overrides.rollbacks))
            for name in ended:
                self._begin_afresh(name)
            if ended:
                self.interests.attend()

    async def resume(self, name: str, by: str) -> Event:
        """End the suspension and the rollback of a workload. An empty name: end the suspension of the host."""
        event = await self.overrides.resume(name, by)
        if name:
            self._begin_afresh(name)
            self.interests.attend()
        return event

    def _begin_afresh(self, name: str) -> None:
        """Forget the failures and waits of the previous content."""
        self.retries.forget(name)
        self.content_changed(name)
        self.interests.watch(name)
