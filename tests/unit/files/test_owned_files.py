"""The source of FILE facts: real inotify, real folders, and the facts that a dispatcher would hold."""

# ruff: noqa: ASYNC240  small files of the test's own, on an idle loop

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eventd.files.adapter import OwnedFiles
from eventd.files.source_owned import OwnedFilesSource, _outermost
from eventd.kernel.model.events import KernelEvent
from eventd.platform import file_state
from eventd.platform.inotify import Inotify
from eventd.platform.model_events import PlatformEvent
from eventd.platform.model_facts import FileKind, FileState, PlatformFact
from tests.unit.kernel.recorder import Recorder


class Setting:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.recorder = Recorder()
        self.inotify = Inotify()
        self.source = OwnedFilesSource(self.inotify, self.recorder)

    def digest(self, name: str) -> str | None:
        state = self.recorder.fact(PlatformFact.FILE, self.folder / name)
        return state.digest if isinstance(state, FileState) else None

    async def has(self, name: str, content: bytes | None) -> None:
        wanted = None if content is None else hashlib.sha256(content).hexdigest()
        await self.recorder.until(lambda: self.digest(name) == wanted)

    def names(self) -> set[str]:
        return {
            os.path.relpath(key.name, self.folder) for key, _ in self.recorder.facts.items(PlatformFact.FILE)
        }


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    setting = Setting(tmp_path / "units/1001")
    tasks = [asyncio.create_task(setting.inotify.run()), asyncio.create_task(setting.source.run())]
    yield setting
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(result, asyncio.CancelledError), result
    setting.inotify.close()


async def test_what_is_there_is_read_first(setting: Setting):
    """Watching reads the folder: one READ event with all its files, none of its folders."""
    (setting.folder / "sub").mkdir(parents=True)
    (setting.folder / "a").write_bytes(b"1")
    (setting.folder / "sub/b").write_bytes(b"2")
    await setting.source.watch(str(setting.folder))
    assert setting.recorder.kinds() == [KernelEvent.READ]
    assert setting.names() == {"a", "sub/b"}
    await setting.source.watch(str(setting.folder))
    assert len(setting.recorder.seen) == 1


async def test_every_kind_of_change_reaches_the_facts(setting: Setting):
    """Written in place, replaced, truncated, chmodded, renamed, deleted: the facts follow."""
    setting.folder.mkdir(parents=True)
    path = setting.folder / "a"
    path.write_bytes(b"1")
    await setting.source.watch(str(setting.folder))
    path.write_bytes(b"2")
    await setting.has("a", b"2")
    (setting.folder / "n").write_bytes(b"3")
    (setting.folder / "n").rename(path)
    await setting.has("a", b"3")
    os.truncate(path, 0)
    await setting.has("a", b"")
    path.chmod(0o600)
    await setting.recorder.until(
        lambda: getattr(setting.recorder.fact(PlatformFact.FILE, path), "mode", 0) == 0o600
    )
    path.rename(setting.folder / "b")
    await setting.has("b", b"")
    assert setting.digest("a") is None
    (setting.folder / "b").unlink()
    await setting.has("b", None)
    assert set(setting.recorder.kinds()[1:]) == {PlatformEvent.FILE_CHANGED}


async def test_a_folder_that_does_not_exist_yet(setting: Setting):
    """Nothing there is no error; what appears, at any depth and at once, is seen."""
    await setting.source.watch(str(setting.folder))
    assert setting.names() == set()
    deep = setting.folder / "a.container.d/x/y"
    deep.mkdir(parents=True)
    (deep / "10.conf").write_bytes(b"1")
    await setting.has("a.container.d/x/y/10.conf", b"1")
    (deep / "20.conf").write_bytes(b"2")
    await setting.has("a.container.d/x/y/20.conf", b"2")


