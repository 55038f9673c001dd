"""Leftovers: batches whose run failed as a whole, and results that could not be written. Retried with backoff.

It only keeps them: `Runs.run` writes and settles them, and the run loop asks when the next retry is due.
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
    """Loop time of the next retry."""
    unwritten: list[RunReport] = field(default_factory=list)
    """Reports of ended runs that could not be written yet."""
    _batch: Batch | None = None
    _attempts: int = 0

    def leave(self, batch: Batch) -> None:
        """Retry a batch later, with backoff."""
        self._attempts += 1
        if self._batch is not None:
            batch.names |= self._batch.names
            batch.everything |= self._batch.everything
        self._batch = batch
        self.due = anyio.current_time() + backoff.delay(self._attempts, self.jitter())

    def settled(self) -> None:
        """Reset the backoff after a successful run, unless something is left."""
        if self.due is None:
            self._attempts = 0

    def take(self, now: float) -> Batch | None:
        """Return the batch that is due, once."""
        if self.due is None or self.due > now:
            return None
        batch, self._batch, self.due = self._batch, None, None
        return batch or Batch(everything=True)

    @property
    def is_behind(self) -> bool:
        """Return whether something is still to be written or settled."""
        return not self.recovery.done or bool(self.unwritten or self.steps.unwritten)

    async def catch_up(self) -> set[str]:
        """Write and settle everything. Return the subjects whose steps were settled. Raises what writing raises."""
        await self.steps.write()
        while self.unwritten:
            await self.store.end_run(self.unwritten[0])
            del self.unwritten[0]
        before = {step.workload for step in self.recovery.pending}
        await self.recovery.finish()
        return before - {step.workload for step in self.recovery.pending}
