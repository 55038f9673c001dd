"""The critical path of a boot: where the time went, from the origin to the last workload to converge.

Pure. It walks back from the end: what the workload did or waited for last, which fact ended that wait, which unit is
behind that fact, which unit was started before that one, and so on to the kernel. The hops cover the whole time without
a gap, so their shares add up to one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from eventd.boot.model import (
    BootOrigin,
    BootRecord,
    FactTime,
    Span,
    SpanKind,
    WorkloadBoot,
    listed,
    open_workloads,
)
from eventd.platform.systemd.model_times import UnitTimes

SOON = 0.005
"""Seconds within which one event counts as the end of another: signals take time, and so do clock reads."""
FEW = 0.01
"""The share of the total below which hops of system units are merged."""
MOST = 400
"""The most hops; a longer chain is a mistake in the record."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One part of the path."""

    begin: float
    end: float
    subject: str
    """Its row in the chart: a workload, a fact's text, `eventd`, `systemd`, `initrd`, `kernel`."""
    what: str
    """A clause: `web waits for mount:/srv/photos`."""
    unit: str = ""
    """The system unit that it is about."""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.begin

    def share(self, total: float) -> float:
        """Return its part of the total, from 0 to 1."""
        return self.seconds / total if total > 0 else 0.0


def critical_path(record: BootRecord) -> tuple[Hop, ...]:
    """Return the path, earliest first. It ends at the last workload to converge, or now if one has not."""
    walk = _Walk(record)
    waiting = open_workloads(record)
    ends = [w for w in record.workloads if w.converged is not None]
    if waiting:
        walk.cursor = record.until
        last = max(waiting, key=lambda w: (bool(w.waits_for), bool(w.spans), w.name))
        walk.workload(last)
    elif ends:
        last = max(ends, key=lambda w: (w.converged or 0.0, w.name))
        walk.cursor = last.converged or 0.0
        walk.workload(last)
    else:
        walk.cursor = record.converged if record.converged is not None else record.until
        walk.daemon()
    return _merge_short(tuple(reversed(walk.hops)))


