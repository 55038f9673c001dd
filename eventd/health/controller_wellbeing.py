"""Watches workloads after they were verified: counts crashes, and compares expectations with facts.

Owns the recent failures of each workload, so that one crash is reported as a crash and many as a loop, and a flapping
state is not reported forever. It only reads facts: systemd and the plan restart what crashed, and the health controller
carries out `[health] on_unhealthy`.

    UNIT facts -> crashes; facts that `expect` mentions -> HealthProblem -> Statuses, events, metrics
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
from eventd.health.model_expectations import CRASHED, UNHEALTHY, HealthProblem, unmet_expectations
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
    """The last unexpected exit of a unit."""

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
    """The facts that a workload's start needs, besides its gate."""
    statuses: Mapping[str, WorkloadStatus]
    wall: Callable[[], float]
    crashes: dict[str, int] = field(default_factory=dict)
    """The last crash since the daemon's start, by workload."""
    last: dict[str, Crash] = field(default_factory=dict)
    _crashes: Relapses = field(default_factory=lambda: Relapses(free=REPAIRS - 1))
    _lapses: Relapses = field(default_factory=Relapses)
    _content: dict[str, str] = field(default_factory=dict)
    """The digest of each workload's content at its last turn."""
    _ended: dict[FactKey, str] = field(default_factory=dict)
    """Unit that has been up since the daemon's start -> the invocation whose end was counted."""

    def start(self) -> None:
        """Start watching the units."""
        self.facts.watch_all(self._changed)

    def assess(self, name: str, workload: Workload) -> HealthProblem | None:
        """Return what is wrong with a workload that needs no action, and report what is new about it."""
        now = anyio.current_time()
        low = status.down(workload, self.facts)
        if low is not None:
            return self._down(name, *low, now)
        left = self._crashes.note_healthy(name, now)
        if left > 0:
            message = (
                f"{self._often(name, now)}; it is up, and counts as up if it stays up for {left:.0f} s more"
            )
            return HealthProblem(WorkloadState.FAILED, LOOPING, message, _see(name))
        return self._unhealthy(name, workload, now)

    def begin(self, name: str, workload: Workload) -> None:
        """Begin a turn: forget the history if the content is new."""
        if self._content.get(name) != workload.digest:
            self._content[name] = workload.digest
            self.forget(name)

    def is_unhealthy(self, name: str, workload: Workload | None) -> bool:
        """Return whether a workload is up and known not to meet its expectations."""
        found = (
            unmet_expectations(workload, self.gates_of(name).healthy, self.facts)
            if workload is not None
            else None
        )
        return found is not None and not found.starting

    def last_crash(self, name: str) -> str:
        """Return the last crash as a sentence; empty if there was none, or if the unit has been up since."""
        last = self.last.get(name)
        return last.sentence if last is not None else ""

    def forget(self, name: str) -> None:
        """Forget the history: the content is new, or an operator asked for it."""
        self._crashes.forget(name)
        self._lapses.forget(name)

    def next_due(self) -> float | None:
        """Return the loop time at which the next workload has recovered, if it stays well."""
        times = (self._crashes.next_due(), self._lapses.next_due())
        return min((at for at in times if at is not None), default=None)

    def take_due(self, now: float) -> list[str]:
        """Return the workloads that have recovered by now, each once."""
        return list(dict.fromkeys((*self._crashes.take_due(now), *self._lapses.take_due(now))))

    def _down(self, name: str, reason: str, message: str, now: float) -> HealthProblem:
        if reason != CRASHED:
            return HealthProblem(WorkloadState.PENDING, reason, message)
        if self._crashes.count(name, now) >= REPAIRS:
            return HealthProblem(
                WorkloadState.FAILED, LOOPING, f"{self._often(name, now)}; {message}", _see(name)
            )
        return HealthProblem(WorkloadState.PENDING, reason, f"{message}; it is started again")

    def _unhealthy(self, name: str, workload: Workload, now: float) -> HealthProblem | None:
        found = unmet_expectations(workload, self.gates_of(name).healthy, self.facts)
        if found is not None and found.starting:
            return HealthProblem(WorkloadState.PENDING, "starting", found.message)
        before = self.statuses.get(name)
        was = before is not None and before.reason == UNHEALTHY
        if found is not None:
            times = self._lapses.note_unhealthy(name, now)
            often = f" (for the {times}. time within {FORGET / 60:g} min)" if times > 1 else ""
            if not was:
                log.error(
                    "%s is unhealthy: %s", name, found.message, extra={"workload": name, "reason": UNHEALTHY}
                )
                self._emit(HealthEvent.UNHEALTHY, name, {"message": found.message, "times": times})
            return HealthProblem(WorkloadState.FAILED, UNHEALTHY, f"{found.message}{often}", _mend(workload))
        left = self._lapses.note_healthy(name, now)
        if left > 0:
            times = self._lapses.count(name, now)
            message = (
                f"it was unhealthy {times} times within {FORGET / 60:g} min;"
                f" it is healthy, and counts as healthy if it stays so for {left:.0f} s more"
            )
            return HealthProblem(WorkloadState.FAILED, UNHEALTHY, message, _mend(workload))
        if was:
            log.info("%s is healthy again", name, extra={"workload": name})
            self._emit(HealthEvent.HEALED, name, {})
        return self._at_risk(name)

    def _at_risk(self, name: str) -> HealthProblem | None:
        """Return what a healthy workload would lack if it had to start now; report it when that changes."""
        found = lacks(self.needs_of(name), self.gates_of(name), self.facts)
        before = self.statuses.get(name)
        was = before.message if before is not None and before.reason == WOULD_NOT_START else ""
        if not found:
            return None
        said = sentence(found)
        if said != was:
            log.warning("%s: %s", name, said, extra={"workload": name, "reason": WOULD_NOT_START})
            self._emit(HealthEvent.AT_RISK, name, {"message": said})
        return HealthProblem(WorkloadState.AT_RISK, WOULD_NOT_START, said, f"eventctl why {name}")

    def _often(self, name: str, now: float) -> str:
        return f"it crashed {self._crashes.count(name, now)} times within {FORGET / 60:g} min"

    def _changed(self, key: FactKey) -> None:
        """Count a crash if a unit that was up ended without being stopped, once for each invocation."""
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
        times = self._crashes.add_failure(name, anyio.current_time())
        if times > REPAIRS:
            return  # a loop is reported as such
        log.warning("%s: %s", name, sentence, extra={"workload": name, "reason": CRASHED})
        self._emit(
            HealthEvent.CRASHED,
            name,
            {"unit": state.name, "result": state.result, "status": state.exec_status, "times": times},
        )

    def _emit(self, kind: EventKind, name: str, attributes: Mapping[str, str | int]) -> None:
        self.emit(KernelOrigin.DAEMON, kind, name, scope=name, attributes=dict(attributes))


def _mend(workload: Workload) -> str:
    name = workload.name
    if workload.options.on_unhealthy is OnUnhealthy.REPORT:
        return f'eventctl why {name}; to restart it: eventctl restart {name}, or [health] on_unhealthy = "restart"'
    return f"eventctl restart {name} restarts it now"


def _see(name: str) -> str:
    return f"eventctl logs {name} has its last lines; eventctl restart {name} starts it now"
