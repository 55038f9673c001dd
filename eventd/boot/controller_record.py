"""What the boot log has observed, and the record made from it and from the times that systemd keeps.

Owns the merging of two sources of times: what the daemon observed itself, and systemd's times of units that started
before the daemon. It subscribes to nothing: `eventd.boot.controller` does, and stores the record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from eventd.boot.model import BootOrigin, BootRecord, FactTime, Phases, Span, SpanKind, WorkloadBoot
from eventd.boot.model_facts import brought_by, parts
from eventd.gates.model import OPEN, WorkloadGates
from eventd.gates.model_predicates import Predicate
from eventd.kernel.model.facts import Facts
from eventd.kernel.model.report import WorkloadState, WorkloadStatus
from eventd.platform.systemd.model_times import Startup, UnitTimes

ALWAYS = ("network-online.target", "systemd-logind.service")
"""Units that people check first when a boot was slow."""
UNKNOWN = Startup(kernel=False, initrd=None, userspace=None, finished=None, unit="")


@dataclass(slots=True)
class ObservedFact:
    """A part of a gate, and when it first held."""

    predicate: Predicate
    early: bool
    came: float | None = None
    began: float | None = None
    unit: str = ""
    workload: str = ""


@dataclass(slots=True)
class Timeline:
    """The boot of one workload, in times of the clock."""

    spans: list[Span] = field(default_factory=list)
    waits: dict[str, float] = field(default_factory=dict)
    """Predicate -> since when the workload waits for it."""
    step: tuple[SpanKind, str, float] | None = None
    idle: tuple[SpanKind, str, float] | None = None
    """Its failure, or its start without a step of ours; kind, text and time."""
    converged: float | None = None


@dataclass(slots=True)
class Observations:
    """Everything observed; times are seconds of the clock."""

    boot_id: str
    host: str
    began: float
    ready: float | None = None
    commit: str | None = None
    commit_at: float | None = None
    ended: float | None = None
    complete: bool = False
    dropped: int = 0
    facts: dict[str, ObservedFact] = field(default_factory=dict)
    workloads: dict[str, Timeline] = field(default_factory=dict)


def roots(seen: Observations, startup: Startup, facts: Facts) -> list[str]:
    """Return the system units whose times the record needs."""
    found = [startup.unit]
    found += [noted.unit or brought_by(noted.predicate, facts)[0] for noted in seen.facts.values()]
    return [name for name in dict.fromkeys(found) if name]


def make_record(
    seen: Observations,
    startup: Startup | None,
    units: Mapping[str, UnitTimes],
    facts: Facts,
    gates: Mapping[str, WorkloadGates],
    statuses: Mapping[str, WorkloadStatus],
    *,
    now: float,
    wall: float,
) -> BootRecord:
    """Return the record. `now` and `wall` are the same moment. `startup`: None if systemd did not answer."""
    start = startup or UNKNOWN
    mine = units.get(start.unit)
    # The unit was started before the interpreter could read the clock.
    began = min(seen.began, mine.began) if mine is not None and mine.began is not None else seen.began
    zero = 0.0 if start.kernel else start.userspace
    late = zero is None or (start.finished is not None and start.finished < began)
    origin = BootOrigin.DAEMON if late else BootOrigin.KERNEL if start.kernel else BootOrigin.MANAGER
    at = _Shift(began if late or zero is None else zero)
    return BootRecord(
        boot_id=seen.boot_id,
        host=seen.host,
        origin=origin,
        uptime=began - (zero or 0.0),
        wall=wall - (now - at.zero),
        phases=Phases(at(start.initrd), at(start.userspace), at(start.finished)),
        started=began - at.zero,
        ready=at(seen.ready),
        until=(now if seen.ended is None else seen.ended) - at.zero,
        unit=start.unit,
        commit=seen.commit or "",
        commit_at=at(seen.commit_at),
        facts=tuple(_fact(text, noted, units, facts, at) for text, noted in _shown(seen.facts)),
        units=tuple(at.unit(unit) for unit in units.values()),
        workloads=tuple(
            _workload(name, course, gates.get(name, OPEN), statuses.get(name), at)
            for name, course in sorted(seen.workloads.items())
        ),
        complete=seen.complete,
        dropped=seen.dropped,
    )


def _shown(found: Mapping[str, ObservedFact]) -> Iterator[tuple[str, ObservedFact]]:
    """Yield the facts of the record, each once. One of `ALWAYS` that no gate names is left out until it holds."""
    for text, noted in found.items():
        missing = not noted.early and noted.came is None
        if text not in ALWAYS or not (missing or f"unit:{text}" in found):
            yield text, noted


def _fact(
    text: str, noted: ObservedFact, units: Mapping[str, UnitTimes], facts: Facts, at: _Shift
) -> FactTime:
    unit, workload = noted.unit, noted.workload
    if not unit and not workload:
        unit, workload = brought_by(noted.predicate, facts)
    came, began, times = noted.came, noted.began, units.get(unit)
    holds = noted.early or came is not None
    # If it became active later than first observed, it was restarted, and its times are those of the restart.
    if holds and times is not None and times.came is not None and (came is None or times.came <= came):
        came, began = times.came, times.began
    return FactTime(text, at(came), at(began), noted.early, unit if unit in units else "", workload)


def _workload(
    name: str, course: Timeline, gates: WorkloadGates, status: WorkloadStatus | None, at: _Shift
) -> WorkloadBoot:
    done = course.converged is not None
    unfinished = [Span(SpanKind.WAIT, text, since) for text, since in course.waits.items()]
    unfinished += [Span(*each) for each in (course.step, course.idle) if each is not None]
    state = WorkloadState.PENDING if status is None else status.state
    return WorkloadBoot(
        name,
        (WorkloadState.CONVERGED if done else state).value,
        tuple(at.spans((*course.spans, *unfinished))),
        at(course.converged),
        f"manager:{name}",
        tuple(part.text for part in parts(gates.expect)),
        status.waits_for if status is not None and not done else (),
    )


@dataclass(frozen=True, slots=True)
class _Shift:
    """Converts clock times to seconds after the origin."""

    zero: float

    def __call__(self, value: float | None) -> float | None:
        return None if value is None else value - self.zero

    def spans(self, spans: Iterable[Span]) -> Iterator[Span]:
        return (replace(span, begin=span.begin - self.zero, end=self(span.end)) for span in spans)

    def unit(self, unit: UnitTimes) -> UnitTimes:
        return replace(unit, began=self(unit.began), came=self(unit.came))
