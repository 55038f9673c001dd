"""Where the status of workloads is kept for whoever cannot ask the daemon, as the runtime sees it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol


class StatusKeeper(Protocol):
    """One document a workload. Both raise TemporaryError(reason="status-not-written")."""

    async def write(self, documents: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Replace the document of each workload; None removes it."""
        ...

    async def keep(self, names: Collection[str]) -> None:
        """Remove the documents of all others, of an earlier life say."""
        ...
