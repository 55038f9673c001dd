"""The shared inotify instance, and the triggers for single paths.

Configuration, transforms, a local branch.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from asyncinotify import Mask

from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.events import KernelEvent
from eventd.platform.inotify import CONTENT, NAMES, Change, Inotify
from eventd.platform.model_events import PlatformOrigin
from eventd.repository.adapter_git import GitRepository
from eventd.repository.adapter_git_options import GitOptions
from eventd.repository.model_events import RepositoryEvent
from eventd.repository.source_triggers import PathTriggers
from tests.unit.kernel.recorder import Recorder
from tests.unit.repository.gitremote import Remote, public_folder


@pytest.fixture
async def inotify() -> AsyncIterator[Inotify]:
    instance = Inotify()
    task = asyncio.create_task(instance.run())
    yield instance
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    instance.close()


class Changes(list[Change]):
    """A callback that remembers, and lets a test wait for a name."""

    def __init__(self) -> None:
        super().__init__()
        self._told = asyncio.Event()

    def __call__(self, change: Change) -> None:
        self.append(change)
        self._told.set()

    async def until(self, name: str, mask: Mask) -> None:
        async with asyncio.timeout(60):
            while not any(c.name == name and c.mask & mask for c in self):
                self._told.clear()
                await self._told.wait()


async def test_two_subscribers_of_one_folder_are_both_told(inotify: Inotify, tmp_path: Path):
    """The kernel has one watch per inode.

    Each subscriber gets what it asked for, and one that ends takes nothing along.
    """
    names, content = Changes(), Changes()
    first = inotify.subscribe(str(tmp_path), CONTENT, content, follow=True)
    assert inotify.subscribe(str(tmp_path), NAMES, names, follow=True) is not None
    (tmp_path / "a").write_text("x")
    await content.until("a", Mask.CLOSE_WRITE)
    assert {int(c.mask) for c in names} == {int(Mask.CREATE)}
    assert first is not None
    inotify.cancel(first)
    (tmp_path / "b").write_text("x")
    await names.until("b", Mask.CREATE)
    assert not any(c.name == "b" for c in content)


async def test_who_waits_for_one_name_hears_of_that_and_of_the_folders_end(inotify: Inotify, tmp_path: Path):
    """Other names are kept away from it; that the folder is gone is not."""
    folder = tmp_path / "f"
    folder.mkdir()
    one, all_of_them = Changes(), Changes()
    assert inotify.subscribe(str(folder), CONTENT, one, follow=True, name="wanted") is not None
    assert inotify.subscribe(str(folder), CONTENT, all_of_them, follow=True) is not None
    for name in ("other", "wanted"):
        (folder / name).touch()
        (folder / name).unlink()
    await all_of_them.until("wanted", Mask.DELETE)
    assert {c.name for c in one} == {"wanted"}
    assert {c.name for c in all_of_them} == {"other", "wanted"}
    folder.rmdir()
    await one.until("", Mask.IGNORED)


async def test_no_folder_no_subscription(inotify: Inotify, tmp_path: Path):
    """A file, a missing path, and a symlink that must not be followed are no folders."""
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path)
    told = Changes()
    assert inotify.subscribe(str(tmp_path / "file"), NAMES, told, follow=True) is None
    assert inotify.subscribe(str(tmp_path / "none"), NAMES, told, follow=True) is None
    assert inotify.subscribe(str(tmp_path / "link"), NAMES, told, follow=False) is None
    assert inotify.subscribe(str(tmp_path / "link"), NAMES, told, follow=True) is not None


async def test_a_deleted_folder_ends_its_subscription(inotify: Inotify, tmp_path: Path):
    """Deletion is told as lost, and cancelling afterwards is no error."""
    folder = tmp_path / "f"
    folder.mkdir()
    told = Changes()
    subscription = inotify.subscribe(str(folder), CONTENT, told, follow=True)
    folder.rmdir()
    await told.until("", Mask.IGNORED)
    assert all(c.lost for c in told)
    assert subscription is not None
    inotify.cancel(subscription)


async def test_a_noisy_folder_is_not_watched_for_a_while(tmp_path: Path, monkeypatch, caplog):
    """In a guarded instance: its subscribers lose it and look again, neighbours are told all, the queue stays small."""
    monkeypatch.setattr("eventd.platform.inotify._AT_ONCE", 50)
    monkeypatch.setattr("eventd.kernel.model.conduct.FIRST", 0.05)
    instance = Inotify(guarded=True)
    task = asyncio.create_task(instance.run())
    noisy, quiet = tmp_path / "noisy", tmp_path / "quiet"
    for folder in (noisy, quiet):
        folder.mkdir()
    loud, calm = Changes(), Changes()
    instance.subscribe(str(noisy), NAMES, loud, follow=False, name="wanted")
    ended = instance.subscribe(str(noisy), NAMES, pytest.fail, follow=False, name="ended")
    instance.subscribe(str(quiet), NAMES, calm, follow=False)
    for number in range(300):
        (noisy / str(number)).touch()
    (quiet / "x").touch()
    await calm.until("x", Mask.CREATE)
    assert ended is not None
    instance.cancel(ended)
    await loud.until("", Mask.IGNORED)
    assert all(change.lost for change in loud)
    assert f"{noisy}: not watching it for" in caplog.text
    instance.subscribe(str(noisy), NAMES, loud, follow=False, name="wanted")
    (noisy / "wanted").touch()
    await loud.until("wanted", Mask.CREATE)
    assert instance.overflows == 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    instance.close()


async def test_an_overflow_is_said():
    """When the kernel drops events, every gap callback is called."""
    instance = Inotify()
    gap = asyncio.Event()
    instance.on_gap(gap.set)
    event = type("Event", (), {"mask": Mask.Q_OVERFLOW, "watch": None, "name": None})()
    instance._dispatch(event)
    assert gap.is_set()
    assert instance.overflows == 1
    instance.close()


@pytest.fixture
async def triggers(inotify: Inotify) -> AsyncIterator[tuple[PathTriggers, Recorder]]:
    recorder = Recorder()
    source = PathTriggers(inotify, recorder)
    task = asyncio.create_task(source.run())
    yield source, recorder
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def told(recorder: Recorder, count: int) -> None:
    await recorder.until(lambda: len(recorder.seen) >= count)


async def test_a_file_that_appears_later_triggers(triggers: tuple[PathTriggers, Recorder], tmp_path: Path):
    """A path without its folders is watched.

    Made, rewritten in place, replaced, removed with them, all is told.
    """
    source, recorder = triggers
    path = tmp_path / "etc/eventd/eventd.toml"
    await source.add(str(path), KernelEvent.CONFIG_CHANGED)
    assert recorder.seen == []
    path.parent.mkdir(parents=True)
    path.write_text("a")
    await told(recorder, 1)
    assert (recorder.seen[0].origin, recorder.seen[0].subject) == (PlatformOrigin.INOTIFY, str(path))
    count = len(recorder.seen)
    with path.open("r+") as file:
        file.write("bc")
    await told(recorder, count + 1)
    count = len(recorder.seen)
    (path.parent / "new").write_text("def")
    (path.parent / "new").rename(path)
    await told(recorder, count + 1)
    count = len(recorder.seen)
    path.unlink()
    path.parent.rmdir()
    await told(recorder, count + 1)
    count = len(recorder.seen)
    path.parent.mkdir()
    path.write_text("again")
    await told(recorder, count + 1)


async def test_a_moved_parent_counts(triggers: tuple[PathTriggers, Recorder], tmp_path: Path):
    """Renaming a folder two levels above the file changes what is at the path, and is told."""
    source, recorder = triggers
    path = tmp_path / "a/b/file"
    path.parent.mkdir(parents=True)
    path.write_text("1")
    await source.add(str(path), KernelEvent.CONFIG_CHANGED)
    (tmp_path / "a").rename(tmp_path / "old")
    await told(recorder, 1)
    (tmp_path / "old/b/file").write_text("not at the path any more")
    path.parent.mkdir(parents=True)
    path.write_text("2")
    await told(recorder, 2)


async def test_a_neighbour_does_not_count(triggers: tuple[PathTriggers, Recorder], tmp_path: Path):
    """Another file in the same folder, and touching nothing, emit nothing."""
    source, recorder = triggers
    path, mark = tmp_path / "file", tmp_path / "mark"
    path.write_text("1")
    await source.add(str(path), KernelEvent.CONFIG_CHANGED)
    await source.add(str(mark), RepositoryEvent.PUSHED)
    (tmp_path / "neighbour").write_text("x")
    mark.write_text("x")
    await told(recorder, 1)
    assert set(recorder.kinds()) == {RepositoryEvent.PUSHED}


async def test_a_symlinked_configuration_is_followed(triggers: tuple[PathTriggers, Recorder], tmp_path: Path):
    """Writing the file that the path links to is told, and so is linking it to another file."""
    source, recorder = triggers
    (tmp_path / "real").mkdir()
    (tmp_path / "real/one").write_text("1")
    (tmp_path / "real/two").write_text("2")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real/one")
    await source.add(str(link), KernelEvent.CONFIG_CHANGED)
    (tmp_path / "real/one").write_text("1.1")
    await told(recorder, 1)
    count = len(recorder.seen)
    (tmp_path / "new").symlink_to(tmp_path / "real/two")
    (tmp_path / "new").rename(link)
    await told(recorder, count + 1)
    count = len(recorder.seen)
    (tmp_path / "real/two").write_text("2.2")
    await told(recorder, count + 1)


async def test_a_folder_triggers_for_what_is_below_it(
    triggers: tuple[PathTriggers, Recorder], tmp_path: Path
):
    """The transforms folder is told of as a whole, at any depth, also when it did not exist."""
    source, recorder = triggers
    folder = tmp_path / "transforms"
    await source.add(str(folder), KernelEvent.CONFIG_CHANGED)
    (folder / "deep/er").mkdir(parents=True)
    await told(recorder, 1)
    for name in ("deep/er/a", "b"):
        count = len(recorder.seen)
        (folder / name).write_text("x")
        await told(recorder, count + 1)


async def test_after_an_overflow_only_what_changed_is_told(inotify: Inotify, tmp_path: Path):
    """A gap makes every path be looked at again: the changed one is told, the other is not."""
    recorder = Recorder()
    source = PathTriggers(inotify, recorder)
    for name in ("a", "b"):
        (tmp_path / name).write_text("1")
        await source.add(str(tmp_path / name), KernelEvent.CONFIG_CHANGED)
    (tmp_path / "a").write_text("2.2")
    source._dirty.clear()  # as if the queue had lost it
    source.invalidate()
    task = asyncio.create_task(source.run())
    await told(recorder, 1)
    await source.clear()  # waits for the worker
    assert {seen.subject for seen in recorder.seen} == {str(tmp_path / "a")}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_push_to_a_local_bare_repository_triggers(
    triggers: tuple[PathTriggers, Recorder], tmp_path: Path
):
    """Git itself pushes a branch with a slash in its name, packs it, and pushes again: each push is told."""
    source, recorder = triggers
    bare, work = tmp_path / "bare.git", tmp_path / "work"
    environment = os.environ | {
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }

    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], check=True, env=environment, capture_output=True)

    git("init", "-q", "--bare", str(bare))
    git("init", "-q", str(work))
    options = GitOptions(str(tmp_path / "own.git"), str(bare), branch="feature/x")
    for path in GitRepository(options).watch_paths():
        await source.add(path, RepositoryEvent.PUSHED, subject=str(bare))
    for number in (1, 2):
        git("-C", str(work), "commit", "-q", "--allow-empty", "-m", str(number))
        count = len(recorder.seen)
        git("-C", str(work), "push", "-q", str(bare), "HEAD:refs/heads/feature/x")
        await told(recorder, count + 1)
        git("-C", str(bare), "pack-refs", "--all")
    assert {seen.subject for seen in recorder.seen} == {str(bare)}


async def test_a_push_to_another_branch_of_a_repository_that_was_empty_triggers(
    triggers: tuple[PathTriggers, Recorder],
):
    """Whoever pushes `master` where `main` is followed is told so: the next fetch names the branch that is there."""
    source, recorder = triggers
    with public_folder() as folder:
        await _pushes_master(source, recorder, folder)


async def _pushes_master(source: PathTriggers, recorder: Recorder, folder: Path) -> None:
    remote = Remote.make(folder / "hosts.git", "master")
    repository = remote.open(folder, branch="main")
    for path in repository.watch_paths():
        await source.add(path, RepositoryEvent.PUSHED, subject="hosts")
    with pytest.raises(PermanentError, match="has no branches"):
        await repository.fetch()
    remote.commit({"a": b"1"})
    await told(recorder, 1)
    with pytest.raises(PermanentError, match="its branches: master; push main"):
        await repository.fetch()
