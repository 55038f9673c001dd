"""Reads the times of the units that the record of a boot needs: those behind facts, and the chain before each.

Only loaded units are read, since reading another one would load it. Their number is limited, and there is a deadline.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import anyio

from eventd.kernel.model.facts import FactKey, Facts
from eventd.platform.model_facts import ActiveState, LoadState, PlatformFact, UnitState
from eventd.platform.model_facts import unit as as_unit
from eventd.platform.systemd.model_times import UnitTimes

MOST = 400
"""How many units are read; each takes well under a millisecond."""
TIMEOUT = 10.0
"""Seconds, for all of them."""


class UnitTimesOf(Protocol):
    """The part of systemd that is needed here."""

    async def unit_times(self, name: str) -> UnitTimes:
        """Return the times of a loaded unit."""
        ...


async def read_units(times: UnitTimesOf, facts: Facts, roots: Iterable[str]) -> dict[str, UnitTimes]:
    """Return the times of those of `roots` that are loaded, and of the chain before each.

    A chain goes from a unit to the one that became active last among those it is ordered after, and so on.
    """
    found: dict[str, UnitTimes] = {}

    async def read(name: str) -> UnitTimes | None:
        state = as_unit(facts.get(FactKey(PlatformFact.UNIT, name)))
        if name not in found and len(found) < MOST and state is not None and _ran(state):
            found[name] = await times.unit_times(name)
        return found.get(name)

    with anyio.move_on_after(TIMEOUT):
        for root in roots:
            at, seen = await read(root), {root}
            while at is not None:
                limit = at.began if at.began is not None else float("inf")
                before = [each for name in at.after if (each := await read(name)) is not None]
                came = [
                    u for u in before if u.came is not None and u.came <= limit + 0.005 and u.name not in seen
                ]
                at = max(came, key=lambda u: (u.came or 0.0, u.name), default=None)
                if at is not None:
                    seen.add(at.name)
    return found


def _ran(state: UnitState) -> bool:
    """Return whether a unit may have been started in this boot."""
    return state.load is LoadState.LOADED and state.active is not ActiveState.INACTIVE
