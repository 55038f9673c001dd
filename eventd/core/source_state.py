"""How a source stands: its facts are current, are being read, or cannot be read, and why. Said as one fact per source.

Nothing waits for a source: the daemon is ready before any of them has read anything. What needs the facts of one is
held by a policy (`eventd_policies.sources`) until they are there; who looks at the host sees what keeps them away.

    source -> SourceState -> SOURCE fact -> policies (hold), SourceErrors (status, runs)
"""

from __future__ import annotations

from dataclasses import dataclass, field

from eventd.core.errors import EventdError
from eventd.core.events import Emit, EventKind, KernelEvent, Origin
from eventd.core.facts import FactKey, FactValue, KernelFact, SourceTrouble


def source(name: str) -> FactKey:
    """Return the key of a source's fact."""
    return FactKey(KernelFact.SOURCE, name)


@dataclass(slots=True)
class SourceState:
    """Says how one source stands; each change is one event."""

    emit: Emit
    origin: Origin
    name: str
    _read: bool = False
    _said: FactValue = field(default=None)

    @property
    def is_current(self) -> bool:
        """Its facts were said to be current last."""
        return self._said is True

    def current(self) -> None:
        """All of its facts have been read, and are kept."""
        self._read = True
        self._say(KernelEvent.SOURCE, value=True)

    def lost(self, reason: str) -> None:
        """It may have missed something, and reads all of its facts again; that it cannot is not known yet."""
        self._say(KernelEvent.GAP, value=None, reason=reason)

    def trouble(self, error: EventdError, *, optional: bool = False, passing: bool = False) -> None:
        """It cannot read its facts, or not keep them, until something is done about it; `passing`: or it has come."""
        found = SourceTrouble(
            error.reason, error.message, error.hint, known=self._read, optional=optional, passing=passing
        )
        self._say(KernelEvent.GAP, value=found, reason=error.reason)

    def _say(self, kind: EventKind, *, value: FactValue, reason: str = "") -> None:
        if kind is KernelEvent.SOURCE and self._said is True:
            return
        self._said = value
        attributes = {"reason": reason} if kind is KernelEvent.GAP else {}
        if isinstance(value, SourceTrouble):
            attributes["error"] = str(error_of(value))
        self.emit(self.origin, kind, self.name, attributes=attributes, facts=[(source(self.name), value)])


def error_of(trouble: SourceTrouble) -> EventdError:
    """Return a trouble as what it was before."""
    return EventdError(trouble.message, reason=trouble.reason, hint=trouble.hint)
