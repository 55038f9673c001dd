"""What an account has of its own, as the runtime sees it."""

from __future__ import annotations

from typing import Protocol

from eventd.adoption.model_finds import Finds, Moved
from eventd.platform.model_facts import Account


class AccountInspector(Protocol):
    """Lists what an account already runs, with that account's rights."""

    async def inspect(self, account: Account, *, timeout: float) -> Finds:
        """Return what was found. Raises PermanentError(reason="home-unknown")."""
        ...

    async def move_aside(self, account: Account, folder: str, *, timeout: float) -> Moved:
        """Stop the units of its own files, then move the files into `folder` in its home. Raises as `inspect`."""
        ...
