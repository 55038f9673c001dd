"""Who listens on a port of the host, as the runtime sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Listeners(Protocol):
    """Finds who has a TCP port of this host open."""

    async def on(self, port: int) -> Sequence[tuple[str, int | None]]:
        """Return unit and uid (None: the system manager runs it) of each; empty if the kernel does not know."""
        ...