async def test_a_folder_deleted_and_made_again(setting: Setting):
    """A tree that is removed takes its facts along, and is watched again when it is back."""
    (setting.folder / "sub").mkdir(parents=True)
    (setting.folder / "sub/a").write_bytes(b"1")
    await setting.source.watch(str(setting.folder))
    shutil.rmtree(setting.folder.parent)
    await setting.has("sub/a", None)
    (setting.folder / "sub").mkdir(parents=True)
    (setting.folder / "sub/a").write_bytes(b"2")
    await setting.has("sub/a", b"2")
    (setting.folder / "sub/a").write_bytes(b"3")
    await setting.has("sub/a", b"3")


@pytest.mark.parametrize("moved", ["sub", ".", ".."])
async def test_a_folder_moved_away_with_or_without_its_parents(setting: Setting, moved: str):
    """What is moved away is gone, and changes over there are not ours.

    Those in another folder under the old name are.
    """
    (setting.folder / "sub").mkdir(parents=True)
    (setting.folder / "sub/a").write_bytes(b"1")
    await setting.source.watch(str(setting.folder))
    source = Path(os.path.normpath(setting.folder / moved))
    away = setting.folder.parent.parent / "away"
    source.rename(away)
    await setting.has("sub/a", None)
    next(away.rglob("a")).write_bytes(b"elsewhere")
    (setting.folder / "sub").mkdir(parents=True)
    (setting.folder / "sub/a").write_bytes(b"2")
    await setting.has("sub/a", b"2")


async def test_two_folders_swap_names(setting: Setting):
    """A renamed folder is read under its new name, and what replaced it under the old."""
    for name in ("x", "y"):
        (setting.folder / name).mkdir(parents=True)
        (setting.folder / name / "a").write_bytes(name.encode())
    await setting.source.watch(str(setting.folder))
    (setting.folder / "x").rename(setting.folder / "z")
    (setting.folder / "y").rename(setting.folder / "x")
    (setting.folder / "z").rename(setting.folder / "y")
    await setting.recorder.until(
        lambda: (
            setting.digest("x/a") == hashlib.sha256(b"y").hexdigest()
            and setting.digest("y/a") == hashlib.sha256(b"x").hexdigest()
        )
    )
    (setting.folder / "x/a").write_bytes(b"new")
    await setting.has("x/a", b"new")
    assert setting.names() == {"x/a", "y/a"}


async def test_symlinks_are_facts_and_not_followed(setting: Setting, tmp_path: Path):
    """A link to a file and one to a folder are symlinks; what changes behind them is not told."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_bytes(b"1")
    setting.folder.mkdir(parents=True)
    await setting.source.watch(str(setting.folder))
    (setting.folder / "link").symlink_to(outside / "a")
    (setting.folder / "tree").symlink_to(outside)
    await setting.recorder.until(lambda: setting.names() == {"link", "tree"})
    for name in ("link", "tree"):
        state = setting.recorder.fact(PlatformFact.FILE, setting.folder / name)
        assert isinstance(state, FileState)
        assert state.kind is FileKind.SYMLINK
    count = len(setting.recorder.seen)
    (outside / "a").write_bytes(b"2")
    (setting.folder / "mark").write_bytes(b"m")
    await setting.has("mark", b"m")
    assert {seen.subject for seen in setting.recorder.seen[count:]} == {str(setting.folder / "mark")}


async def test_a_watched_folder_that_is_a_symlink_is_empty(setting: Setting, tmp_path: Path):
    """The folder itself is not followed either: root never takes another place for its own."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/a").write_bytes(b"1")
    setting.folder.parent.mkdir(parents=True)
    setting.folder.symlink_to(tmp_path / "outside")
    await setting.source.watch(str(setting.folder))
    assert setting.names() == set()


async def test_eventds_own_write_is_one_change(setting: Setting):
    """A put by the adapter is told once, by its final name; its temporary file never."""
    files = OwnedFiles([str(setting.folder)], owner=(os.geteuid(), os.getegid()))
    await setting.source.watch(str(setting.folder))
    await files.put(str(setting.folder / "a"), b"1", mode=0o644)
    await setting.has("a", b"1")
    await files.put(str(setting.folder / "a"), b"2", mode=0o644)
    await setting.has("a", b"2")
    assert [seen.subject for seen in setting.recorder.seen[1:]] == [str(setting.folder / "a")] * 2


