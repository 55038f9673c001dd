"""The daemon's side of the prober: starts the process on demand, sends it questions, and stops it.

Owns the process `python -m eventd.gates.probe` (under root, a unit of its own with a uid that nothing else has). Its
output is not trusted: an invalid line ends it. There is no schedule here; `eventd.gates.source_probes` has it.

A prober that crashed is started again by the next question, with growing pauses.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from eventd.gates.model_predicate_atoms import Probe
from eventd.gates.probe.protocol import ANSWER_LIMIT, Answer, Question, read_answer, write_question
from eventd.kernel.model.errors import TemporaryError
from eventd.platform.processes.line_process import LineProcess
from eventd.platform.processes.line_streams import LineStreams, LongLine
from eventd.platform.processes.line_unit import LineUnit
from eventd.platform.processes.unit_process import Processes
from eventd.platform.processes.unit_rights import NETWORK, AsNobody

GRACE = 2.0
"""Seconds beyond a question's own deadline after which the prober counts as stuck."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0
# -I: neither PYTHON* variables nor the current folder decide which code runs.
COMMAND = (sys.executable, "-I", "-m", "eventd.gates.probe")
# Bounds how long a thread waits for a resolver that does not answer: by default half a minute for each server.
_ENVIRONMENT = {"RES_OPTIONS": "timeout:2 attempts:2"}
_log = logging.getLogger(__name__)


class Start(Protocol):
    """Starts a prober: `LineProcess`, or `LineUnit` with its rights bound."""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        line: Callable[[bytes], None],
        ended: Callable[[str], None],
        limit: int,
        long: LongLine,
        environment: Mapping[str, str] | None = None,
    ) -> LineStreams:
        """See `LineStreams`."""
        ...


def starter(processes: Processes) -> Start:
    """Return how to start the prober on this host: never as root."""
    return LineProcess if os.geteuid() != 0 else partial(LineUnit, processes, AsNobody(NETWORK))


class ProberProcess:
    """The prober. `start`: how its process is started."""

    def __init__(self, start: Start, *, command: Sequence[str] = COMMAND) -> None:
        self._start = start
        self._command = command
        self._process: LineStreams | None = None
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._last = 0
        self._deaths = 0
        self._not_before = 0.0

    @property
    def runs(self) -> bool:
        """Whether the process runs."""
        return self._process is not None

    async def ask(self, probe: Probe, *, timeout: float) -> Answer:
        """Send one probe and return its answer. `timeout`: seconds for the network.

        Raises TemporaryError(reason="prober-died" | "prober-stuck" | "prober-down" | "no-resources") if there is no
        answer, which says nothing about the network, and PermanentError(reason="command-missing" | …).
        """
        process = self._running()
        self._last += 1
        number = self._last
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            await process.ready()
            if not answer.done():  # it may have ended meanwhile
                process.send(
                    write_question(Question(number, probe.kind, probe.host, probe.port, probe.url, timeout))
                )
            async with asyncio.timeout(timeout + GRACE):
                return await answer
        except TimeoutError:
            process.kill()
            raise TemporaryError("the prober did not answer and was stopped", reason="prober-stuck") from None
        finally:
            del self._waiting[number]

    async def stop(self) -> None:
        """Stop the prober if it runs. The next question starts it again."""
        process, self._process = self._process, None
        self._fail("the prober was stopped")
        if process is not None:
            await process.stop()

    def _running(self) -> LineStreams:
        if self._process is None:
            wait = self._not_before - asyncio.get_running_loop().time()
            if wait > 0:
                raise TemporaryError("the prober crashed a moment ago", reason="prober-down", delay=wait)
            self._process = self._start(
                self._command,
                line=self._on_line,
                ended=self._on_end,
                limit=ANSWER_LIMIT,
                long=LongLine.END,
                environment=_ENVIRONMENT,
            )
        return self._process

    def _on_line(self, line: bytes) -> None:
        answered = read_answer(line)
        if answered is None:
            _log.error(
                "the prober wrote an invalid answer and was stopped", extra={"reason": "prober-garbled"}
            )
            if self._process is not None:
                self._process.kill()
            return
        self._deaths = 0
        number, answer = answered
        # No question waits for it: that was cancelled, or the answer is made up.
        future = self._waiting.get(number)
        if future is not None and not future.done():
            future.set_result(answer)

    def _on_end(self, sentence: str) -> None:
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(self._deaths, 16))
        self._deaths += 1
        self._not_before = asyncio.get_running_loop().time() + pause
        self._process = None
        _log.warning("the prober ended: %s", sentence, extra={"reason": "prober-died"})
        self._fail(sentence)

    def _fail(self, why: str) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(TemporaryError(why, reason="prober-died"))
