"""An action: a value that names what is changed and why. The domains define the kinds."""

from __future__ import annotations

from typing import Protocol


class Action(Protocol):
    """One step of a plan. Policies judge it, the journal records it, a handler carries it out."""

    @property
    def workload(self) -> str:
        """The subject that it belongs to."""
        ...

    @property
    def verb(self) -> str:
        """What is done. Each kind of action has its own verb."""
        ...

    @property
    def target(self) -> str:
        """What it is done to."""
        ...

    @property
    def why(self) -> str:
        """Why, as a sentence for people."""
        ...
