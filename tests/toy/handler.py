"""The handler: how the barrier is moved."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.kernel.model.errors import TemporaryError
from tests.toy.model_action_table import MoveBarrier
from tests.toy.sea import Sea


@dataclass(slots=True)
class BarrierHandler:
    """See the module."""

    sea: Sea

    async def move(self, action: MoveBarrier, tx: object) -> None:
        """Move it; the source sees that it did."""
        del tx
        if self.sea.ship:
            raise TemporaryError("a ship is in the way", reason="ship-in-the-way")
        await self.sea.move(closed=action.closed)
