"""The source of PROBE facts: whether something on the network answers, probed only while something waits for it.

Owns the schedule. A wanted probe runs at once. While the answer is no, it is repeated with doubling pauses, or at once
if something on this host may have changed the answer (`poke`). After a yes it is repeated now and then for as long as
it is wanted, and several bad answers in a row make it a no. An event is emitted only when the answer changes. It
decides nothing, and reads nothing from the network: `eventd.gates.adapter_prober` has a process for that.

A PROBE fact exists only while it is wanted, so that no gate opens because of an old answer. Keep a probe wanted for as
long as anything relies on its fact.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus

from eventd.gates.model_events import GateEvent, GateOrigin
from eventd.gates.model_predicate_atoms import Probe, ProbeKind
from eventd.gates.probe.protocol import Answer, Outcome
from eventd.kernel.model.errors import EventdError, PermanentError
from eventd.kernel.model.events import Emit, KernelEvent
from eventd.kernel.model.source_state import SourceState

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
AGAIN = 10.0
"""Seconds before a probe with a good answer is repeated."""
IN_A_ROW = 3
"""How many bad answers in a row, after a good one, make the fact false: a workload may be restarted for it."""
SPACING = 0.2
"""The shortest time between two runs of a probe in seconds, however often it is poked."""
TIMEOUTS = {ProbeKind.TCP: 5.0, ProbeKind.DNS: 10.0, ProbeKind.HTTP: 10.0}
AT_ONCE = 32
_log = logging.getLogger(__name__)


class Prober(Protocol):
    """The port to `eventd.gates.adapter_prober.ProberProcess`."""

    async def ask(self, probe: Probe, *, timeout: float) -> Answer:
        """Run a probe and return its answer. Raises EventdError if there is none, whatever the network."""
        ...

    async def stop(self) -> None:
        """Stop the prober's process."""
        ...


class ProbesSource:
    """Runs the wanted probes. `jitter`: returns numbers in [0, 1), so that many probes do not run in step."""

    def __init__(self, emit: Emit, prober: Prober, *, jitter: Callable[[], float] = random.random) -> None:
        self._emit = emit
        self.state = SourceState(emit, GateOrigin.PROBE, "probes")
        self._prober = prober
        self._jitter = jitter
        self._wanted: dict[str, Probe] = {}
        self._active: dict[str, _ActiveProbe] = {}
        self._slots = anyio.Semaphore(AT_ONCE)
        self._changed = anyio.Event()

    def want(self, names: Mapping[str, Probe]) -> None:
        """Set the wanted probes, by the names of their facts; facts that are no longer wanted are forgotten.

        Takes effect in the next iteration of the loop, so that a watcher of facts may call it.
        """
        if dict(names) != self._wanted:
            self._wanted = dict(names)
            self._changed.set()

    def poke(self, names: Iterable[str] | None = None) -> None:
        """Run these probes now (None: all): something happened that may have changed their answers."""
        for name in tuple(self._active) if names is None else names:
            if (active := self._active.get(name)) is not None:
                active.poked.set()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Run the probes until cancelled. Reports `started` at once: there is nothing to read first.

        When started again after an error, it resumes all wanted probes.
        """
        try:
            async with anyio.create_task_group() as group:
                task_status.started()
                # From an earlier run: its tasks are gone, but the fact stays.
                for name, before in self._active.items():
                    self._active[name] = active = _ActiveProbe(before.probe, before.value)
                    group.start_soon(self._repeat, active)
                while True:
                    self._changed = anyio.Event()
                    await self._apply(group)
                    await self._changed.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await self._prober.stop()

    async def _apply(self, group: TaskGroup) -> None:
        for name, active in tuple(self._active.items()):
            if self._wanted.get(name) != active.probe:
                active.scope.cancel()
                del self._active[name]
                if active.value is not None:
                    self._emit(GateOrigin.PROBE, KernelEvent.READ, name, facts=[(active.probe.key, None)])
        for name, probe in self._wanted.items():
            if name not in self._active:
                self._active[name] = active = _ActiveProbe(probe)
                group.start_soon(self._repeat, active)
        if not self._wanted:
            await self._prober.stop()

    async def _repeat(self, active: _ActiveProbe) -> None:
        failures = 0
        with active.scope:
            while True:
                active.poked = anyio.Event()
                good = await self._probe_once(active)
                failures = 0 if good else failures + 1
                doubtful = bool(active.value) and active.bad > 0
                pause = AGAIN if good else FIRST_PAUSE if doubtful else self._pause(failures)
                await anyio.sleep(SPACING)
                with anyio.move_on_after(pause - SPACING):
                    await active.poked.wait()
                    failures = 0

    async def _probe_once(self, active: _ActiveProbe) -> bool:
        probe = active.probe
        async with self._slots:
            try:
                answer = await self._prober.ask(probe, timeout=TIMEOUTS[probe.kind])
            except EventdError as error:
                # This says nothing about the network: the fact stays.
                level = logging.ERROR if isinstance(error, PermanentError) else logging.WARNING
                _log.log(level, "cannot probe %s: %s", probe.text, error, extra={"reason": error.reason})
                self.state.failed(error)
                return False
        self.state.mended()
        if active.scope.cancel_called:
            return False  # no longer wanted when the answer came: the fact is gone
        good = answer.outcome is Outcome.ANSWERED and (
            probe.kind is not ProbeKind.HTTP or probe.accepts(answer.status)
        )
        active.bad = 0 if good else active.bad + 1
        if not good and active.value and active.bad < IN_A_ROW:
            return False
        if good != active.value:
            active.value = good
            attributes = {"good": good, "outcome": answer.outcome.value, "status": answer.status}
            self._emit(
                GateOrigin.PROBE,
                GateEvent.PROBED,
                probe.text,
                attributes=attributes,
                facts=[(probe.key, good)],
            )
        return good

    def _pause(self, failures: int) -> float:
        full = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (min(failures, 16) - 1))
        return full * (1.0 - 0.2 * self._jitter())


class _ActiveProbe:
    """A probe that is running."""

    def __init__(self, probe: Probe, value: bool | None = None) -> None:  # noqa: FBT001  the fact
        self.probe = probe
        self.scope = anyio.CancelScope()
        self.poked = anyio.Event()
        self.value = value
        """The fact."""
        self.bad = 0
        """Bad answers in a row."""
