"""Steps: the intent is journalled before a step acts, the result afterwards. Recovery settles what a crash left open.

No intent is written before the results of earlier steps. If the result of a finished step could not be written (the
disk was full), the step must not stay open: the next start would take it for one that a crash interrupted.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from eventd.kernel.model.action import Action
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.journal import OpenStep
from eventd.kernel.ports import StepStore
from eventd.kernel.transaction import BaseTransaction

log = logging.getLogger(__name__)


class Detail(Protocol):
    """Returns what an intent must carry, so that a step can be settled without its action."""

    def __call__(self, action: Action, seen: Any, /) -> Mapping[str, str]:
        """Return the detail. `seen`: the observed subject."""
        ...


class Settles(Protocol):
    """Settles a failed step, as after a crash."""

    async def settle_failed(self, step: OpenStep) -> bool:
        """Make the records agree with what the step left behind. Return False if the step has to stay open."""
        ...


@dataclass(slots=True)
class Steps:
    """Writes steps to the journal."""

    store: StepStore
    detail: Detail
    recovery: Settles
    unwritten: dict[int, str] = field(default_factory=dict)
    """Ended steps whose results are not written yet."""
    _open: dict[int, OpenStep] = field(default_factory=dict)

    async def begin(self, action: Action, tx: BaseTransaction, seen: Any) -> int:
        """Write the intent of an action. Return the step's number."""
        await self.write()
        detail = json.dumps(self.detail(action, seen))
        step = await self.store.begin_step(tx.run, tx.workload, action.verb, action.target, detail)
        self._open[step] = OpenStep(tx.run, tx.workload, action.verb, action.target, step, detail)
        return step

    async def end(self, step: int, result: str) -> None:
        """Write a result. If that fails, it is written before the next intent. Raises what writing raises."""
        self._open.pop(step, None)
        self.unwritten[step] = result
        await self.write()

    async def failed(self, step: int, result: str) -> None:
        """Settle a failed step and write its result. An error in that does not hide why the step failed."""
        mine = self._open.pop(step, None)
        if mine is not None and not await self.recovery.settle_failed(mine):
            return  # it stays open, and is settled before the next run
        try:
            await self.end(step, result)
        except EventdError as error:
            log.error("cannot write the result of step %d yet: %s", step, error)  # noqa: TRY400 - told with the other

    async def write(self) -> None:
        """Write the outstanding results. Raises what writing raises."""
        for step, result in tuple(self.unwritten.items()):
            if self.unwritten.pop(step, None) is None:
                continue  # another subject's task is writing it
            try:
                await self.store.end_step(step, result)
            except EventdError:
                self.unwritten[step] = result
                raise
