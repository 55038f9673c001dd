"""Facts about the wanted commit: their kinds, and what their values are."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.kernel.model.facts import FactKind


class RepositoryFact(FactKind):
    """Facts about the wanted commit; the comments say what scope, name and value are."""

    REVISION = "revision"  # name: ""; value: the commit that is wanted
    FETCH = "fetch"  # name: ""; value: FetchFailure


BRANCH_MISSING = "branch-missing"
"""`FetchFailure.reason` where the remote has no such branch: its hint names those that there are."""


@dataclass(frozen=True, slots=True)
class FetchFailure:
    """The last fetch did not work; gone with the next one that does."""

    reason: str
    message: str
    hint: str
    since: float
    """Seconds since the epoch of the first failure in a row."""
