"""Scope: what `eventctl sync` reads again. A signal may be lost silently; a read finds what it would have told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from eventd.accounts.ports import Accounts
from eventd.accounts.source import AccountSource
from eventd.files.source_owned import OwnedFilesSource
from eventd.kernel.domain import Source
from eventd.kernel.model.errors import TemporaryError
from eventd.kernel.model.facts import FactKey
from eventd.mounts.model_facts import MountFact
from eventd.mounts.source_devices import DevicesSource
from eventd.platform import resync as resyncing
from eventd.platform.inotify import Inotify
from eventd.platform.model_facts import Account, PlatformFact
from eventd.platform.resync import ReadCounter, resync
from eventd.sources import Sources
from eventd.updates.model_facts import UpdateFact
from eventd.updates.model_images import Image
from eventd.updates.source_image_store import ImageStoreSource
from eventd_simulators.virtual_time import run
from tests.simulated.test_same_daemon import composed
from tests.unit.health.test_source import ALICE, WEB, FakeJournal, health
from tests.unit.health.test_source import running as hearing
from tests.unit.kernel.recorder import Recorder
from tests.unit.mounts.test_udev import UUID, FakeMonitor, block

NOT_READ = {"inotify", "guarded-inotify", "kernel-errors", "probes"}
"""Sources that are not read again: they keep no fact of the host by signals (docs: lost-signals.md)."""


class Stub:
    """In the place of a source: notes how it was read."""

    def __init__(self) -> None:
        self.read = 0

    async def reread(self) -> None:
        self.read += 1

    def invalidate(self) -> None:
        self.read += 1


async def nothing(*, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
    """A source that has nothing to say."""
    task_status.started()


def test_every_source_of_the_real_daemon_can_be_read_afresh(tmp_path: Path) -> None:
    """A source that is added has to be read as well, or be named here."""
    rows = composed(tmp_path).sources.rows
    assert len(rows) > 14
    assert {each.name for each in rows if each.reread is None and each.invalidate is None} == NOT_READ


async def test_a_sync_reads_every_source_that_there_is() -> None:
    """Those that can be waited for and those that cannot; one that hears all it has to know is left alone."""
    slow, quick = Stub(), Stub()
    rows = (
        Source("quick", nothing, reread=quick.reread),
        Source("slow", nothing, invalidate=slow.invalidate),
        Source("unread", nothing),
    )
    await Sources(rows).reread()
    assert (quick.read, slow.read) == (1, 1)


def test_what_cannot_be_read_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    """One that never answers and one that fails are logged by name; the others have been read."""
    stub = Stub()

    async def fails() -> None:
        raise TemporaryError("no answer", reason="nss-failed")

    async def main() -> None:
        began = asyncio.get_running_loop().time()
        await resync({"a": anyio.sleep_forever, "b": fails, "c": stub.reread})
        assert asyncio.get_running_loop().time() == began + resyncing.TIMEOUT

    run(main())
    assert stub.read == 1
    said = [record.getMessage() for record in caplog.records]
    assert [text for text in said if text.startswith("a: not reread within 5 s")]
    assert [text for text in said if "rereading b" in text and "no answer" in text]


def test_a_read_that_had_begun_before_does_not_count() -> None:
    """It may have passed what happened since."""

    async def main() -> None:
        reads, woken = ReadCounter(), list[int]()
        begun = reads.begin()
        waiting = asyncio.create_task(reads.next_read(lambda: woken.append(1)))
        await asyncio.sleep(1)
        assert woken == [1]
        reads.end(begun)
        await asyncio.sleep(1)
        assert not waiting.done()
        reads.end(reads.begin())
        await waiting

    run(main())


async def test_eventds_files(tmp_path: Path) -> None:
    """A file that was removed, one that was changed and one that came, with nobody listening to the kernel."""
    inotify, recorder = Inotify(), Recorder()
    source = OwnedFilesSource(inotify, recorder)
    for name in ("removed", "changed", "same"):
        (tmp_path / name).write_text("1")
    await source.watch(str(tmp_path))
    seen = len(recorder.seen)
    (tmp_path / "removed").unlink()
    (tmp_path / "changed").write_text("2")
    (tmp_path / "came").write_text("3")
    await source.reread()
    assert {each.subject for each in recorder.seen[seen:]} == {
        str(tmp_path / name) for name in ("removed", "changed", "came")
    }
    assert recorder.fact(PlatformFact.FILE, tmp_path / "removed") is None
    assert recorder.fact(PlatformFact.FILE, tmp_path / "came") is not None
    inotify.close()


class Table:
    """Accounts by name."""

    def __init__(self) -> None:
        self.rows: dict[str, Account] = {}

    async def lookup(self, name: str) -> Account | None:
        return self.rows.get(name)


async def test_accounts(tmp_path: Path) -> None:
    """One that was deleted is told to be gone, and one that is as it was is not told."""
    inotify, recorder, table = Inotify(), Recorder(), Table()
    table.rows = {name: Account(name, uid, uid, "/") for name, uid in (("web", 1500), ("db", 1501))}
    source = AccountSource(inotify, recorder, cast("Accounts", table), etc=str(tmp_path))
    await source.known(["web", "db"])
    seen = len(recorder.seen)
    del table.rows["web"]
    await source.reread()
    assert [each.subject for each in recorder.seen[seen:]] == ["web"]
    assert recorder.fact(PlatformFact.ACCOUNT, "web") is None
    inotify.close()


async def test_devices() -> None:
    """One that came and one that went; a host without udev keeps nobody waiting."""
    emit, monitor = Recorder(), FakeMonitor(block("sda1"))
    source = DevicesSource(emit, monitor=monitor.connect)
    await source.reread()
    async with anyio.create_task_group() as group:
        await group.start(source.run)
        seen = len(emit.seen)
        monitor.present = {each.path: each for each in (block("sdb1", "other"),)}
        await source.reread()
        assert emit.fact(MountFact.DEVICE, UUID) is None
        assert emit.fact(MountFact.DEVICE, "other") is not None
        assert len(emit.seen) == seen + 2
        await source.reread()
        assert len(emit.seen) == seen + 2
        group.cancel_scope.cancel()
    await source.reread()
    monitor.close()


async def test_the_health_of_containers() -> None:
    """What podman wrote to the journal, and the follower did not tell."""
    emit, journal = Recorder(), FakeJournal()
    journal.check("healthy")
    async with hearing(emit, journal) as source:
        source.want({WEB: ALICE})
        await emit.until(lambda: health(emit) == "healthy")
        followers, journal.followers = journal.followers, []
        journal.check("unhealthy")
        journal.followers = followers
        assert health(emit) == "healthy"
        source.invalidate()
        await emit.until(lambda: health(emit) == "unhealthy")


def test_images_that_are_said_to_be_gone() -> None:
    """Podman is asked for these; for the others nobody asks, since what runs has its image."""
    asked: list[str] = []

    class Store:
        async def inspect(self, _account: Account, references: list[str]) -> dict[str, Image]:
            asked.extend(references)
            return {each: Image("f" * 64) for each in references}

    async def main() -> None:
        emit = Recorder()
        gone, there = (FactKey(UpdateFact.IMAGE, f"localhost/{name}:1", "web") for name in ("gone", "there"))
        emit.facts.set(FactKey(PlatformFact.ACCOUNT, "web"), Account("web", 1500, 1500, "/"))
        source = ImageStoreSource(emit, emit.facts, cast("Any", Store()))
        source.want([gone, there])
        emit.facts.set(gone, False)
        async with anyio.create_task_group() as group:
            await group.start(source.run)
            source.invalidate()
            await anyio.sleep(60)
            group.cancel_scope.cancel()
        assert asked == [gone.name]
        assert emit.facts.get(gone) is True

    run(main())
