"""Reversibility: what an action means for data, by who made the resource and what it bears. Not by its verb.

Pure. *Benign* actions take nothing away. *Compensated* ones do, and eventd can put it back by itself (its files come
from the repository, its units start again), or they undo what the same open transaction made, or destroy what is
tagged scratch. *Destructive* is the rest: what would be gone may be the only copy. The policy `reversibility` holds
those for a signature, so healing can never destroy.

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
    """Where a resource comes from, and what it bears."""

    made_by: int | None
    """The run that made it; None: not eventd, or nobody knows."""
    open_run: int
    """The run that is on; 0: none."""
    bears_data: bool
    scratch: bool = False

    @property
    def own(self) -> bool:
        """The transaction that is still open has made it."""
        return self.made_by is not None and self.made_by == self.open_run != 0


@dataclass(frozen=True, slots=True)
class Judgement:
    """A class, and for a destructive action what would have to be signed."""

    kind: Reversibility
    draft: Draft | None = None


BENIGN = Judgement(Reversibility.BENIGN)
COMPENSATED = Judgement(Reversibility.COMPENSATED)


def destruction(origin: Provenance) -> Reversibility:
    """Classify taking a resource away, or overwriting it."""
    if origin.own or origin.scratch:
        return Reversibility.COMPENSATED
    return Reversibility.DESTRUCTIVE if origin.bears_data else Reversibility.COMPENSATED


Classify: TypeAlias = Callable[[Any, Any, int], Judgement]
"""Classifies one kind of action of the run (0: none is on), from the records of what eventd made."""


def benign(_action: Action, _records: Any, _run: int) -> Judgement:
    """Classify an action that takes nothing away."""
    return BENIGN


def compensated(_action: Action, _records: Any, _run: int) -> Judgement:
    """Classify an action whose effect the next plan that wants it otherwise takes back."""
    return COMPENSATED


def destroys(origin: Provenance, draft: Draft) -> Judgement:
    """Classify an action that takes a resource of this origin away; `draft`: what is signed for it."""
    kind = destruction(origin)
    return Judgement(kind, draft if kind is Reversibility.DESTRUCTIVE else None)
