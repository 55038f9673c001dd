"""The kernel's own errors, as a reason to read the table of mounts again while volumes are mounted.

A file system that gives up (`errors=remount-ro`, a journal that aborts, a shut-down XFS) changes its options without
any signal of the mount table: poll(2) on mountinfo stays silent. What it does is print an error, which journald keeps.
This follows such entries while somebody wants it, calls back, and reads nothing out of them: where to look again is all
that they say. It emits nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from eventd.adapters.journal_follow import Entry
from eventd.core.errors import EventdError
from eventd.sources.reconnect import pauses

_log = logging.getLogger(__name__)
MATCHES = ("_TRANSPORT=kernel", *(f"PRIORITY={level}" for level in range(4)))
"""emerg, alert, crit, err (syslog(3)): what ext4, XFS, btrfs and the block layer use when something is broken."""


class Follower(Protocol):
    """A follower that can be stopped."""

    async def stop(self) -> None:
        """End it."""
        ...


class JournalReader(Protocol):
    """What `eventd.adapters.journal_follow.JournalFollow` is."""

    async def tail(self) -> Entry | None:
        """Return the newest entry of all."""
        ...

    def follow(
        self,
        matches: Sequence[str],
        *,
        fields: Sequence[str],
        after: str,
        entry: Callable[[Entry], None],
        ended: Callable[[str], None],
    ) -> Follower:
        """Call `entry` for each entry after a cursor."""
        ...


class KernelErrorsSource:
    """Calls `changed` after each of the kernel's errors, for as long as that is wanted."""

    def __init__(self, journal: JournalReader, changed: Callable[[], None]) -> None:
        self._journal = journal
        self._changed = changed
        self._wanted = False
        self._turn = anyio.Event()

    def want(self, wanted: bool) -> None:  # noqa: FBT001  a switch
        """Follow, or do not: without a mounted volume no process runs."""
        if wanted != self._wanted:
            self._wanted = wanted
            self._turn.set()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Follow while it is wanted, until cancelled; `started` at once."""
        task_status.started()
        wait = pauses()
        while True:
            self._turn = anyio.Event()
            if not self._wanted:
                await self._turn.wait()
                wait = pauses()
                continue
            try:
                await self._follow()
            except EventdError as error:
                _log.warning("errors of the kernel are not followed: %s", error)
                await anyio.sleep(next(wait))

    async def _follow(self) -> None:
        turn = self._turn
        newest = await self._journal.tail()
        follower = self._journal.follow(
            MATCHES,
            fields=(),
            after=newest.cursor if newest is not None else "",
            entry=lambda _entry: self._changed(),
            ended=lambda _why: turn.set(),
        )
        try:
            self._changed()  # what came before it followed
            await turn.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await follower.stop()
