"""The journal: what an intent carries, and how a step that a crash interrupted is settled.

Pure. Decisions are level-triggered, so most steps need nothing: the next plan observes the host and does what is left
(`replanned`). Some things cannot be observed: whether eventd made an account, with which content a unit was started,
who installed a file. For those steps the intent carries a `detail`, and `settle` compares it with what is observed at
the next start. Each action has its `Ending` in the table of its domain (`model_action_table.py`).
`eventd.state.controller_recovery` carries the settlement out.
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
    """A step with an intent but no result: the daemon died during it, or could not write."""

    run: int
    workload: str
    verb: str
    target: str
    id: int = 0
    detail: str = ""
    """The JSON that `Ending.detail` returned."""

    def known(self) -> Detail:
        """Return its detail."""
        return known(self.detail)


def known(text: str) -> Detail:
    """Parse a detail. Empty if there is none (an older version wrote it), or if it is not valid."""
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


class Ended(StrEnum):
    """How an open step was settled."""

    RESUMED = "resumed"
    """It was done, or is done now. Its record is written."""
    UNDONE = "undone"
    """It was not done. What had been recorded before it is undone."""
    NOT_BEGUN = "not-begun"
    """It was not done, and there is nothing to undo."""
    REPLANNED = "replanned"
    """The next plan observes how far it got, and does the rest."""


class Observation(StrEnum):
    """What recovery must observe to settle an open step. Domains define their own subclass."""


class Nothing(Observation):
    """For steps whose effect the next plan sees by itself."""

    NOTHING = "nothing"


NOTHING = Nothing.NOTHING


@dataclass(frozen=True, slots=True)
class Settlement:
    """How an open step is settled."""

    ended: Ended
    note: str
    """A sentence for people."""
    changes: tuple[object, ...] = ()
    """Changes to the records, which recovery carries out."""


def replanned(step: OpenStep, world: object, records: Any) -> Settlement:
    """Leave a step to the next plan."""
    del world, records
    return Settlement(Ended.REPLANNED, f"the next plan of {step.workload} continues from the observed state")


def no_detail(action: Any, seen: Any, records: Any, layout: Any) -> Detail:
    """Return no detail: the verb and the target are enough."""
    del action, seen, records, layout
    return {}


@dataclass(frozen=True, slots=True)
class Ending:
    """How an interrupted step of one kind is finished or undone. The sentences are for the documentation."""

    finish: str
    undo: str
    observes: Observation = NOTHING
    settle: Callable[[OpenStep, Any, Any], Settlement] = replanned
    """Settles it, from the step, what was observed, and the records."""
    detail: Callable[[Any, Any, Any, Any], Detail] = no_detail
    """Returns what the intent must carry, so that the step can be settled without its action."""


PLAN = "the next plan does what is left of it"
BY_REPOSITORY = "by the plan, once the repository does not want it"
