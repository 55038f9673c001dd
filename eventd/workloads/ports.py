"""Who listens on a port of the host, as the runtime sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Listeners(Protocol):
    """Who has a TCP port of this host open."""

    async def on(self, port: int) -> Sequence[tuple[str, int | None]]:
        """Return unit and uid (None: the system's manager runs it) of each; empty where the kernel cannot tell."""
        ...
