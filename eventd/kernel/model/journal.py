"""The journal: what each kind of step writes down before it acts, and how one that a crash cut off ends.

Pure. Decisions are level-triggered, so most steps need nothing: the next plan looks at the world and does what is
left (`LEFT`). Each action's row in the table of its domain (`model_action_table.py`) has an `Ending` all the same,
since for some the world alone does not tell: whether it was eventd that made an account, which content a unit was
started with, whose the file at a path is. For those the intent carries what is needed (`detail`), and `settle`
judges it by what is found at the start. Carrying that out is `eventd.state.controller_recovery`'s.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

Detail: TypeAlias = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class OpenStep:
    """A step whose intent was journalled and whose result was not: the daemon died in it, or could not write."""

    run: int
    workload: str
    verb: str
    target: str
    id: int = 0
    detail: str = ""
    """JSON of what `detail` returned."""

    def known(self) -> Detail:
        """Return its detail."""
        return known(self.detail)


def known(text: str) -> Detail:
    """Read a detail; nothing where an older version wrote none, or what stands there is none."""
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


class Ended(StrEnum):
    """What became of a step that was found open."""

    RESUMED = "resumed"
    """It had been done, or was done now: its record is written."""
    UNDONE = "undone"
    """It had not been done: what had been recorded ahead of it is taken back."""
    NOT_BEGUN = "not-begun"
    """It had not been done, and there is nothing to take back."""
    REPLANNED = "replanned"
    """The next plan sees how far it got, and goes on from there."""


class Observation(StrEnum):
    """What recovery must observe to settle an open step. Domains define their own subclass."""


class Nothing(Observation):
    """For steps whose effect the next plan sees by itself."""

    NOTHING = "nothing"


NOTHING = Nothing.NOTHING


@dataclass(frozen=True, slots=True)
class Settlement:
    """How an open step ends."""

    ended: Ended
    note: str
    """A sentence for people."""
    changes: tuple[object, ...] = ()
    """Changes to the records, which recovery carries out."""


def replanned(step: OpenStep, world: object, records: Any) -> Settlement:
    """Leave a step to the next plan."""
    del world, records
    return Settlement(Ended.REPLANNED, f"the next plan of {step.workload} goes on from what is there")


def no_detail(action: Any, seen: Any, records: Any, layout: Any) -> Detail:
    """Return nothing: the verb and the target are enough."""
    del action, seen, records, layout
    return {}


@dataclass(frozen=True, slots=True)
class Ending:
    """How one kind of step is finished and undone. The sentences are for the documentation."""

    finish: str
    undo: str
    observes: Observation = NOTHING
    settle: Callable[[OpenStep, Any, Any], Settlement] = replanned
    """Settles it, from the step, what was observed, and the records."""
    detail: Callable[[Any, Any, Any, Any], Detail] = no_detail
    """Returns what an intent has to carry so that the step can be settled without its action."""


PLAN = "the next plan does what is left of it"
BY_REPOSITORY = "by the plan, once the repository does not want it"