async def test_nothing_is_told_of_a_write_that_changes_nothing(setting: Setting):
    """The same content written again wakes nobody."""
    setting.folder.mkdir(parents=True)
    (setting.folder / "a").write_bytes(b"1")
    await setting.source.watch(str(setting.folder))
    (setting.folder / "a.new").write_bytes(b"1")
    (setting.folder / "a.new").chmod((setting.folder / "a").stat().st_mode & 0o7777)
    (setting.folder / "a.new").rename(setting.folder / "a")
    (setting.folder / "mark").write_bytes(b"m")
    await setting.has("mark", b"m")
    assert str(setting.folder / "a") not in {seen.subject for seen in setting.recorder.seen}


async def test_after_an_overflow_everything_is_read_afresh(setting: Setting):
    """A gap is told, and then the facts are what is on the disk, whatever was missed.

    Changes after it are seen.
    """
    setting.folder.mkdir(parents=True)
    (setting.folder / "a").write_bytes(b"1")
    (setting.folder / "b").write_bytes(b"1")
    await setting.source.watch(str(setting.folder))
    # More than the kernel's queue holds, while nobody reads it; all that comes after is lost.
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for number in range(limit + 10):
        (setting.folder / "ab"[number % 2]).chmod(0o644)
    (setting.folder / "a").write_bytes(b"2")
    (setting.folder / "b").unlink()
    (setting.folder / "new").mkdir()
    (setting.folder / "new/c").write_bytes(b"3")
    await setting.has("new/c", b"3")
    assert setting.inotify.overflows == 1
    assert setting.recorder.kinds()[-2:] == [KernelEvent.GAP, KernelEvent.READ]
    assert setting.names() == {"a", "new/c"}
    assert setting.digest("a") == hashlib.sha256(b"2").hexdigest()


async def test_unwatch_forgets_the_facts_and_stops(setting: Setting):
    """The facts of an unwatched folder are gone, and its changes are not told; another's go on."""
    other = setting.folder.parent / "1002"
    for folder in (setting.folder, other):
        folder.mkdir(parents=True)
        (folder / "a").write_bytes(b"1")
        await setting.source.watch(str(folder))
    await setting.source.unwatch(str(setting.folder))
    assert setting.digest("a") is None
    (setting.folder / "a").write_bytes(b"2")
    (other / "a").write_bytes(b"2")
    wanted = hashlib.sha256(b"2").hexdigest()
    await setting.recorder.until(
        lambda: getattr(setting.recorder.fact(PlatformFact.FILE, other / "a"), "digest", "") == wanted
    )
    assert setting.digest("a") is None


async def test_an_unreadable_folder_is_a_gap_with_a_reason(setting: Setting, monkeypatch: pytest.MonkeyPatch):
    """Where the disk refuses, the facts are forgotten, the event says why, and the source lives on."""
    setting.folder.mkdir(parents=True)
    (setting.folder / "a").write_bytes(b"1")
    await setting.source.watch(str(setting.folder))
    real = file_state.read_at

    def broken(folder: int, name: str) -> FileState | None:
        if name == "a":
            raise OSError(5, "Input/output error")
        return real(folder, name)

    monkeypatch.setattr(file_state, "read_at", broken)
    (setting.folder / "a").write_bytes(b"2")
    await setting.has("a", None)
    assert setting.recorder.seen[-1].kind is KernelEvent.GAP
    assert setting.recorder.seen[-1].attributes["reason"] == "io-error"
    (setting.folder / "b").write_bytes(b"3")
    await setting.has("b", b"3")


def test_outermost_keeps_siblings_that_only_look_alike():
    """`/a/b.d` is not below `/a/b`, and sorting must not hide `/a/b/c` behind it."""
    assert _outermost({"/a/b/c", "/a/b", "/a/b.d", "/a/b.d/x"}) == ["/a/b", "/a/b.d"]
