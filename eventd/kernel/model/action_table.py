"""The table of actions: for each kind, how an interrupted step is settled, and what the action means for data.

Pure. The rows of all domains form one `ActionTable`, which policies, the journal and recovery use. An action without a
row, for its class or a base class, is refused before the daemon starts (`check`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from eventd.kernel.model.action import Action
from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.journal import NOTHING, Detail, Ending, Observation, OpenStep, Settlement, replanned
from eventd.kernel.model.reversibility import Classify, Judgement


@dataclass(frozen=True, slots=True)
class ActionRow:
    """One kind of action."""

    action: type[Any]
    """Its class: an `Action` with the verb as a class attribute."""
    ending: Ending
    """How recovery settles a step that a crash interrupted."""
    classify: Classify
    """Returns what it means for data."""

    @property
    def verb(self) -> str:
        """Its verb in the journal."""
        return str(self.action.verb)


class ActionTable:
    """The rows of all domains. Raises PermanentError(reason="bad-domain") if a verb or class has two rows."""

    def __init__(self, rows: Iterable[ActionRow]) -> None:
        """Check and combine the rows."""
        self._by_class: dict[type[Any], ActionRow] = {}
        self._by_verb: dict[str, ActionRow] = {}
        for row in rows:
            for known in (self._by_class.get(row.action), self._by_verb.get(row.verb)):
                if known is not None:
                    raise PermanentError(
                        f"two domains have the action {row.verb}:"
                        f" {known.action.__module__}.{known.action.__name__} and"
                        f" {row.action.__module__}.{row.action.__name__}",
                        reason="bad-domain",
                        hint="give one of them another verb",
                    )
            self._by_class[row.action] = self._by_verb[row.verb] = row

    def __iter__(self) -> Iterator[ActionRow]:
        return iter(self._by_class.values())

    def row(self, action: type[Any]) -> ActionRow:
        """Return the row of an action's class, or of its nearest base class with a row and the same verb.

        Raises PermanentError(reason="bad-domain") if there is none.
        """
        for each in action.__mro__:
            known = self._by_class.get(each)
            if known is not None and known.verb == action.verb:
                return known
        raise PermanentError(
            f"no domain has a row for the action {action.__module__}.{action.__name__}",
            reason="bad-domain",
            hint="add a row to the table of actions of its domain",
        )

    def check(self, handled: Iterable[type[Any]]) -> None:
        """Raise PermanentError(reason="bad-domain") if an action with a handler has no row."""
        for each in handled:
            self.row(each)

    def check_whole(self, handled: Iterable[type[Any]]) -> None:
        """Raise PermanentError(reason="bad-domain") unless each handler has a row, and each row a handler."""
        known = set(handled)
        self.check(known)
        for row in self:
            if row.action not in known:
                raise PermanentError(
                    f"the action {row.verb} ({row.action.__module__}.{row.action.__name__}) has no handler",
                    reason="bad-domain",
                    hint="add its handler to its domain",
                )

    def classify(self, action: Action, records: Any, run: int) -> Judgement:
        """Return what an action in the run `run` (0: no run is on) means for data."""
        return self.row(type(action)).classify(action, records, run)

    def detail(self, action: Action, seen: Any, records: Any, layout: Any) -> Detail:
        """Return what an intent must carry, so that the step can be settled without its action."""
        return self.row(type(action)).ending.detail(action, seen, records, layout)

    def observation(self, step: OpenStep) -> Observation:
        """Return what recovery must observe to settle a step."""
        row = self._by_verb.get(step.verb)
        return NOTHING if row is None else row.ending.observes

    def settle(self, step: OpenStep, world: object, records: Any) -> Settlement:
        """Settle an open step from what was observed. A verb that this version does not know is left to the plan."""
        row = self._by_verb.get(step.verb)
        return (replanned if row is None else row.ending.settle)(step, world, records)
