"""The record of a boot as values: when each fact was observed, what each workload waited for and did.

Pure. Owns the record and its one-line summaries; `eventd.boot.controller` collects it. Next: `eventd.boot.model_path`
finds the critical path, `eventd.boot.model_svg` draws it. All times are seconds after the record's origin: the start of
the kernel; of the service manager in a container, which has no kernel of its own; or of the daemon, if the boot did not
start it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from eventd.platform.systemd.model_times import UnitTimes


class SpanKind(StrEnum):
    """What a workload did for a while."""

    WAIT = "wait"
    """A gate held it; the text is the predicate."""
    PREPARE = "prepare"
    """Account, files, lingering, its manager, a reload."""
    START = "start"
    """A unit's start."""
    VERIFY = "verify"
    """Its units are up and being verified."""
    FAILED = "failed"
    """It had failed; the text is the reason."""


class BootOrigin(StrEnum):
    """What the record's times are counted from."""

    KERNEL = "kernel"
    MANAGER = "manager"
    """The systemd of a container."""
    DAEMON = "daemon"
    """The daemon, which was started after the boot, by hand or by an upgrade."""


ORIGINS: Mapping[BootOrigin, str] = {
    BootOrigin.KERNEL: "the kernel started",
    BootOrigin.MANAGER: "systemd started",
    BootOrigin.DAEMON: "eventd started",
}


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a workload's boot."""

    kind: SpanKind
    text: str
    begin: float
    end: float | None = None
    """None if it had not ended when the record was made."""
    failed: bool = False
    """Whether the step failed."""


@dataclass(frozen=True, slots=True)
class FactTime:
    """When a predicate was first met."""

    text: str
    """As it was written, or the unit's name."""
    came: float | None = None
    """None if it has not come, or (with `early`) at an unknown time."""
    began: float | None = None
    """When the unit or workload behind it began to start; None if unknown."""
    early: bool = False
    """Whether it already held when eventd first read it."""
    unit: str = ""
    """The system unit behind it, if there is one."""
    workload: str = ""
    """The workload behind it, if there is one."""


@dataclass(frozen=True, slots=True)
class WorkloadBoot:
    """One workload's boot."""

    name: str
    state: str
    """`WorkloadState`, as it was at the end of the record."""
    spans: tuple[Span, ...] = ()
    converged: float | None = None
    manager: str = ""
    """The name of the fact for its user manager."""
    expects: tuple[str, ...] = ()
    """The conditions it is verified by."""
    waits_for: tuple[str, ...] = ()
    """What it still waits for."""


@dataclass(frozen=True, slots=True)
class Phases:
    """systemd's times (org.freedesktop.systemd1.Manager); None if there was no such phase, or it is unknown."""

    initrd: float | None = None
    userspace: float | None = None
    finished: float | None = None
    """When the boot's last job was done."""


@dataclass(frozen=True, slots=True)
class BootRecord:
    """One boot, or one start of the daemon."""

    boot_id: str
    host: str
    origin: BootOrigin
    uptime: float
    """Seconds from the kernel's (or the container's) start to the daemon's."""
    wall: float
    """Seconds since the epoch at the origin, by the clock at the end of the record."""
    phases: Phases
    started: float
    """When the daemon started."""
    ready: float | None
    until: float
    """When the record ends."""
    unit: str = ""
    """The daemon's unit."""
    commit: str = ""
    commit_at: float | None = None
    """When a commit was known."""
    facts: tuple[FactTime, ...] = ()
    units: tuple[UnitTimes, ...] = ()
    workloads: tuple[WorkloadBoot, ...] = ()
    complete: bool = False
    """Whether every workload has settled, so that nothing more is recorded."""
    dropped: int = 0
    """Spans that were dropped because there were too many."""

    @property
    def converged(self) -> float | None:
        """When the last workload converged; None while one has not. Without workloads: when that was known."""
        if not self.complete or any(w.converged is None and not _settled(w) for w in self.workloads):
            return None
        times = [w.converged for w in self.workloads if w.converged is not None]
        return max(times, default=self.commit_at)

    @property
    def state(self) -> str:
        """The state in one word, as in the status."""
        states = {w.state for w in self.workloads}
        if not states & {"failed", "refused"}:
            if self.converged is not None:
                return "converged"
            return "held" if states and states <= {"held", "converged", "removed"} else "converging"
        return "degraded"


def _settled(workload: WorkloadBoot) -> bool:
    return workload.state in ("refused", "removed")


def open_workloads(record: BootRecord) -> tuple[WorkloadBoot, ...]:
    """Return the workloads in this record that should have converged and have not."""
    return tuple(w for w in record.workloads if w.converged is None and not _settled(w))


def headline(record: BootRecord) -> str:
    """Return a sentence about how long it took, or what it waits for."""
    since = ORIGINS[record.origin]
    at = record.converged
    count = len(record.workloads)
    all_of = (
        f"all {count} workloads" if count > 1 else f"{record.workloads[0].name}" if count else "nothing to do"
    )
    if at is not None:
        what = "converged" if count else "ready, with no workload to run,"
        who = f" ({all_of})" if count else ""
        sentence = f"{record.host} was {what} {seconds(at)} after {since}{who}"
    else:
        waiting = open_workloads(record)
        names = listed([w.name for w in waiting])
        verb = "has" if len(waiting) == 1 else "have"
        sentence = f"{record.host} had not converged {seconds(record.until)} after {since}" + (
            f": {names} {verb} not" if waiting else ""
        )
    return sentence


def caveat(record: BootRecord) -> str:
    """Return a note if this is the record of a start of the daemon and not of a boot; otherwise nothing."""
    if record.origin is not BootOrigin.DAEMON:
        return ""
    return f"eventd started {seconds(record.uptime)} after the boot; this is its start, not the boot's"


def listed(names: Iterable[str], most: int = 4) -> str:
    """Return `a, b and c`, or the first few and how many more there are."""
    found = list(names)
    if len(found) > most:
        return f"{', '.join(found[: most - 1])} and {len(found) - most + 1} more"
    return " and ".join(filter(None, (", ".join(found[:-1]), *found[-1:])))


def seconds(value: float) -> str:
    """Return a duration for people: `40 ms`, `3.25 s`, `2 min 5 s`, `3 h 10 min`."""
    if value < 0.9995:
        return f"{max(0.0, value) * 1000:.0f} ms"
    if value < 59.95:
        return f"{value:.2f} s" if value < 9.995 else f"{value:.1f} s"
    whole = round(value)
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, rest = divmod(round(value / 60), 60)
    if hours < 48:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    days, hours = divmod(round(value / 3600), 24)
    return f"{days} d {hours} h"
