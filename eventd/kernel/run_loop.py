"""The run loop: starts a run whenever something is dirty.

It feeds the queue from changed facts and requests. `eventd.kernel.runs` makes the run; the controllers say what each
subject gets.

    trigger -> Queue -> Runs (async lock, then file lock) -> Turns per subject -> RunReport
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass

import anyio

from eventd.kernel.controller import Controllers
from eventd.kernel.dispatch import Dispatcher
from eventd.kernel.index import Index
from eventd.kernel.listeners import Listeners
from eventd.kernel.model.errors import EventdError, PermanentError
from eventd.kernel.model.events import Event
from eventd.kernel.model.report import WorkloadState
from eventd.kernel.queue import Batch, Queue, RunHandle
from eventd.kernel.runs import Runs
from eventd.kernel.status_board import StatusBoard
from eventd.kernel.supervise import bug

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class RunLoop:
    """See the module."""

    dispatcher: Dispatcher
    index: Index
    queue: Queue
    controllers: Controllers
    board: StatusBoard
    forced: Listeners[[]]
    """Notified before a run that an operator asked for."""
    runs: Runs

    def start(self) -> None:
        """Start listening to facts. Runs begin with `serve`."""
        self.index.start(self._changed, self.woken)
        self.runs.revision.on_wanted(self._on_revision)

    def _changed(self, name: str) -> None:
        """Make a name dirty whose fact changed, if it is a subject."""
        if self.controllers.owner(name).takes(name):
            self.dirty(name)

    def dirty(self, name: str) -> None:
        """Make a subject dirty."""
        live = self.board.statuses.get(name)
        self_caused = live is not None and live.state in (WorkloadState.APPLYING, WorkloadState.VERIFYING)
        if not self_caused:
            self.runs.note_contention()
        self.queue.touch(name, self.dispatcher.current, self_caused=self_caused)

    def woken(self, name: str) -> None:
        """Make a subject dirty, and retry it at once: a fact changed that it waits for, or failed on."""
        self.board.retries.wake(name)
        self.dirty(name)

    def request(self, trigger: Event | None, *, forced: bool, handle: RunHandle | None = None) -> None:
        """Ask for a run over everything. `forced`: retry also what was given up.

        The request joins the current run if that covers everything at the wanted commit. What has changed since it
        began is dirty anyway.
        """
        if forced and handle is not None and self.runs.join(handle, trigger):
            return
        if forced:
            self.forced()
        self.runs.note_contention()
        self.queue.touch_all(trigger, forced=forced, handle=handle)

    def ask(self, name: str, trigger: Event | None, handle: RunHandle | None = None) -> None:
        """Ask for a run over one subject. It is retried even if it was given up."""
        self.forced()
        self.runs.note_contention()
        self.queue.ask(name, trigger, handle)

    def ask_all(self, names: Collection[str], trigger: Event | None, handle: RunHandle) -> None:
        """Ask for one run over several subjects. The run is recorded even if there is nothing to do."""
        self.runs.note_contention()
        self.queue.ask_all(names, trigger, handle)

    def restart(self, name: str, trigger: Event | None, handle: RunHandle) -> None:
        """Ask for a run that restarts and verifies the units of a workload.

        An idle workload joins the current run. One that is being worked on is restarted in the following run.
        """
        self.runs.note_contention()
        self.queue.restart(name, trigger, handle)

    async def serve(self) -> None:
        """Run for ever: wait until something is dirty or a retry is due, then make a run."""
        while True:
            due = [at for at in (self.runs.agenda.next_due(), self.runs.leftovers.due) if at is not None]
            await self.queue.wait(max(0.0, min(due) - anyio.current_time()) if due else None)
            await self.runs.draining.until_allowed()
            self.runs.agenda.touch_due()
            left = self.runs.leftovers.take(anyio.current_time())
            if left is not None:
                self.queue.put_back(left)
            batch = self.queue.take()
            if batch:
                await self._attempt(batch)

    async def _attempt(self, batch: Batch) -> None:
        """Make a run. If it fails as a whole, report that to the callers and retry it later.

        No exception leaves this loop: a bug in one place must not stop what still works.
        """
        try:
            with self.runs.watch.run():
                await self.runs.run(batch)
        except EventdError as error:
            log.error("a run could not be made: %s", error)  # noqa: TRY400 - reported, not a bug
            self.runs.failed(batch, error)
        except Exception as error:
            log.exception("bug: a run ended with %s", type(error).__name__)
            self.runs.failed(batch, bug(error))
        else:
            if self.runs.revision.error is None:
                self.runs.leftovers.settled()
            elif not isinstance(self.runs.revision.error, PermanentError):
                self.runs.leftovers.leave(Batch(everything=True))

    def _on_revision(self) -> None:
        self.runs.interrupt()
        self.request(self.dispatcher.current, forced=False)
