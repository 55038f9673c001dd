"""The groups of the sockets: looked up at the start, and again for as long as the name service does not answer.

Until then nobody but root can connect to such a socket, nobody is an operator, and the status says so. The lookup is
repeated after pauses that grow, and at once when somebody asks who could be an operator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from eventd.kernel.model import backoff
from eventd.kernel.model.errors import EventdError
from eventd.platform.nss import Nss

PAUSE = 10.0
"""Seconds between two attempts that requests ask for."""


@dataclass(slots=True)
class SocketGroups:
    """See the module. `say`: told why a group is not known, and None when all are."""

    nss: Nss
    say: Callable[[EventdError | None], None]
    _pending: dict[str, list[Callable[[int], None]]] = field(default_factory=dict)
    _one: anyio.Lock = field(default_factory=anyio.Lock)
    _attempts: int = 0
    _tried: float = -PAUSE
    """Loop time at which the last attempt ended."""

    @property
    def pending(self) -> bool:
        """Some group is not known, since the name service has not answered."""
        return bool(self._pending)

    async def resolve(self, group: str, found: Callable[[int], None]) -> None:
        """Call `found` with the id of a group, now or once the name service answers; not if there is no such group."""
        self._pending.setdefault(group, []).append(found)
        await self._attempt()

    async def ask(self) -> None:
        """Somebody asks whose role this decides: try again, unless that was done just now. Bounded by `Nss`."""
        if self.pending and (self._one.locked() or anyio.current_time() - self._tried >= PAUSE):
            await self._attempt()

    async def serve(self) -> None:
        """Try again until every group is known."""
        attempts = 0
        while self.pending:
            attempts += 1
            await anyio.sleep(backoff.delay(attempts, 0.0))
            await self._attempt()

    async def _attempt(self) -> None:
        before = self._attempts
        async with self._one:
            if self._attempts != before:
                return  # the attempt that was waited for was made for this caller, too
            error: EventdError | None = None
            for group in list(self._pending):
                try:
                    gid = await self.nss.gid(group)
                except EventdError as failed:
                    error = failed
                    break  # the next would have to wait just as long
                for found in self._pending.pop(group):
                    if gid is not None:
                        found(gid)
            self._tried = anyio.current_time()
            self._attempts += 1
            self.say(error)
