"""Reversibility: what an action means for data. It depends on who made the resource and what it contains.

Pure. *Benign* actions remove nothing. *Compensated* actions remove something that eventd can restore itself (files come
from the repository, units can be started), that the same run made, or that is marked as scratch. All others are
*destructive*: they may delete the only copy. The policy `reversibility` holds those until they are signed, so that
repairs never destroy data.

Each action of a domain is classified in the domain's table of actions (`model_action_table.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from eventd.kernel.model.action import Action
from eventd.kernel.model.draft import Draft


class Reversibility(StrEnum):
    """What an action means for data."""

    BENIGN = "benign"
    COMPENSATED = "compensated"
    DESTRUCTIVE = "destructive"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who made a resource, and whether it contains data."""

    made_by: int | None
    """The run that made it. None: eventd did not make it, or it is not known."""
    open_run: int
    """The current run. 0: none."""
    bears_data: bool
    scratch: bool = False

    @property
    def own(self) -> bool:
        """Whether the current run made it."""
        return self.made_by is not None and self.made_by == self.open_run != 0


@dataclass(frozen=True, slots=True)
class Judgement:
    """The reversibility of an action, and for a destructive one what must be signed."""

    kind: Reversibility
    draft: Draft | None = None


BENIGN = Judgement(Reversibility.BENIGN)
COMPENSATED = Judgement(Reversibility.COMPENSATED)


def destruction(origin: Provenance) -> Reversibility:
    """Classify the removal or overwriting of a resource."""
    if origin.own or origin.scratch:
        return Reversibility.COMPENSATED
    return Reversibility.DESTRUCTIVE if origin.bears_data else Reversibility.COMPENSATED


Classify: TypeAlias = Callable[[Any, Any, int], Judgement]
"""Classifies one kind of action, from the records of what eventd made and the current run (0: none)."""


def benign(_action: Action, _records: Any, _run: int) -> Judgement:
    """Classify an action that removes nothing."""
    return BENIGN


def compensated(_action: Action, _records: Any, _run: int) -> Judgement:
    """Classify an action whose effect a later plan can reverse."""
    return COMPENSATED


def destroys(origin: Provenance, draft: Draft) -> Judgement:
    """Classify an action that removes a resource of this origin. `draft`: what must be signed."""
    kind = destruction(origin)
    return Judgement(kind, draft if kind is Reversibility.DESTRUCTIVE else None)
