"""Activation: the wanted commit becomes the active revision, and an override begins or ends.

Loading a commit is free of effects (`eventd.desired.controller_load`). What has effects is here, in this order:
whoever has to write something down before the revision counts does so, and may refuse it; then it is active; then
everybody is told.

    REVISION fact -> load -> prepare -> active -> facts are kept for it -> activated
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from eventd.desired.controller_active import ActiveRevision
from eventd.desired.controller_interests import Interests
from eventd.desired.controller_load import Loaded
from eventd.kernel.controller import Desk
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
    """Who has a part in a revision's becoming active. The defaults have none."""

    async def prepare(self, loaded: Loaded) -> None:
        """Write down what a revision says, before it counts. What this raises keeps the revision before."""

    def activated(self, loaded: Loaded) -> None:
        """Take in the revision that is active now. Subjects that it no longer has may have to be put away yet."""


@dataclass(slots=True)
class Activation:
    """See the module."""

    facts: Facts
    load: Callable[[str], Awaitable[Loaded]]
    active: ActiveRevision
    overrides: Overrides
    inventory: Inventory
    interests: Interests
    desk: Desk
    participants: Sequence[Participant]
    afresh: Listeners[[str]]
    """Told of each workload that has another content now."""
    error: EventdError | None = None
    """Why the wanted commit is not active."""
    stale: bool = False
    """The desired state is to be made anew, though its commit is the wanted one."""

    @property
    def commit(self) -> str:
        """The commit that is active; empty before the first one."""
        return self.active.commit

    @property
    def wanted(self) -> object:
        """The commit that is wanted."""
        return self.facts.get(REVISION)

    @property
    def is_pending(self) -> bool:
        """The first fetch is still on: no commit is known, and nothing is wrong."""
        return self.active.desired is None and self.error is None and FETCH not in self.facts

    async def refresh(self) -> bool:
        """Make the wanted commit the active one, unless it is; what goes wrong is in `error`.

        Ends the rollbacks whose cause is gone, too. Returns whether a commit that could not be made active is now.
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
        # Of what stands as it should, too, no unit may be unknown: one that only a timer starts has no record.
        for name in {**self.active.asked_of, **loaded.desired.workloads}:
            self.interests.watch(name)
        for name, workload in loaded.desired.workloads.items():
            await self.overrides.verified(workload, self.inventory.records.workloads.get(name))
        self.interests.attend()
        for each in self.participants:
            each.activated(loaded)

    async def roll_back(self, order: Rollback) -> None:
        """Have another revision of one workload instead of the repository's."""
        await self.overrides.roll_back(order)
        self.interests.attend()
        self._begin_afresh(order.workload)
        await self.interests.renew()

    async def end_overrides(self) -> None:
        """End the rollbacks whose cause is gone: the repository's revision gets another chance."""
        if self.overrides.rollbacks.rows:
            ended = await self.overrides.end_what_came_right(tuple(self.overrides.rollbacks))
            for name in ended:
                self._begin_afresh(name)
            if ended:
                self.interests.attend()

    async def resume(self, name: str, by: str) -> Event:
        """End the suspension and the rollback of a workload (empty: the suspension of the host)."""
        event = await self.overrides.resume(name, by)
        if name:
            self._begin_afresh(name)
            self.interests.attend()
        return event

    def _begin_afresh(self, name: str) -> None:
        """Forget what the content before failed on, or waited for."""
        self.desk.forget(name)
        self.afresh(name)
        self.interests.watch(name)
