"""Refused signatures, kept where operators see them: in the log, as events, in `eventctl approvals --all`.

Repeated attempts are counted and only the latest are kept, so that a caller cannot fill the disk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from eventd.approvals.model import Attempt
from eventd.approvals.model_events import ApprovalEvent
from eventd.kernel import document_table
from eventd.kernel.document_table import DocumentTable
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.events import Emit, KernelOrigin
from eventd.kernel.ports import DocumentStore

log = logging.getLogger(__name__)
KEPT = 200


class Attempts:
    """The latest attempts, by number."""

    def __init__(self, store: DocumentStore, emit: Emit, wall: Callable[[], float]) -> None:
        self._table = DocumentTable(store, "approval-attempt", Attempt)
        self._emit = emit
        self._wall = wall

    async def load(self) -> None:
        """Load what is stored."""
        await self._table.load()

    def __len__(self) -> int:
        return len(self._table)

    def latest(self) -> list[Attempt]:
        """Return the attempts, the latest first."""
        return [self._table.rows[key] for key in sorted(self._table, reverse=True)]

    async def record(self, request: str, error: EventdError, origin: str) -> None:
        """Record that a signature for `request` was refused."""
        log.warning("refused a signature (%s, from %s): %s", request, origin, error)
        rows = sorted(self._table.rows.items())
        if rows and (rows[-1][1].request, rows[-1][1].reason) == (request, error.reason):
            key, last = rows[-1]
            await self._table.put(key, replace(last, at=self._wall(), origin=origin, times=last.times + 1))
        else:
            number = int(rows[-1][0]) + 1 if rows else 1
            new = Attempt(self._wall(), request, error.reason, error.message, origin)
            old: list[tuple[DocumentTable[Any], str, Any]] = [
                (self._table, key, None) for key, _ in rows[: max(0, len(rows) - KEPT)]
            ]
            await document_table.write([(self._table, f"{number:012d}", new), *old])
        self._emit(
            KernelOrigin.DAEMON,
            ApprovalEvent.APPROVAL_REFUSED,
            request,
            attributes={"reason": error.reason, "origin": origin},
        )
