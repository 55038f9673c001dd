"""What the runtime needs of the journal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from eventd.platform.model_facts import Account


class UnitLog(Protocol):
    """The journal, for reports."""

    async def tail(
        self, account: Account | None, unit: str, *, lines: int, invocation: str = ""
    ) -> Sequence[str]:
        """Return the last lines of a unit (a user unit if `account` is given); empty if none can be read."""
        ...
