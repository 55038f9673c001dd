"""The kernel's own errors, as a reason to read the table of mounts again while volumes are mounted.

A file system that gives up (`errors=remount-ro`, a journal that aborts, a shut-down XFS) changes its options without
any signal of the mount table: poll(2) on mountinfo stays silent. What it does is print an error, which journald keeps.
This follows such entries while somebody wants it, calls back, and reads nothing out of them: where to look again is all
that they say. It emits nothing but how it stands itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from eventd.kernel.model.errors import EventdError, TemporaryError
from eventd.kernel.model.events import Emit
from eventd.kernel.model.source_state import SourceState
from eventd.mounts.model_events import MountOrigin
from eventd.platform.journal_follow import JournalFollow
from eventd.platform.reconnect import pauses

STEADY = 60.0
"""Seconds that it has to follow to be well again, and for the pauses between attempts to begin anew."""
_log = logging.getLogger(__name__)
MATCHES = ("_TRANSPORT=kernel", *(f"PRIORITY={level}" for level in range(4)))
"""emerg, alert, crit, err (syslog(3)): what ext4, XFS, btrfs and the block layer use when something is broken."""


class KernelErrorsSource:
    """Calls `changed` after each of the kernel's errors, for as long as that is wanted."""

    def __init__(self, emit: Emit, journal: JournalFollow, changed: Callable[[], None]) -> None:
        self.state = SourceState(emit, MountOrigin.KERNEL, "kernel-errors")
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
        """Follow while it is wanted, until cancelled; `started` once it follows, or need not."""
        wait, started = pauses(), False

        def follows() -> None:
            nonlocal started
            if not started:
                started = True
                task_status.started()

        while True:
            self._turn = anyio.Event()
            if not self._wanted:
                follows()
                self.state.mended()
                await self._turn.wait()
                wait = pauses()
                continue
            began = anyio.current_time()
            try:
                await self._follow(follows)
            except EventdError as error:
                _log.warning("errors of the kernel are not followed: %s", error)
                self.state.failed(error)
                if anyio.current_time() - began > STEADY:
                    wait = pauses()
                await anyio.sleep(next(wait))

    async def _follow(self, follows: Callable[[], None]) -> None:
        """Follow until that is no longer wanted. Raises TemporaryError(reason="journal-lost") if it ends before."""
        turn = self._turn
        lost: list[str] = []

        def ended(sentence: str) -> None:
            lost.append(sentence)
            turn.set()

        newest = await self._journal.tail()
        follower = self._journal.follow(
            MATCHES,
            fields=(),
            after=newest.cursor if newest is not None else "",
            entry=lambda _entry: self._changed(),
            ended=ended,
        )
        try:
            self._changed()  # what came before it followed
            follows()
            with anyio.move_on_after(STEADY):
                await turn.wait()
            if not turn.is_set():
                self.state.mended()
            await turn.wait()
            if lost:
                raise TemporaryError(lost[0], reason="journal-lost")
        finally:
            with anyio.CancelScope(shield=True):
                await follower.stop()
