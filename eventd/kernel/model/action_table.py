"""The table of actions: what a domain has to say of each of its actions before eventd carries it out.

Pure. A row names the action's class, how a step of it that was cut off ends, and what it means for data; neither can
be left out. The tables of all domains make one `ActionTable`, which policies, the journal and the recovery ask. An
action of a class that no row names, or names a base of, is refused (`check`) before the daemon serves.
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
    """Its class: an `Action`, with the verb as an attribute of the class."""
    ending: Ending
    """How a step of it ends that a crash cut off."""
    classify: Classify
    """What it means for data."""

    @property
    def verb(self) -> str:
        """The verb that the journal knows it by."""
        return str(self.action.verb)


class ActionTable:
    """The rows of all domains. Raises PermanentError(reason="bad-domain") for a verb or a class that is there twice."""

    def __init__(self, rows: Iterable[ActionRow]) -> None:
        """Take the rows in."""
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
        """Return the row of an action's class, or of its nearest base that has one and the same verb.

        Raises PermanentError(reason="bad-domain") where there is none.
        """
        for each in action.__mro__:
            known = self._by_class.get(each)
            if known is not None and known.verb == action.verb:
                return known
        raise PermanentError(
            f"no domain has a row for the action {action.__module__}.{action.__name__}",
            reason="bad-domain",
            hint="say in its domain's table of actions how it ends in the journal, and what it means for data",
        )

    def check(self, handled: Iterable[type[Any]]) -> None:
        """Raise PermanentError(reason="bad-domain") for an action that has a handler and no row."""
        for each in handled:
            self.row(each)

    def check_whole(self, handled: Iterable[type[Any]]) -> None:
        """Raise PermanentError(reason="bad-domain") unless each handler has its row, and each row its handler."""
        known = set(handled)
        self.check(known)
        for row in self:
            if row.action not in known:
                raise PermanentError(
                    f"nothing carries out the action {row.verb} ({row.action.__module__}.{row.action.__name__})",
                    reason="bad-domain",
                    hint="name its handler in its domain",
                )

    def classify(self, action: Action, records: Any, run: int) -> Judgement:
        """Say what an action of the run `run` (0: none is on) means for data."""
        return self.row(type(action)).classify(action, records, run)

    def detail(self, action: Action, seen: Any, records: Any, layout: Any) -> Detail:
        """Return what an intent has to carry so that the step can be settled without its action."""
        return self.row(type(action)).ending.detail(action, seen, records, layout)

    def observation(self, step: OpenStep) -> Observation:
        """Return what has to be observed to settle a step."""
        row = self._by_verb.get(step.verb)
        return NOTHING if row is None else row.ending.observes

    def settle(self, step: OpenStep, world: object, records: Any) -> Settlement:
        """Judge an open step by what is found; a verb that this version does not know is left to the plan."""
        row = self._by_verb.get(step.verb)
        return (replanned if row is None else row.ending.settle)(step, world, records)
