"""A long-running command in a transient unit: `line_streams` over its pipes.

Owns the pipes. `eventd.platform.processes.unit_process` makes the unit, with its rights.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import anyio

from eventd.kernel.model.errors import DeadlineError, EventdError
from eventd.platform.processes.line_streams import LineStreams, LongLine
from eventd.platform.processes.transient_unit import TransientUnit, exit_status
from eventd.platform.processes.unit_process import Processes
from eventd.platform.processes.unit_rights import RunAs

START_TIMEOUT = 30.0
"""Seconds for systemd to start the unit; it is busy at boot."""
_END_SECONDS = 12.0


class LineUnit(LineStreams):
    """One unit, started by the constructor. Lines that are sent before it runs wait in the pipe. See `LineStreams`.

    Raises only PermanentError(reason="command-missing"). If the unit cannot be started, `ended` is called.
    """

    def __init__(
        self,
        processes: Processes,
        who: RunAs,
        argv: Sequence[str],
        *,
        line: Callable[[bytes], None],
        ended: Callable[[str], None],
        limit: int,
        long: LongLine,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(PurePath(argv[0]).name, line=line, ended=ended, limit=limit, long=long)
        self._unit = processes.unit(who, argv, environment or {}, until=None)
        self._ending = asyncio.Event()
        self._own, self._theirs = _pipes()
        self._begin(*self._own)
        self._task = asyncio.create_task(self._run(self._unit), name=f"unit of {self._name}")

    async def ready(self) -> None:
        """Return once systemd has started it, or it has ended."""
        running = asyncio.create_task(self._unit.running.wait())
        await asyncio.wait({running, self._task}, timeout=START_TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        running.cancel()

    async def stop(self) -> None:
        """Stop the unit, and wait up to 12 seconds for its end. No callback is called any more."""
        self._ended = None
        self._kill()
        await asyncio.wait({self._task}, timeout=_END_SECONDS)

    def _kill(self) -> None:
        self._ending.set()

    async def _run(self, unit: TransientUnit) -> None:
        how = "was ended"
        stop_requested = asyncio.create_task(self._ending.wait())
        try:
            async with asyncio.timeout(START_TIMEOUT):
                await unit.start(self._theirs)
            self._close_theirs()
            either: set[asyncio.Future[Any]] = {unit.end, stop_requested}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if unit.end.done():
                status = exit_status(self._name, unit.end.result())
                how = f"was ended by signal {-status}" if status < 0 else f"exited with {status}"
        except TimeoutError:
            how = str(DeadlineError(f"was not started by systemd within {START_TIMEOUT:g} s"))
        except EventdError as error:
            how = f"cannot run: {error}"
        finally:
            stop_requested.cancel()
            with anyio.CancelScope(shield=True):
                await unit.close()
            self._close_theirs()
            self._finish(how)
            for descriptor in self._own:
                os.close(descriptor)

    def _close_theirs(self) -> None:
        while self._theirs:
            os.close(self._theirs.pop())


def _pipes() -> tuple[tuple[int, int, int], list[int]]:
    """Return our ends of input, output and errors, and the command's ends."""
    made: list[int] = []
    try:
        for _ in range(3):
            made += os.pipe2(os.O_CLOEXEC)
    except OSError:
        for descriptor in made:
            os.close(descriptor)
        raise
    (read_in, write_in, read_out, write_out, read_err, write_err) = made
    return (write_in, read_out, read_err), [read_in, write_out, write_err]
