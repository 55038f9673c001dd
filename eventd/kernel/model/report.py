"""Reports: what a run did and where a workload stands, as values that status, history and metrics are made from."""

from __future__ import annotations

from dataclasses import dataclass, field
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
"""Reason of a hold where nothing but volumes is missing."""
BY_PERSON = frozenset(
    {VOLUME_AWAY, "needs-approval", "rejected", "suspended", "renamed", "person-logged-in", "rolled-back"}
)
"""Reasons of holds that a person made and a person ends: in order for as long as they last."""


class Outcome(StrEnum):
    """What became of one workload in one run."""

    OK = "ok"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    HELD = "held"
    REFUSED = "refused"
    SUPERSEDED = "superseded"
    """A newer revision came in while this one waited for health; the following run decides."""


class WorkloadState(StrEnum):
    """Where a workload stands now."""

    CONVERGED = "converged"
    APPLYING = "applying"
    VERIFYING = "verifying"
    FAILED = "failed"
    HELD = "held"
    REFUSED = "refused"
    PENDING = "pending"
    REMOVED = "removed"
    AT_RISK = "at-risk"
    """Up and as the repository says, and it would not come up again: something that its start takes is missing."""
    ROLLED_BACK = "rolled-back"
    """Up, at another revision than the repository's."""


@dataclass(frozen=True, slots=True)
class WorkloadReport:
    """One workload's part in a run."""

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
    """Facts whose change is a reason to look at it again at once."""
    judged: bool = False
    """It failed by a judgement, of a policy or of what is seen; nothing was tried. It lasts as long as that does."""
    failing_verb: str = ""
    """The action that could not be carried out; it waits for its retry, and so does what comes after it."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """One pass of the reconciler."""

    id: int
    started: float
    """Seconds since the epoch, as `ended`."""
    commit: str
    triggers: tuple[Event, ...]
    ended: float | None = None
    result: RunResult = RunResult.RUNNING
    workloads: tuple[WorkloadReport, ...] = ()
    error: str = ""
    """What failed about the run as a whole: a fetch, an error of the repository."""
    joined: int = 0
    """Requests that this run answered besides the first."""


@dataclass(slots=True)
class WorkloadStatus:
    """The current state of one workload, kept by the reconciler."""

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
    """The action that is being carried out."""
    failing_unit: str = ""


def overall(outcomes: list[Outcome], *, error: bool) -> RunResult:
    """Sum up: any failure or refusal fails the run; else anything held holds it."""
    if error or any(o in (Outcome.FAILED, Outcome.REFUSED) for o in outcomes):
        return RunResult.FAILED
    if Outcome.SUPERSEDED in outcomes:
        return RunResult.INTERRUPTED
    return RunResult.HELD if Outcome.HELD in outcomes else RunResult.OK
