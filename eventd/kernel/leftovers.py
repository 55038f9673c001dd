"""Leftovers: what a run could not do as a whole, or not write down. It is tried again after pauses that grow.

Owns that memory, and nothing else: the runs write and settle it (`Runs.run`), the run loop asks when it is due.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from eventd.kernel.model import backoff
from eventd.kernel.model.report import RunReport
from eventd.kernel.ports import Recovery, RunStore
from eventd.kernel.queue import Batch
from eventd.kernel.steps import Steps


@dataclass(slots=True)
class Leftovers:
    """See the module."""

    store: RunStore
    steps: Steps
    recovery: Recovery
    jitter: Callable[[], float]
    due: float | None = None
    """Loop time at which what is left is tried again."""
    unwritten: list[RunReport] = field(default_factory=list)
    """Runs that have ended, and whose reports could not be written."""
    _batch: Batch | None = None
    _attempts: int = 0

    def leave(self, batch: Batch) -> None:
        """Have a batch tried again, after a pause that grows with each time."""
        self._attempts += 1
        if self._batch is not None:
            batch.names |= self._batch.names
            batch.everything |= self._batch.everything
        self._batch = batch
        self.due = anyio.current_time() + backoff.delay(self._attempts, self.jitter())

    def settled(self) -> None:
        """A run went well: unless something is left, the pauses begin anew."""
        if self.due is None:
            self._attempts = 0

    def take(self, now: float) -> Batch | None:
        """Return what is due, once."""
        if self.due is None or self.due > now:
            return None
        batch, self._batch, self.due = self._batch, None, None
        return batch or Batch(everything=True)

    @property
    def is_behind(self) -> bool:
        """There is something that could not be written, or not be settled."""
        return not self.recovery.done or bool(self.unwritten or self.steps.unwritten)

    async def catch_up(self) -> set[str]:
        """Write and settle it now; return whose steps are settled by that. Raises what writing raises."""
        await self.steps.write()
        while self.unwritten:
            await self.store.end_run(self.unwritten[0])
            del self.unwritten[0]
        before = {step.workload for step in self.recovery.pending}
        await self.recovery.finish()
        return before - {step.workload for step in self.recovery.pending}
