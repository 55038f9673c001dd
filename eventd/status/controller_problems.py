"""Troubles: what is wrong with everything, not with one subject. One place for status, and for what a run says.

Owns what no other part knows of itself: a configuration that is refused, a lock that somebody else holds, a run that
could not be made. The rest is read where it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from eventd.desired.controller_activation import FETCH, Activation
from eventd.desired.controller_active import ActiveRevision
from eventd.kernel.model.diagnostics import errors
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.facts import Facts
from eventd.kernel.source_errors import SourceErrors
from eventd.repository.model_facts import FetchFailure

CONFIGURATION = "configuration"


@dataclass(slots=True)
class Troubles:
    """See the module."""

    sources: SourceErrors
    activation: Activation
    active: ActiveRevision
    facts: Facts
    own: dict[str, EventdError] = field(default_factory=dict)
    """What else is wrong with the daemon itself, by name."""
    locked: EventdError | None = None
    """Who keeps a run from beginning, while that is so."""
    run: EventdError | None = None
    """Why the last run could not be made, or not be written down; gone with the next that is."""

    def configuration(self, error: EventdError | None) -> None:
        """A changed configuration is refused, and the one before in force; None: it is not."""
        if error is None:
            self.own.pop(CONFIGURATION, None)
        else:
            self.own[CONFIGURATION] = error

    def all(self) -> list[tuple[str, EventdError]]:
        """Return what keeps changes from being seen, or the configuration from counting."""
        locked = [("run-lock", self.locked)] if self.locked is not None else []
        return [*locked, *self.sources, *self.own.items()]

    def general(self) -> str:
        """Return what is wrong with everything; empty if nothing is."""
        return self._first(self.all())

    def of_a_run(self) -> str:
        """Return what fails a run as a whole: not what is still starting, and will be there in a moment."""
        passing = self.sources.passing
        return self._first([row for row in self.all() if row[0] not in passing])

    def _first(self, troubles: list[tuple[str, EventdError]]) -> str:
        for error in (self.activation.error, self.run, *(error for _, error in troubles)):
            if error is not None:
                return str(error)
        failure = self.facts.get(FETCH)
        if isinstance(failure, FetchFailure):
            return failure.message
        desired = self.active.desired
        wrong = errors(desired.diagnostics) if desired is not None else ()
        return str(wrong[0]) if wrong else ""
