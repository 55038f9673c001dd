"""The state of a source: its facts are current, are being read, or cannot be read. Published as its SOURCE fact.

Nothing waits for a source: the daemon is ready before any source has read anything. A policy,
`eventd_policies.sources`, holds what needs the facts of a source until they are current. The status says why they are
not.

    source -> SourceState -> SOURCE fact -> policies (hold), SourceErrors (status, runs)
"""

from __future__ import annotations

from dataclasses import dataclass, field

from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.events import Emit, EventKind, KernelEvent, Origin
from eventd.kernel.model.facts import FactKey, FactValue, KernelFact, SourceTrouble


def source(name: str) -> FactKey:
    """Return the key of a source's fact."""
    return FactKey(KernelFact.SOURCE, name)


@dataclass(slots=True)
class SourceState:
    """Publishes the state of one source. Each change is one event."""

    emit: Emit
    origin: Origin
    name: str
    _read: bool = False
    _said: FactValue = field(default=None)
    _doubtful: bool = False
    """A gap or a trouble was published since its facts were last current."""

    @property
    def was_read(self) -> bool:
        """Whether it has ever read all of its facts."""
        return self._read

    def current(self) -> None:
        """All of its facts have been read and are kept current."""
        self._read = True
        self._say(KernelEvent.SOURCE, value=True)

    def lost(self, reason: str) -> None:
        """It may have missed something and reads all of its facts again.

        A source in trouble stays so until it has read them; trying is not enough.
        """
        self._say(KernelEvent.GAP, value=None if self._said is True else self._said, reason=reason)

    def failed(self, error: EventdError) -> None:
        """A read or the peer has failed. A gap if its facts were current, else a trouble."""
        if self._said is True:
            self.lost(error.reason)
        else:
            self.trouble(error)

    def mended(self) -> None:
        """The failure is over."""
        if self._doubtful:
            self.current()

    def trouble(self, error: EventdError, *, optional: bool = False, passing: bool = False) -> None:
        """It cannot read its facts or keep them current until somebody acts. `passing`: until the peer has started."""
        found = SourceTrouble(
            error.reason, error.message, error.hint, known=self._read, optional=optional, passing=passing
        )
        self._say(KernelEvent.GAP, value=found, reason=error.reason)

    def _say(self, kind: EventKind, *, value: FactValue, reason: str = "") -> None:
        changed = value != self._said
        if kind is KernelEvent.SOURCE and not changed:
            return
        self._said, self._doubtful = value, kind is KernelEvent.GAP
        attributes = {"reason": reason} if kind is KernelEvent.GAP else {}
        if isinstance(value, SourceTrouble):
            attributes["error"] = str(error_of(value))
        facts = [(source(self.name), value)] if changed else []
        self.emit(self.origin, kind, self.name, attributes=attributes, facts=facts)


def error_of(trouble: SourceTrouble) -> EventdError:
    """Return the error of a trouble."""
    return EventdError(trouble.message, reason=trouble.reason, hint=trouble.hint)