@dataclass(slots=True)
class _Walk:
    """Walks back in time; `cursor` is the current position."""

    record: BootRecord
    cursor: float = 0.0
    hops: list[Hop] = field(default_factory=list)
    _used: set[int] = field(default_factory=set)
    """Spans already visited, by identity, so that spans with equal times do not lead to a loop."""
    _units: dict[str, UnitTimes] = field(default_factory=dict)
    _facts: dict[str, FactTime] = field(default_factory=dict)
    _workloads: dict[str, WorkloadBoot] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._units = {unit.name: unit for unit in self.record.units}
        self._facts = {fact.text: fact for fact in self.record.facts}
        self._workloads = {workload.name: workload for workload in self.record.workloads}

    def hop(self, begin: float, subject: str, what: str, unit: str = "") -> None:
        """Add a hop from `begin` to the cursor, and move the cursor to `begin`."""
        begin = max(0.0, min(begin, self.cursor))
        if begin < self.cursor:
            self.hops.append(Hop(begin, self.cursor, subject, what, unit))
        self.cursor = begin

    def workload(self, workload: WorkloadBoot) -> None:
        """Walk back through what a workload did before the cursor."""
        while len(self.hops) < MOST:
            span = self._before(workload)
            if span is None:
                break
            end = self._end(span)
            if self.cursor - end > SOON:
                self._gap(workload, end)
            if span.kind is SpanKind.WAIT:
                if self._wait(workload, span):
                    return
            elif span.text.startswith("start-manager") and self._manager(workload, span):
                return
            else:
                self.hop(span.begin, workload.name, self._doing(workload, span))
        self.daemon(workload.name)

    def _before(self, workload: WorkloadBoot) -> Span | None:
        """Return the span that ended last before the cursor, each once."""
        found = [s for s in workload.spans if id(s) not in self._used and self._end(s) <= self.cursor + SOON]
        if not found:
            return None
        span = max(found, key=lambda s: (self._end(s), s.begin))
        self._used.add(id(span))
        return span

    def _end(self, span: Span) -> float:
        return self.record.until if span.end is None else span.end

    def _doing(self, workload: WorkloadBoot, span: Span) -> str:
        match span.kind:
            case SpanKind.VERIFY:
                by = f", by {listed(workload.expects)}" if workload.expects else ""
                clause = f"{workload.name} is verified{by}"
            case SpanKind.FAILED:
                clause = f"{workload.name} has failed ({span.text}), and is tried again"
            case _:
                clause = _step(workload.name, span.text)
        return f"{clause} (which fails)" if span.failed else clause

    def _gap(self, workload: WorkloadBoot, begin: float) -> None:
        """Add a hop for a time in which the workload did nothing and nothing was missing."""
        busy = [
            other.name
            for other in self.record.workloads
            if other.name != workload.name
            for span in other.spans
            if span.kind not in (SpanKind.WAIT, SpanKind.FAILED)
            and span.begin < self.cursor
            and begin + SOON < self._end(span) <= self.cursor + SOON
        ]
        what = (
            f"eventd ends its run with {busy[-1]} before it turns to {workload.name}"
            if busy
            else (f"eventd plans {workload.name}")
        )
        self.hop(begin, workload.name, what)

    def _wait(self, workload: WorkloadBoot, span: Span) -> bool:
        """Follow the fact that ended a wait. Return whether the walk has left the workload for good."""
        fact = self._facts.get(span.text)
        if span.end is None or fact is None or fact.came is None or fact.came > self.cursor + SOON:
            self.hop(span.begin, workload.name, f"{workload.name} waits for {span.text}")
            return False
        self.hop(fact.came, workload.name, f"eventd plans {workload.name}")
        if fact.unit in self._units:
            return self.unit(fact.unit, fact.text, span.begin, f"{workload.name} waits for {span.text}")
        other = self._workloads.get(fact.workload)
        if other is not None and other is not workload:
            self.workload(other)
            return True
        self.hop(span.begin, fact.text, f"{workload.name} waits for {span.text}")
        return False

    def _manager(self, workload: WorkloadBoot, span: Span) -> bool:
        """Split the start of a manager at the time its unit became active. Return whether the walk left for good."""
        fact = self._facts.get(workload.manager)
        if fact is None or fact.came is None or not span.begin <= fact.came <= self._end(span) + SOON:
            self.hop(span.begin, workload.name, self._doing(workload, span))
            return False
        self.hop(fact.came, workload.name, f"eventd connects to the manager of {workload.name}")
        began = fact.began if fact.began is not None else span.begin
        if began < span.begin and fact.unit in self._units:
            return self.unit(fact.unit, fact.text, 0.0, "")
        self.hop(max(began, span.begin), fact.text, f"{fact.text} starts")
        self.hop(span.begin, workload.name, self._doing(workload, span))
        return False

    def daemon(self, name: str = "") -> None:
        """Walk back through the daemon's own start, to what came before it."""
        record = self.record
        whom = f"plans {name}" if name else "reads the host"
        if record.commit_at is not None and record.ready is not None and record.commit_at > record.ready:
            self.hop(record.commit_at, "eventd", f"eventd reads the commit, {whom}")
            self.hop(record.ready, "eventd", "eventd fetches the repository")
        if record.ready is not None:
            self.hop(record.ready, "eventd", f"eventd {whom}")
        self.hop(record.started, "eventd", "eventd starts, and reads the host")
        if record.origin is BootOrigin.DAEMON:
            self.hop(0.0, "eventd", "eventd starts")
        elif record.unit in self._units:
            self.unit(record.unit, "eventd", 0.0, "")
        else:
            self.system()

    def unit(self, name: str, subject: str, since: float, waiting: str) -> bool:
        """Walk back from a unit, through the unit that each was started after, to the origin.

        `since`, `waiting`: when a wait for it began, and its text. If nothing explains why the unit did not start
        sooner, the wait itself took the time: the path continues before the wait, and the result is False.
        """
        seen: set[str] = set()
        at: UnitTimes | None = self._units[name]
        row = subject
        while at is not None and at.name not in seen and len(self.hops) < MOST:
            seen.add(at.name)
            while_ = f"; {waiting}" if waiting and self.cursor > since + SOON else ""
            if at.began is not None and at.began < self.cursor:
                self.hop(at.began, row, f"{at.name} starts{while_}", at.name)
            earlier = self._last_of(at)
            reached = earlier.came if earlier is not None and earlier.came is not None else 0.0
            if waiting and reached < since < self.cursor - SOON:
                self.hop(since, subject, waiting)
                return False
            if earlier is not None and self.cursor - reached > SOON:
                self.hop(reached, row, f"{at.name} is not started yet{while_}", at.name)
            at = earlier
            row = at.name if at is not None else ""
        self.system()
        return True

    def _last_of(self, unit: UnitTimes) -> UnitTimes | None:
        """Return the last unit to become active, before it began, of those that a unit is ordered after."""
        limit = min(self.cursor, unit.began if unit.began is not None else self.cursor) + SOON
        found = [
            self._units[name]
            for name in unit.after
            if name in self._units and (self._units[name].came or limit + 1) <= limit
        ]
        return max(found, key=lambda u: (u.came or 0.0, u.began or 0.0, u.name), default=None)

    def system(self) -> None:
        """Walk back to the origin."""
        phases = self.record.phases
        if self.record.origin is BootOrigin.DAEMON:
            self.hop(0.0, "eventd", "eventd starts")
            return
        if phases.userspace is not None:
            self.hop(phases.userspace, "systemd", "systemd starts, and begins the boot")
        if phases.initrd is not None:
            self.hop(phases.initrd, "initrd", "the initial RAM disk finds the root file system")
        self.hop(0.0, "kernel", "the kernel starts")


