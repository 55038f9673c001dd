"""An action, as the kernel sees one: a value that names what it changes and why. The domains say which there are."""

from __future__ import annotations

from typing import Protocol


class Action(Protocol):
    """One step of a plan; a handler carries it out, a policy gives a verdict on it, the journal writes it down."""

    @property
    def workload(self) -> str:
        """The subject whose plan it is of."""
        ...

    @property
    def verb(self) -> str:
        """What is done: one per kind of action."""
        ...

    @property
    def target(self) -> str:
        """To what."""
        ...

    @property
    def why(self) -> str:
        """A sentence for people."""
        ...
