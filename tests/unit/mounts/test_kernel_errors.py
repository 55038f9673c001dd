"""Scope: eventd.mounts.source_kernel_errors over a made-up journal: when it follows, and whom it calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio

from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.facts import KernelFact, SourceTrouble
from eventd.mounts.source_kernel_errors import KernelErrorsSource
from eventd.platform.journal_follow import Entry
from eventd_simulators.virtual_time import virtual
from tests.unit.kernel.recorder import Recorder

ERROR = Entry("c2", "b", 1, -1, {})


class Journal:
    """A journal and its one follower."""

    def __init__(self) -> None:
        self.after: list[str] = []
        self.entry: Callable[[Entry], None] = lambda _entry: None
        self.ended: Callable[[str], None] = lambda _why: None
        self.stopped = 0
        self.broken = 0
        self.changed = anyio.Event()
        """It is followed."""

    async def newest(self) -> Entry | None:
        if self.broken:
            self.broken -= 1
            raise PermanentError("no journal", reason="journal-unreadable")
        return Entry("c1", "b", 0, -1, {})

    def follow(
        self,
        matches: Sequence[str],
        *,
        fields: Sequence[str],
        after: str,
        entry: Callable[[Entry], None],
        ended: Callable[[str], None],
    ) -> Journal:
        assert "_TRANSPORT=kernel" in matches
        assert not fields
        self.after.append(after)
        self.entry, self.ended = entry, ended
        self.changed.set()
        return self

    async def stop(self) -> None:
        self.stopped += 1


def following(journal: Journal, calls: list[int]) -> AbstractAsyncContextManager[KernelErrorsSource]:
    """Run the source over a journal; `calls` gets an element for each call."""

    @asynccontextmanager
    async def running():  # type: ignore[no-untyped-def]
        source = KernelErrorsSource(Recorder(), journal, lambda: calls.append(1))
        async with anyio.create_task_group() as group:
            await group.start(source.run)
            yield source
            group.cancel_scope.cancel()

    return running()


async def test_nothing_runs_until_a_volume_is_mounted_and_after_the_last_is_gone() -> None:
    """A host without volumes pays nothing."""
    journal, calls = Journal(), list[int]()
    async with following(journal, calls) as source:
        await anyio.wait_all_tasks_blocked()
        assert (journal.after, calls) == ([], [])
        source.want(True)
        await anyio.wait_all_tasks_blocked()
        assert journal.after == ["c1"]
        assert len(calls) == 1, "once, for what came before it followed"
        journal.entry(ERROR)
        assert len(calls) == 2
        source.want(False)
        await anyio.wait_all_tasks_blocked()
        assert journal.stopped == 1
    assert journal.after == ["c1"]


async def test_a_follower_that_ends_is_followed_by_another_and_nothing_is_missed() -> None:
    """The table is read again between the two."""
    journal, calls = Journal(), list[int]()
    async with following(journal, calls) as source:
        source.want(True)
        await anyio.wait_all_tasks_blocked()
        journal.ended("gone")
        await anyio.wait_all_tasks_blocked()
        assert (len(journal.after), len(calls), journal.stopped) == (2, 2, 1)


@virtual()
async def test_a_follower_that_ends_at_once_is_no_busy_loop_and_is_said() -> None:
    """Each is a process: they come with growing pauses, and from the second on it is a trouble."""
    journal, emit = Journal(), Recorder()
    source = KernelErrorsSource(emit, journal, lambda: journal.ended("exited with 1"))
    source.want(True)
    with anyio.move_on_after(600):
        await source.run()
    assert len(journal.after) < 40
    assert isinstance(emit.fact(KernelFact.SOURCE, "kernel-errors"), SourceTrouble)


async def test_a_journal_that_cannot_be_read_ends_nothing() -> None:
    """It is tried again with growing pauses."""
    journal, calls = Journal(), list[int]()
    journal.broken = 1
    async with following(journal, calls) as source:
        source.want(True)
        with anyio.fail_after(60):
            await journal.changed.wait()
        assert journal.after == ["c1"]
