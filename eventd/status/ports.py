"""The port of the stored status of workloads, for readers that cannot use the daemon."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol


class StatusStorage(Protocol):
    """One document per workload. Both methods raise TemporaryError(reason="status-not-written")."""

    async def write(self, documents: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Replace the document of each workload; None removes it."""
        ...

    async def keep(self, names: Collection[str]) -> None:
        """Remove the documents of all others, as from an earlier process."""
        ...