def _step(name: str, text: str) -> str:
    """Return a step, `verb target`, as a clause."""
    verb, _, target = text.partition(" ")
    match verb:
        case "start-unit":
            return f"{name}: {target} starts"
        case "restart-unit":
            return f"{name}: {target} is restarted"
        case "start-manager":
            return f"{name}: its user's manager is started"
        case "create-account":
            return f"{name}: its account is created"
        case "reload":
            return f"{name}: its user's manager is reloaded"
        case _:
            return f"{name}: {text}"


def _merge_short(hops: tuple[Hop, ...]) -> tuple[Hop, ...]:
    """Merge short hops of system units into one, and hops too short to show into their neighbour."""
    total = hops[-1].end if hops else 0.0
    merged: list[Hop] = []
    joined: list[Hop] = []

    def flush() -> None:
        if len(joined) > 1:
            names = list(dict.fromkeys(hop.unit for hop in joined))
            many = f"{len(names)} units, the last of them {names[-1]}"
            what = f"systemd starts {many if len(names) > 1 else names[0]}"
            merged.append(Hop(joined[0].begin, joined[-1].end, "systemd", what))
        else:
            merged.extend(replace(hop, subject="systemd") for hop in joined)
        joined.clear()

    for hop in hops:
        if hop.unit and hop.unit == hop.subject and hop.share(total) < FEW:
            joined.append(hop)
        else:
            flush()
            merged.append(hop)
    flush()
    kept: list[Hop] = []
    for hop in merged:
        if kept and hop.seconds < max(0.001, total * 0.0005):
            kept[-1] = replace(kept[-1], end=hop.end)
        else:
            kept.append(replace(hop, begin=kept[-1].end if kept else 0.0))
    return tuple(kept)
