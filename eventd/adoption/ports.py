"""What an account has of its own, as the runtime sees it."""

from __future__ import annotations

from typing import Protocol

from eventd.adoption.model_finds import Finds, Moved
from eventd.platform.model_facts import Account


class AccountInspector(Protocol):
    """What an account has of its own that runs containers; asked as that account."""

    async def inspect(self, account: Account, *, timeout: float) -> Finds:
        """Return what there is. Raises PermanentError(reason="home-unknown")."""
        ...

    async def move_aside(self, account: Account, folder: str, *, timeout: float) -> Moved:
        """Stop the units of its own files, and move these into `folder` of its home. Raises as `inspect`."""
        ...
