"""Steps: the intent of each is written before it acts, its result after. What a crash leaves open is `recover`'s.

No intent is written before the results of earlier steps are. A step that is done, and whose result could not be
written (the disk was full), is not one that a crash cut off: left open, the next start would take it for that.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field

from eventd.core.errors import EventdError
from eventd.core.journal import OpenStep
from eventd.core.layout import Layout
from eventd.core.observed import Observed
from eventd.core.ports import Store
from eventd.core.records import Records
from eventd.kernel.action import Action
from eventd.kernel.action_table import ActionTable
from eventd.runtime.recover import Recovery
from eventd.runtime.transaction import Transaction

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Steps:
    """The steps of one life of the daemon."""

    actions: ActionTable
    unwritten: dict[int, str] = field(default_factory=dict)
    """Steps that have ended, with the results that are to be written."""
    recovery: Recovery | None = None
    """Settles what failed, as after a crash: an act may have taken effect all the same, or a record be ahead of one."""
    _open: dict[int, OpenStep] = field(default_factory=dict)

    async def begin(
        self, action: Action, tx: Transaction, seen: Observed, records: Records, layout: Layout
    ) -> int:
        """Write the intent of an action; return the step's number."""
        await self.write(tx.host.store)
        detail = json.dumps(self.actions.detail(action, seen, records, layout))
        step = await tx.host.store.begin_step(tx.run, tx.workload, action.verb, action.target, detail)
        self._open[step] = OpenStep(tx.run, tx.workload, action.verb, action.target, step, detail)
        return step

    async def end(self, step: int, result: str, tx: Transaction) -> None:
        """Write a result; what cannot be written now goes before the next intent. Raises what writing raises."""
        self._open.pop(step, None)
        self.unwritten[step] = result
        await self.write(tx.host.store)

    async def failed(self, step: int, result: str, tx: Transaction) -> None:
        """Settle a step that failed, and write its result; that it cannot be written does not hide why it failed."""
        mine = self._open.pop(step, None)
        if self.recovery is not None and mine is not None and not await self.recovery.after_failure(mine):
            return  # it stays open, and is settled before the next run
        try:
            await self.end(step, result, tx)
        except EventdError as error:
            log.error("the result of step %d is not written yet: %s", step, error)  # noqa: TRY400 - told with the other

    async def write(self, store: Store) -> None:
        """Write the results that are due. Raises what writing raises."""
        for step, result in tuple(self.unwritten.items()):
            if self.unwritten.pop(step, None) is None:
                continue  # another workload's task is at it
            try:
                await store.end_step(step, result)
            except EventdError:
                self.unwritten[step] = result
                raise
