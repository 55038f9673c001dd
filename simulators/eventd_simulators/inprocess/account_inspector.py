"""The port `AccountInspector`: returns the finds that a test sets."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import replace

from eventd.adoption.model_finds import Finds, Moved
from eventd.platform.model_facts import Account
from eventd_simulators.inprocess.life import Life


class SimAccountInspector:
    """Finds by account."""

    def __init__(self, life: Life, finds: MutableMapping[str, Finds]) -> None:
        self._life = life
        self._finds = finds

    async def inspect(self, account: Account, *, timeout: float) -> Finds:
        """Return the finds."""
        del timeout
        return await self._life.read(lambda: self._finds.get(account.name, Finds()))

    async def move_aside(self, account: Account, folder: str, *, timeout: float) -> Moved:
        """Move the files."""
        del timeout
        return await self._life.change(
            f"move-aside {account.home}/{folder}", lambda: self._moved(account, folder)
        )

    def _moved(self, account: Account, folder: str) -> Moved:
        found = self._finds.get(account.name, Finds())
        self._finds[account.name] = replace(found, quadlets=(), units=())
        return Moved(f"{account.home}/{folder}", found.files, ())
