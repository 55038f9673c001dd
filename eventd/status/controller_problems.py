"""Problems of the whole host, not of one subject: one place for the status and for the report of a run.

Owns what no other part stores: a refused configuration, a lock held by another process, a run that could not start. The
rest is read from its owner.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from eventd.accounts.model_facts import AccountFact, deserted
from eventd.desired.controller_activation import FETCH, Activation
from eventd.desired.controller_active import ActiveRevision
from eventd.kernel.model.diagnostics import errors
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.facts import Facts
from eventd.kernel.source_errors import SourceErrors
from eventd.repository.model_facts import FetchFailure

CONFIGURATION = "configuration"


@dataclass(slots=True)
class Problems:
    """See the module."""

    sources: SourceErrors
    activation: Activation
    active: ActiveRevision
    facts: Facts
    own: dict[str, EventdError] = field(default_factory=dict)
    """Problems of the daemon itself, by name."""
    locked: EventdError | None = None
    """The holder of the lock that a run waits for, while it does."""
    names: EventdError | None = None
    """Why nobody is an operator yet: the name service did not answer."""
    run: EventdError | None = None
    """Why the last run could not start, or could not be stored; cleared by the next one."""

    def note_names(self, error: EventdError | None) -> None:
        """The name service does not say whose the sockets are, or does by now."""
        self.names = error

    def configuration(self, error: EventdError | None) -> None:
        """Set the error of a refused configuration, while the previous one is active; None: it is accepted."""
        if error is None:
            self.own.pop(CONFIGURATION, None)
        else:
            self.own[CONFIGURATION] = error

    def note_lock(self, error: EventdError | None) -> None:
        """Somebody keeps a run from beginning, or nobody does any more."""
        self.locked = error

    def note_run(self, error: EventdError | None) -> None:
        """A run could not be made or written down, or the next one was."""
        self.run = error

    def all(self) -> list[tuple[str, EventdError]]:
        """Return what keeps changes from being seen, or the configuration from being active."""
        names = [("name-service", self.names)] if self.names is not None else []
        return [*self._failing(), *names, *self._deserted()]

    def general(self) -> str:
        """Return the first problem of the whole host; empty if there is none."""
        return self._first(self.all())

    def of_a_run(self) -> str:
        """Return the problem that fails a whole run. Sources that are still starting do not."""
        passing = self.sources.passing
        return self._first([row for row in self._failing() if row[0] not in passing])

    def _failing(self) -> list[tuple[str, EventdError]]:
        """Return the problems that a run fails by."""
        locked = [("run-lock", self.locked)] if self.locked is not None else []
        return [*locked, *self.sources, *self.own.items()]

    def _deserted(self) -> list[tuple[str, EventdError]]:
        """Return the managers that run without an account. No run fails because of them."""
        return [
            (f"former account {name}", deserted(str(name), int(key.name)))
            for key, name in sorted(self.facts.items(AccountFact.DESERTED), key=lambda row: row[0])
        ]

    def _first(self, problems: list[tuple[str, EventdError]]) -> str:
        for error in (self.activation.error, self.run, *(error for _, error in problems)):
            if error is not None:
                return str(error)
        failure = self.facts.get(FETCH)
        if isinstance(failure, FetchFailure):
            return failure.message
        desired = self.active.desired
        wrong = errors(desired.diagnostics) if desired is not None else ()
        return str(wrong[0]) if wrong else ""
