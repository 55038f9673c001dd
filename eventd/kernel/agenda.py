"""The agenda: which subjects a batch covers, which of them have work, and which timers are due.

It keeps no state and starts nothing. It asks the controllers; turns carry out what they decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import anyio

from eventd.kernel.controller import Controllers, Request, RetryState
from eventd.kernel.dispatch import Dispatcher
from eventd.kernel.model.events import KernelEvent, KernelOrigin
from eventd.kernel.model.verdicts import Hold
from eventd.kernel.ports import Due
from eventd.kernel.queue import Batch, Queue
from eventd.kernel.status_board import StatusBoard


@dataclass(slots=True)
class Agenda:
    """See the module."""

    controllers: Controllers
    board: StatusBoard
    retries: RetryState
    queue: Queue
    dispatcher: Dispatcher
    due: Sequence[Due]
    """Other timers that make subjects dirty, besides retries and deadlines."""

    def subjects(self, batch: Batch) -> list[str]:
        """Return the subjects that a batch covers, sorted."""
        if batch.everything:
            return sorted(self.controllers.names())
        # Does not go through all names: the cost is proportional to what is dirty.
        return sorted(name for name in batch.names if self.controllers.owner(name).takes(name))

    def settle(self, names: Iterable[str]) -> None:
        """Set the status of subjects that need no turn."""
        for name in names:
            self.board.settle(name, None)

    def has_work(self, name: str, batch: Batch) -> bool:
        """Return whether a turn would do something for a subject, or report something new about it."""
        request = request_of(name, batch)
        controllers = self.controllers.of(name)
        for controller in controllers:
            found = controller.decide(name, request, self.retries)
            if found.is_nothing:
                continue
            if found.due:
                return True
            if found.actions:
                verdict = self.retries.judge(found.actions[0], found.seen, 0)
                return not isinstance(verdict, Hold) or not self.retries.is_known(
                    name, controllers[0], verdict
                )
            before, block = self.board.statuses.get(name), found.blocked
            assert block is not None
            return before is None or (before.reason, before.message) != (block.reason, block.message)
        return False

    def next_due(self) -> float | None:
        """Return the loop time at which the next retry, deadline or recovery is due."""
        times = (
            self.retries.failures.next_retry(),
            self.retries.holds.next_deadline(),
            *(each.next_due() for each in self.due),
        )
        return min((at for at in times if at is not None), default=None)

    def touch_due(self) -> None:
        """Make subjects dirty whose retry, deadline or recovery is due."""
        now = anyio.current_time()
        for each in self.due:
            for name in each.take_due(now):
                self.queue.touch(name, None)
        for name in (*self.retries.failures.take_due(now), *self.retries.holds.due(now)):
            self.queue.touch(
                name, self.dispatcher.emit(KernelOrigin.DAEMON, KernelEvent.RETRY, name, scope=name)
            )


def request_of(name: str, batch: Batch) -> Request:
    """Return the request of a batch for one subject."""
    return Request(batch.asks(name), name in batch.restarts)
