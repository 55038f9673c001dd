"""The journal, as the runtime sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from eventd.platform.model_facts import Account


class UnitLog(Protocol):
    """The journal, for reports."""

    async def tail(
        self, account: Account | None, unit: str, *, lines: int, invocation: str = ""
    ) -> Sequence[str]:
        """Return the last lines of a unit (user unit if `account` is given); an empty list when none can be read."""
        ...
