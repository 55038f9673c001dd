"""Keepers: parts of the host that are no workloads, and converge in the same runs.

A volume, for instance, is a subject of its own: it gets dirty by events, is planned, judged, journalled, retried and
reported just like a workload, beside them and under the same single flight. A keeper says which subjects it has and
what would be done for each now; how it is done is the handlers' business, as always. It does nothing by itself.

A subject's name carries its keeper's prefix (`volume:media`), which no workload's name can contain.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from eventd.core.facts import Facts
from eventd.core.ports import Store
from eventd.core.report import Outcome
from eventd.kernel.action import Action
from eventd.runtime.load import Loaded


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a subject stands when nothing can be done for it."""

    outcome: Outcome = Outcome.UNCHANGED
    """UNCHANGED: as it should be; else HELD (waits for something), FAILED or REFUSED."""
    reason: str = ""
    message: str = ""
    hint: str = ""


class Keeper(Protocol):
    """One kind of subject. All of it but `remember` is memory: it may not wait, or touch the world."""

    prefix: str
    """What its subjects' names begin with, with the colon."""

    async def remember(self, store: Store) -> None:
        """Read what the last life left, before the first run."""
        ...

    def attach(self, facts: Facts, dirty: Callable[[str], None]) -> None:
        """Begin to watch the facts that concern it; call `dirty` with each subject that one of them concerns."""
        ...

    def loaded(self, loaded: Loaded) -> None:
        """Take in a new desired state. Subjects that it no longer has may have to be put away: they stay in `names`."""
        ...

    def names(self) -> Collection[str]:
        """Return every subject that may have something to do."""
        ...

    def digest(self, name: str) -> str:
        """Identify what is wanted of it: a failure belongs to a content."""
        ...

    def plan(self, name: str, *, asked: bool) -> tuple[Action, ...]:
        """Return what would be done now, from memory; empty if there is nothing to do, or nothing that may be done.

        Made anew after every action: handlers return when the facts show what they did.
        """
        ...

    def stand(self, name: str) -> Stand:
        """Return where it stands if `plan` is empty."""
        ...


def keeper_of(keepers: Mapping[str, Keeper], name: str) -> Keeper | None:
    """Return whose subject `name` is, None for a workload."""
    head, colon, _ = name.partition(":")
    return keepers.get(head + colon) if colon else None
