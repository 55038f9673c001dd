"""The PROBE facts: what answers over the network, asked only while somebody waits for it.

Owns when to ask. What is wanted is asked at once; while the answer is no, again after pauses that double;
when something happened on this host that may have changed it (`poke`), at once. A yes is asked again after a
while, for as long as it is wanted; several bad answers in a row make it a no. An event is emitted when an
answer is another than before, and at no other time. Decides nothing, and reads nothing from the network:
`eventd.gates.adapter_prober` has a process for that.

A PROBE fact exists only while it is wanted, so that no gate is opened by what was true last week: keep a
probe wanted for as long as anything relies on its fact.
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
"""Seconds after which what answered well is asked again."""
IN_A_ROW = 3
"""Bad answers after a good one until the fact is `no`: a workload may be restarted for it."""
SPACING = 0.2
"""Seconds between two questions for one probe, however often it is poked."""
TIMEOUTS = {ProbeKind.TCP: 5.0, ProbeKind.DNS: 10.0, ProbeKind.HTTP: 10.0}
AT_ONCE = 32
_log = logging.getLogger(__name__)


class Prober(Protocol):
    """What `eventd.gates.adapter_prober.ProberProcess` is."""

    async def ask(self, probe: Probe, *, timeout: float) -> Answer:
        """Return the answer; EventdError where there is none to be had, whatever the network."""
        ...

    async def stop(self) -> None:
        """End what was started for it."""
        ...


class ProbesSource:
    """Asks what is wanted. `jitter`: returns numbers in [0, 1), so that many do not ask in step."""

    def __init__(self, emit: Emit, prober: Prober, *, jitter: Callable[[], float] = random.random) -> None:
        self._emit = emit
        self.state = SourceState(emit, GateOrigin.PROBE, "probes")
        self._prober = prober
        self._jitter = jitter
        self._wanted: dict[str, Probe] = {}
        self._asked: dict[str, _Asked] = {}
        self._slots = anyio.Semaphore(AT_ONCE)
        self._changed = anyio.Event()

    def want(self, names: Mapping[str, Probe]) -> None:
        """Set what is wanted, by the names of the facts; what is no longer is forgotten.

        Takes effect on the loop's next turn, so that it can be called from a watcher of facts.
        """
        if dict(names) != self._wanted:
            self._wanted = dict(names)
            self._changed.set()

    def poke(self, names: Iterable[str] | None = None) -> None:
        """Ask these (None: all that is wanted) now: something happened that may have changed the answer."""
        for name in tuple(self._asked) if names is None else names:
            if (asked := self._asked.get(name)) is not None:
                asked.poked.set()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Ask until cancelled; `started` at once, since nothing is known before it is asked.

        Started again after an error, it asks anew what was asked.
        """
        try:
            async with anyio.create_task_group() as group:
                task_status.started()
                # Of a run before this one: its tasks are gone, what was answered is still the fact.
                for name, before in self._asked.items():
                    self._asked[name] = asked = _Asked(before.probe, before.value)
                    group.start_soon(self._keep_asking, asked)
                while True:
                    self._changed = anyio.Event()
                    await self._apply(group)
                    await self._changed.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await self._prober.stop()

    async def _apply(self, group: TaskGroup) -> None:
        for name, asked in tuple(self._asked.items()):
            if self._wanted.get(name) != asked.probe:
                asked.scope.cancel()
                del self._asked[name]
                if asked.value is not None:
                    self._emit(GateOrigin.PROBE, KernelEvent.READ, name, facts=[(asked.probe.key, None)])
        for name, probe in self._wanted.items():
            if name not in self._asked:
                self._asked[name] = asked = _Asked(probe)
                group.start_soon(self._keep_asking, asked)
        if not self._wanted:
            await self._prober.stop()

    async def _keep_asking(self, asked: _Asked) -> None:
        failures = 0
        with asked.scope:
            while True:
                asked.poked = anyio.Event()
                good = await self._ask(asked)
                failures = 0 if good else failures + 1
                doubtful = bool(asked.value) and asked.bad > 0
                pause = AGAIN if good else FIRST_PAUSE if doubtful else self._pause(failures)
                await anyio.sleep(SPACING)
                with anyio.move_on_after(pause - SPACING):
                    await asked.poked.wait()
                    failures = 0

    async def _ask(self, asked: _Asked) -> bool:
        probe = asked.probe
        async with self._slots:
            try:
                answer = await self._prober.ask(probe, timeout=TIMEOUTS[probe.kind])
            except EventdError as error:
                # Nothing was learned about the network: what was known stays.
                level = logging.ERROR if isinstance(error, PermanentError) else logging.WARNING
                _log.log(level, "%s cannot be asked: %s", probe.text, error, extra={"reason": error.reason})
                self.state.failed(error)
                return False
        self.state.mended()
        if asked.scope.cancel_called:
            return False  # the answer came in the same turn in which it was given up: the fact is gone
        good = answer.outcome is Outcome.ANSWERED and (
            probe.kind is not ProbeKind.HTTP or probe.accepts(answer.status)
        )
        asked.bad = 0 if good else asked.bad + 1
        if not good and asked.value and asked.bad < IN_A_ROW:
            return False
        if good != asked.value:
            asked.value = good
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


class _Asked:
    """One probe that is being asked."""

    def __init__(self, probe: Probe, value: bool | None = None) -> None:  # noqa: FBT001  the fact
        self.probe = probe
        self.scope = anyio.CancelScope()
        self.poked = anyio.Event()
        self.value = value
        """The fact."""
        self.bad = 0
        """Bad answers in a row."""
