"""Reports: the results of runs and the status of workloads, as values for status, history and metrics."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from eventd.kernel.model.events import Event
from eventd.kernel.model.facts import FactKey


class RunResult(StrEnum):
    """How a run ended. A run with any failed or refused workload is `failed`: there is no partial success."""

    RUNNING = "running"
    OK = "ok"
    FAILED = "failed"
    HELD = "held"
    INTERRUPTED = "interrupted"


VOLUME_AWAY = "volume-away"
"""The reason of a hold if only volumes are missing."""
BY_PERSON = frozenset(
    {VOLUME_AWAY, "needs-approval", "rejected", "suspended", "renamed", "person-logged-in", "rolled-back"}
)
"""Reasons of holds that a person caused and ends. They may last for ever."""


class Outcome(StrEnum):
    """The result of one subject in one run."""

    OK = "ok"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    HELD = "held"
    REFUSED = "refused"
    SUPERSEDED = "superseded"
    """A newer revision came while this one waited for health. The following run decides."""


class WorkloadState(StrEnum):
    """The current state of a workload."""

    CONVERGED = "converged"
    APPLYING = "applying"
    VERIFYING = "verifying"
    FAILED = "failed"
    HELD = "held"
    REFUSED = "refused"
    PENDING = "pending"
    REMOVED = "removed"
    AT_RISK = "at-risk"
    """Up and as the repository says, but it could not start again now: something it needs is missing."""
    ROLLED_BACK = "rolled-back"
    """Up, at another revision than the repository's."""


@dataclass(frozen=True, slots=True)
class WorkloadReport:
    """The report of one subject in one run."""

    name: str
    outcome: Outcome
    reason: str = ""
    message: str = ""
    hint: str = ""
    actions: int = 0
    seconds: float = 0.0
    log: tuple[str, ...] = ()
    """Journal lines of the failing unit."""
    waits_for: tuple[str, ...] = ()
    failing_unit: str = ""
    wakes_on: frozenset[FactKey] = frozenset()
    """Facts whose change causes an immediate retry."""
    judged: bool = False
    """Nothing was tried: a policy, or the state of the host, forbids it for as long as that does not change."""
    failing_verb: str = ""
    """The action that failed. It waits for its retry, and so do those after it."""

    def again(self) -> WorkloadReport:
        """Return what it says in a later run that did nothing for the workload."""
        return replace(self, actions=0, seconds=0.0)


@dataclass(frozen=True, slots=True)
class RunReport:
    """The report of one run."""

    id: int
    started: float
    """Seconds since the epoch, as `ended`."""
    commit: str
    triggers: tuple[Event, ...]
    ended: float | None = None
    result: RunResult = RunResult.RUNNING
    workloads: tuple[WorkloadReport, ...] = ()
    error: str = ""
    """Why the run failed as a whole: a fetch, an error in the repository."""
    joined: int = 0
    """Requests that this run answered, besides the first."""


@dataclass(slots=True)
class WorkloadStatus:
    """The status of one subject."""

    state: WorkloadState = WorkloadState.PENDING
    since: float = 0.0
    reason: str = ""
    message: str = ""
    hint: str = ""
    log: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()
    retry_at: float | None = None
    """Seconds since the epoch."""
    step: str = field(default="")
    """The action that is in progress."""
    failing_unit: str = ""


def overall(outcomes: list[Outcome], *, error: bool) -> RunResult:
    """Return the result of a run: failed if anything failed or was refused, else held if anything is held."""
    if error or any(o in (Outcome.FAILED, Outcome.REFUSED) for o in outcomes):
        return RunResult.FAILED
    if Outcome.SUPERSEDED in outcomes:
        return RunResult.INTERRUPTED
    return RunResult.HELD if Outcome.HELD in outcomes else RunResult.OK
