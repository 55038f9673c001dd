"""Turns: one subject's part of one run, from opening the transaction to recording the outcome.

It owns the order: each controller of the subject does its part, the owner records the result, then the status is set.
Which subjects get a turn, and when, is decided by the runs; what is done, by the controllers.

    run -> Turns -> Controller.reconcile ... -> Controller.note -> StatusBoard -> run
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import anyio

from eventd.kernel.controller import Controllers, Request, RetryState, Turn
from eventd.kernel.draining import Draining
from eventd.kernel.executor import Executor
from eventd.kernel.listeners import Listeners
from eventd.kernel.model.report import Outcome, WorkloadReport, WorkloadState, WorkloadStatus
from eventd.kernel.progress import Progress
from eventd.kernel.status_board import StatusBoard
from eventd.kernel.supervise import bug
from eventd.kernel.transaction import BaseTransaction, EndingError

log = logging.getLogger(__name__)
Tell = Callable[[str, str, str], None]


class Open(Protocol):
    """Opens transactions."""

    def __call__(self, name: str, run: int, interrupt: anyio.Event, progress: Tell, /) -> BaseTransaction:
        """Return the transaction of one subject in one run."""
        ...


@dataclass(slots=True, kw_only=True)
class Turns:
    """See the module."""

    controllers: Controllers
    executor: Executor
    retries: RetryState
    board: StatusBoard
    draining: Draining
    open: Open
    steps: Listeners[[Progress]]
    """Notified of each step."""
    wall: Callable[[], float]

    async def take(self, name: str, run: int, request: Request, interrupt: anyio.Event) -> WorkloadReport:
        """Give one subject its turn. A bug fails this subject alone. `interrupt` ends waits."""
        if self.draining.stopping:
            ending = EndingError()
            return WorkloadReport(name, Outcome.SUPERSEDED, ending.reason, ending.message)
        try:
            return await self._take(name, run, request, interrupt)
        except Exception as error:
            log.exception("bug: %s ended with %s", name, type(error).__name__)
            found = bug(error)
            report = WorkloadReport(name, Outcome.FAILED, found.reason, found.message, found.hint)
            digest = self.controllers.owner(name).digest(name)
            self.retries.failures.note(name, digest, report, anyio.current_time(), self.retries.jitter())
            self.board.broken(name, report)
            return report

    async def _take(self, name: str, run: int, request: Request, interrupt: anyio.Event) -> WorkloadReport:
        live = self.board.begin(name)
        tx = self.open(name, run, interrupt, self._progress(name, run, live))
        turn = Turn(name=name, request=request, tx=tx, report=WorkloadReport(name, Outcome.UNCHANGED))
        controllers = self.controllers.of(name)
        for controller in controllers:
            controller.begin(turn)
        for controller in controllers:
            await controller.reconcile(turn, self.executor)
        controllers[0].note(turn, self.retries)
        said = self.board.settle(name, turn.report)
        for controller in controllers:
            await controller.settled(turn)
        return turn.run_report or said

    def _progress(self, name: str, run: int, live: WorkloadStatus) -> Tell:
        began = 0.0

        def progress(step: str, state: str, message: str) -> None:
            nonlocal began
            now = anyio.current_time()
            began = now if state == "begin" else began
            live.step = step if state == "begin" else ""
            if step.startswith("verify"):
                live.state = WorkloadState.VERIFYING
            self.steps(Progress(run, name, step, state, message, now - began))

        return progress
