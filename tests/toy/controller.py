"""The controller: the barrier is closed while the sea is at its limit or above."""

from __future__ import annotations

from collections.abc import Callable, Collection

from eventd.kernel.controller import Assessment, Controller
from eventd.kernel.model.action import Action
from eventd.kernel.model.facts import Facts
from tests.toy.model_action_table import MoveBarrier
from tests.toy.model_facts import BARRIER, LEVEL

SUBJECT = "barrier:harbour"


class BarrierController(Controller):
    """See the module."""

    prefix = "barrier:"

    def __init__(self, facts: Facts, limit: int) -> None:
        self._facts, self._limit = facts, limit

    def attach(self, facts: Facts, dirty: Callable[[str], None]) -> None:
        """Look again when the sea or the barrier changes."""
        facts.watch((LEVEL, BARRIER), lambda _key: dirty(SUBJECT))

    def names(self) -> Collection[str]:
        """Return the one barrier."""
        return (SUBJECT,)

    def digest(self, name: str) -> str:
        """What is wanted of it changes with the sea."""
        return f"{name} {self._wanted}"

    def plan(self, name: str, *, forced: bool) -> tuple[Action, ...]:
        """Return the move, if there is one to make."""
        del forced
        if self._facts.get(BARRIER) is self._wanted:
            return ()
        return (MoveBarrier(name, self._wanted, f"the sea is at {self._facts.get(LEVEL)}"),)

    def assess_idle(self, name: str) -> Assessment:
        """It is where it should be."""
        del name
        return Assessment(message="closed" if self._wanted else "open")

    @property
    def _wanted(self) -> bool:
        level = self._facts.get(LEVEL)
        return isinstance(level, str) and int(level) >= self._limit
