"""Finds which units have a port of the host open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class PortOwners(Protocol):
    """Finds which units have a TCP port of this host open."""

    async def owners_of(self, port: int) -> Sequence[tuple[str, int | None]]:
        """Return unit and uid of each (uid None: a unit of the system manager); empty if the kernel does not say."""
        ...
