"""The kernel's error messages, as a trigger to read the mount table again while volumes are mounted.

A failing file system (`errors=remount-ro`, an aborted journal, an XFS shutdown) changes its mount options without a
signal: poll(2) on mountinfo does not fire. But the kernel logs an error, which reaches the journal. This source follows
such entries while needed, and calls back for each. It does not interpret them; they only say that the mounts must be
read again. The only facts it emits are about its own state.
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
from eventd.platform.reconnect import retry_delays

STEADY = 60.0
"""Seconds of following after which it counts as healthy, and the retry delay is reset."""
_log = logging.getLogger(__name__)
MATCHES = ("_TRANSPORT=kernel", *(f"PRIORITY={level}" for level in range(4)))
"""emerg, alert, crit, err (syslog(3)): the levels that ext4, XFS, btrfs and the block layer use for failures."""


class KernelErrorsSource:
    """Calls `changed` after each kernel error, while enabled."""

    def __init__(self, emit: Emit, journal: JournalFollow, changed: Callable[[], None]) -> None:
        self.state = SourceState(emit, MountOrigin.KERNEL, "kernel-errors")
        self._journal = journal
        self._changed = changed
        self._wanted = False
        self._turn = anyio.Event()

    def want(self, wanted: bool) -> None:  # noqa: FBT001  a switch
        """Enable or disable following: without a mounted volume no process runs."""
        if wanted != self._wanted:
            self._wanted = wanted
            self._turn.set()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Follow while enabled, until cancelled; `started` once it follows, or is disabled."""
        wait, started = retry_delays(), False

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
                wait = retry_delays()
                continue
            began = anyio.current_time()
            try:
                await self._follow(follows)
            except EventdError as error:
                _log.warning("cannot follow the kernel's error messages: %s", error)
                self.state.failed(error)
                if anyio.current_time() - began > STEADY:
                    wait = retry_delays()
                await anyio.sleep(next(wait))

    async def _follow(self, follows: Callable[[], None]) -> None:
        """Follow until disabled. Raises TemporaryError(reason="journal-lost") if the journal ends before."""
        turn = self._turn
        lost: list[str] = []

        def ended(sentence: str) -> None:
            lost.append(sentence)
            turn.set()

        newest = await self._journal.newest()
        follower = self._journal.follow(
            MATCHES,
            fields=(),
            after=newest.cursor if newest is not None else "",
            entry=lambda _entry: self._changed(),
            ended=ended,
        )
        try:
            self._changed()  # for errors logged before it followed
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
