"""Wellbeing: what becomes of workloads after they were verified. Crashes are counted, expectations held against facts.

Owns what went wrong with each of late, so that one crash is told as a crash and many as a loop, and that a state which
flaps is not told for ever. It looks at facts only, and does nothing about them: systemd and the plan start again what
crashed, the turn does what `[health] on_unhealthy` asks for.

    UNIT facts -> crashes; facts that `expect` mentions -> Ailment -> Statuses, events, metrics
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import anyio

from eventd.desired.model import OnUnhealthy, Workload
from eventd.gates.model import WorkloadGates
from eventd.health.controller_relapses import Relapses
from eventd.health.model_events import HealthEvent
from eventd.health.model_expectations import CRASHED, UNHEALTHY, Ailment, illness
from eventd.health.model_readiness import WOULD_NOT_START, lacks, sentence
from eventd.kernel.failures import FORGET
from eventd.kernel.model.events import Emit, EventKind, KernelOrigin
from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.model.report import WorkloadState, WorkloadStatus
from eventd.kernel.status_store import REPAIRS
from eventd.platform.model_facts import ActiveState, PlatformFact, UnitState
from eventd.platform.model_facts import unit as as_unit
from eventd.workloads import controller_status as status

log = logging.getLogger(__name__)
BUSY = (WorkloadState.APPLYING, WorkloadState.VERIFYING)
LOOPING = "crash-looping"


@dataclass(frozen=True, slots=True)
class Crash:
    """The last end of a unit that nobody asked for."""

    unit: str
    sentence: str
    at: float
    """Seconds since the epoch."""


@dataclass(slots=True)
class Wellbeing:
    """See the module."""

    facts: Facts
    emit: Emit
    gates_of: Callable[[str], WorkloadGates]
    needs_of: Callable[[str], Iterable[FactKey]]
    """Facts of what a workload's start takes, besides its gate."""
    statuses: Mapping[str, WorkloadStatus]
    wall: Callable[[], float]
    crashes: dict[str, int] = field(default_factory=dict)
    """In this life of the daemon, by workload."""
    last: dict[str, Crash] = field(default_factory=dict)
    _falls: Relapses = field(default_factory=lambda: Relapses(free=REPAIRS - 1))
    _illnesses: Relapses = field(default_factory=Relapses)
    _content: dict[str, str] = field(default_factory=dict)
    """Digest of what the last turn of each was about."""
    _ended: dict[FactKey, str] = field(default_factory=dict)
    """Unit that has been up in this life -> invocation whose end was counted."""

    def start(self) -> None:
        """Begin to watch the units."""
        self.facts.watch_all(self._changed)

    def look(self, name: str, workload: Workload) -> Ailment | None:
        """Return what is wrong with a workload that nothing is left to do for; tell what is new about it."""
        now = anyio.current_time()
        low = status.down(workload, self.facts)
        if low is not None:
            return self._down(name, *low, now)
        left = self._falls.is_well(name, now)
        if left > 0:
            message = (
                f"{self._often(name, now)}; it is up, and counts as up once it has been for {left:.0f} s more"
            )
            return Ailment(WorkloadState.FAILED, LOOPING, message, _see(name))
        return self._ill(name, workload, now)

    def begin(self, name: str, workload: Workload) -> None:
        """A turn over a workload begins: how another content went says nothing about this one."""
        if self._content.get(name) != workload.digest:
            self._content[name] = workload.digest
            self.forget(name)

    def is_ill(self, name: str, workload: Workload | None) -> bool:
        """Tell whether a workload that is up is known not to be what it expects."""
        found = illness(workload, self.gates_of(name).healthy, self.facts) if workload is not None else None
        return found is not None and not found.starting

    def crash_of(self, name: str) -> str:
        """Return how the last crash was, if its unit was not up since; as a sentence, empty if there was none."""
        last = self.last.get(name)
        return last.sentence if last is not None else ""

    def forget(self, name: str) -> None:
        """Another content is in force, or an operator asks: what was says nothing about what comes."""
        self._falls.forget(name)
        self._illnesses.forget(name)

    def next_due(self) -> float | None:
        """Return the loop time at which a workload counts as well again, if it stays so."""
        times = (self._falls.next_due(), self._illnesses.next_due())
        return min((at for at in times if at is not None), default=None)

    def take_due(self, now: float) -> list[str]:
        """Return which count as well by now, each once."""
        return list(dict.fromkeys((*self._falls.take_due(now), *self._illnesses.take_due(now))))

    def _down(self, name: str, reason: str, message: str, now: float) -> Ailment:
        if reason != CRASHED:
            return Ailment(WorkloadState.PENDING, reason, message)
        if self._falls.count(name, now) >= REPAIRS:
            return Ailment(WorkloadState.FAILED, LOOPING, f"{self._often(name, now)}; {message}", _see(name))
        return Ailment(WorkloadState.PENDING, reason, f"{message}; it is started again")

    def _ill(self, name: str, workload: Workload, now: float) -> Ailment | None:
        found = illness(workload, self.gates_of(name).healthy, self.facts)
        if found is not None and found.starting:
            return Ailment(WorkloadState.PENDING, "starting", found.message)
        before = self.statuses.get(name)
        was = before is not None and before.reason == UNHEALTHY
        if found is not None:
            times = self._illnesses.is_ill(name, now)
            often = f" (for the {times}. time within {FORGET / 60:g} min)" if times > 1 else ""
            if not was:
                log.error(
                    "%s is unhealthy: %s", name, found.message, extra={"workload": name, "reason": UNHEALTHY}
                )
                self._tell(HealthEvent.UNHEALTHY, name, {"message": found.message, "times": times})
            return Ailment(WorkloadState.FAILED, UNHEALTHY, f"{found.message}{often}", _mend(workload))
        left = self._illnesses.is_well(name, now)
        if left > 0:
            times = self._illnesses.count(name, now)
            message = (
                f"it was unhealthy {times} times within {FORGET / 60:g} min;"
                f" it is healthy, and counts as healthy once it has been for {left:.0f} s more"
            )
            return Ailment(WorkloadState.FAILED, UNHEALTHY, message, _mend(workload))
        if was:
            log.info("%s is healthy again", name, extra={"workload": name})
            self._tell(HealthEvent.HEALED, name, {})
        return self._at_risk(name)

    def _at_risk(self, name: str) -> Ailment | None:
        """Return what a workload that is well would lack if it had to start now; tell it when it is another thing."""
        found = lacks(self.needs_of(name), self.gates_of(name), self.facts)
        before = self.statuses.get(name)
        was = before.message if before is not None and before.reason == WOULD_NOT_START else ""
        if not found:
            return None
        said = sentence(found)
        if said != was:
            log.warning("%s: %s", name, said, extra={"workload": name, "reason": WOULD_NOT_START})
            self._tell(HealthEvent.AT_RISK, name, {"message": said})
        return Ailment(WorkloadState.AT_RISK, WOULD_NOT_START, said, f"eventctl why {name}")

    def _often(self, name: str, now: float) -> str:
        return f"it crashed {self._falls.count(name, now)} times within {FORGET / 60:g} min"

    def _changed(self, key: FactKey) -> None:
        """A unit of a workload that has been up, and ended without being told to, has crashed: each run of it once."""
        if key.kind is not PlatformFact.UNIT or not key.scope:
            return
        state = as_unit(self.facts.get(key))
        if state is None:
            self._ended.pop(key, None)
            return
        if state.up:
            self._ended.setdefault(key, "")
            return
        ended = state.auto_restarting or state.active is ActiveState.FAILED
        if not ended or self._ended.get(key, state.invocation) == state.invocation:
            return
        self._ended[key] = state.invocation
        live = self.statuses.get(key.scope)
        if live is not None and live.state not in BUSY:
            self._crashed(key.scope, state)

    def _crashed(self, name: str, state: UnitState) -> None:
        sentence = status.ended(state)
        self.crashes[name] = self.crashes.get(name, 0) + 1
        self.last[name] = Crash(state.name, sentence, self.wall())
        times = self._falls.fell(name, anyio.current_time())
        if times > REPAIRS:
            return  # it is a loop, and told as one
        log.warning("%s: %s", name, sentence, extra={"workload": name, "reason": CRASHED})
        self._tell(
            HealthEvent.CRASHED,
            name,
            {"unit": state.name, "result": state.result, "status": state.exec_status, "times": times},
        )

    def _tell(self, kind: EventKind, name: str, attributes: Mapping[str, str | int]) -> None:
        self.emit(KernelOrigin.DAEMON, kind, name, scope=name, attributes=dict(attributes))


def _mend(workload: Workload) -> str:
    name = workload.name
    if workload.options.on_unhealthy is OnUnhealthy.REPORT:
        return f'eventctl why {name}; eventctl restart {name} restarts it, and [health] on_unhealthy = "restart" always'
    return f"eventctl restart {name} restarts it now"


def _see(name: str) -> str:
    return f"see the journal of the unit: eventctl status {name}; eventctl restart {name} starts it now"
