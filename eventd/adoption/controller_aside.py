"""Moving an account's own files aside: carried out to its end, whoever hangs up, and after a crash.

Owns what has been begun. It is written down first, so that a move that a crash or a stop of the daemon cut off is
known, and is completed at the next start, into the same folder. The units of the files were stopped by then, and half
of their files would be neither the old deployment nor none.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio

from eventd.adoption.model import Aside
from eventd.adoption.model_finds import Moved
from eventd.adoption.ports import AccountInspector
from eventd.kernel.document_table import DocumentTable
from eventd.kernel.model.errors import EventdError
from eventd.kernel.ports import DocumentStore
from eventd.kernel.whole import wholly
from eventd.platform.model_facts import Account

log = logging.getLogger(__name__)
TIMEOUT = 240.0
"""Seconds for stopping the account's own units and moving their files."""
FOLDER = "eventd-aside"
"""The folder in a home in which dated folders are created."""


@dataclass(slots=True)
class MovingAside:
    """See the module. `lookup`: reads an account, `wall`: seconds since the epoch."""

    store: DocumentStore
    inspector: AccountInspector
    lookup: Callable[[str], Awaitable[Account | None]]
    wall: Callable[[], float]
    begun: DocumentTable[Aside] = field(init=False)
    """By account: the moves that have not ended."""
    _one: anyio.Lock = field(default_factory=anyio.Lock)

    def __post_init__(self) -> None:
        """Create the document table."""
        self.begun = DocumentTable(self.store, "aside", Aside)

    async def load(self) -> None:
        """Read what was begun."""
        await self.begun.load()

    @wholly
    async def move(self, account: Account) -> Moved:
        """Stop the units of the account's own files, and move these into a folder of its home.

        One that was cut off is continued, into its own folder. Raises what running a process raises.
        """
        async with self._one:
            row = self.begun.get(account.name)
            if row is None or not row.is_of(account):
                when = time.strftime("%Y-%m-%dT%H-%M-%S", time.localtime(self.wall()))
                row = Aside(account.uid, account.home, f"{FOLDER}/{when}")
            await self.begun.put(account.name, row)
            # A failure leaves the row: nobody knows how far it got.
            moved = await self.inspector.move_aside(account, row.folder, timeout=TIMEOUT)
            await self.begun.put(account.name, None)
            return moved

    async def settle(self) -> None:
        """Complete what an earlier process began.

        What fails is logged and stays recorded: the next request tries it again, and so does the next start.
        """
        for name, row in tuple(self.begun.rows.items()):
            try:
                account = await self.lookup(name)
                if account is None or not row.is_of(account):
                    log.warning("%s is another account than that whose files were being moved aside", name)
                    await self.begun.put(name, None)
                    continue
                moved = await self.move(account)
            except EventdError as error:
                log.warning("cannot complete moving the files of %s aside: %s", name, error)
            else:
                said = f"; not all could be moved: {moved.problem}" if moved.problem else ""
                log.warning("completed moving the files of %s into %s%s", name, moved.aside, said)
