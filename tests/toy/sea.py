"""The peer: a sea with a gauge. It tells who listens that something has changed, and keeps what was done to it."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

SEAS: dict[str, Sea] = {}
"""By the name of the gauge."""


@dataclass(slots=True)
class Sea:
    """One of them."""

    level: int = 0
    ship: bool = False
    """A ship is where the barrier would be."""
    closed: bool = False
    changed: anyio.Event = field(default_factory=anyio.Event)

    def change(self, *, level: int | None = None, ship: bool | None = None) -> None:
        """Let the water rise or fall, and a ship come or go."""
        self.level = self.level if level is None else level
        self.ship = self.ship if ship is None else ship
        self.changed.set()
        self.changed = anyio.Event()

    async def move(self, *, closed: bool) -> None:
        """Close or open the barrier."""
        await anyio.lowlevel.checkpoint()
        self.closed = closed
        self.change()
