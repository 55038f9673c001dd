"""The run loop: runs over what is dirty, until nothing is. Who asks for one, and when it begins.

Owns the queue's way in: facts that changed, and requests. What a run is, is `eventd.kernel.runs`'s to say, what a
subject gets in it its controllers'.

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
    """Told before a run that somebody asked for."""
    runs: Runs

    def start(self) -> None:
        """Begin to listen to facts; runs begin with `serve`."""
        self.index.start(self._changed, self.woken)
        self.runs.revision.on_wanted(self._on_revision)

    def _changed(self, name: str) -> None:
        """A fact changed that concerns a subject, if it is one."""
        if self.controllers.owner(name).takes(name):
            self.dirty(name)

    def dirty(self, name: str) -> None:
        """Something about a subject changed."""
        live = self.board.statuses.get(name)
        self_caused = live is not None and live.state in (WorkloadState.APPLYING, WorkloadState.VERIFYING)
        if not self_caused:
            self.runs.note_contention()
        self.queue.touch(name, self.dispatcher.current, self_caused=self_caused)

    def woken(self, name: str) -> None:
        """A fact that it waits for, or failed on, changed."""
        self.board.retries.wake(name)
        self.dirty(name)

    def request(self, trigger: Event | None, *, forced: bool, handle: RunHandle | None = None) -> None:
        """Ask for a run over everything; `forced` gives what gave up another chance.

        A request joins a run over everything that is on, at the wanted commit: what changed on the host since it began
        has made its workload dirty anyway.
        """
        if forced and handle is not None and self.runs.join(handle, trigger):
            return
        if forced:
            self.forced()
        self.runs.note_contention()
        self.queue.touch_all(trigger, forced=forced, handle=handle)

    def ask(self, name: str, trigger: Event | None, handle: RunHandle | None = None) -> None:
        """Ask for a run over one workload, which gets another chance if it gave up."""
        self.forced()
        self.runs.note_contention()
        self.queue.ask(name, trigger, handle)

    def ask_all(self, names: Collection[str], trigger: Event | None, handle: RunHandle) -> None:
        """Ask for one run over several workloads; a run that has nothing to do is recorded all the same."""
        self.runs.note_contention()
        self.queue.ask_all(names, trigger, handle)

    def restart(self, name: str, trigger: Event | None, handle: RunHandle) -> None:
        """Ask for a run in which the units of a workload are restarted and verified.

        What is worked on just now gets it in the following run; a workload at rest joins the run that is on.
        """
        self.runs.note_contention()
        self.queue.restart(name, trigger, handle)

    async def serve(self) -> None:
        """Run for ever: wait for something dirty or a due retry, then deal with all of it."""
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
        """Run. What goes wrong with the run as a whole is told to who asked, and tried again after a pause.

        No exception may leave this loop: a bug in one place must not take down what still works elsewhere.
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
