"""Facts about the desired commit: their kinds and values."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.kernel.model.facts import FactKind


class RepositoryFact(FactKind):
    """Facts about the desired commit. The comments give scope, name and value."""

    REVISION = "revision"  # name: ""; value: the desired commit
    FETCH = "fetch"  # name: ""; value: FetchFailure


BRANCH_MISSING = "branch-missing"
"""`FetchFailure.reason` if the remote has no such branch: the hint lists its branches."""


@dataclass(frozen=True, slots=True)
class FetchFailure:
    """The last fetch failed. Cleared by the next fetch that succeeds."""

    reason: str
    message: str
    hint: str
    since: float
    """When the first failure in a row happened, in seconds since the epoch."""
