"""Scope: eventd.platform.path_lookup and eventd.files.source_watched, on a real file system."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eventd.files import source_watched as watched_files
from eventd.files.source_watched import WatchedFiles
from eventd.kernel.model.events import KernelEvent
from eventd.platform.inotify import Inotify
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import FileKind, FileState, PlatformFact
from eventd.platform.path_lookup import look_up
from tests.processes import open_descriptors
from tests.unit.kernel.recorder import Recorder

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root's links can be told from others'")


# What stands at a path.


def kind(path: object) -> FileKind | None:
    state = look_up(str(path)).state
    return None if state is None else state.kind


def test_what_stands_there_is_told_by_kind_and_not_read(tmp_path: Path) -> None:
    """A file, folder, socket and fifo are there; the fact has no digest, and opening would block on a fifo."""
    (tmp_path / "file").write_text("x")
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    state = look_up(str(tmp_path / "file")).state
    assert state is not None
    assert (state.kind, state.digest, state.uid) == (FileKind.REGULAR, "", os.geteuid())
    assert kind(tmp_path) is FileKind.DIRECTORY
    assert kind(tmp_path / "fifo") is FileKind.OTHER
    assert kind(tmp_path / "socket") is FileKind.OTHER
    assert kind(tmp_path / "none") is None
    assert kind(tmp_path / "file" / "below") is None
    assert kind("/") is FileKind.DIRECTORY


def test_the_last_component_is_not_followed(tmp_path: Path) -> None:
    """A link is there, whether it leads anywhere or not."""
    (tmp_path / "link").symlink_to("nowhere")
    assert kind(tmp_path / "link") is FileKind.SYMLINK


@needs_root
def test_only_roots_links_are_followed_on_the_way(tmp_path: Path) -> None:
    """A workload's link does not make root look elsewhere on its behalf; `/var/run` works."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_text("x")
    for name, target in (("absolute", str(secret)), ("relative", "home/../secret"), ("up", "../secret")):
        (tmp_path / name).symlink_to(target)
    (tmp_path / "home").mkdir()
    assert kind(tmp_path / "absolute" / "file") is FileKind.REGULAR
    assert kind(tmp_path / "relative" / "file") is FileKind.REGULAR
    os.lchown(tmp_path / "absolute", 65534, 65534)
    assert kind(tmp_path / "absolute" / "file") is None
    assert kind(tmp_path / "absolute") is FileKind.SYMLINK


@needs_root
def test_links_that_go_round_end(tmp_path: Path) -> None:
    """After as many as the kernel follows, there is nothing."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert kind(tmp_path / "a" / "x") is None


@needs_root
def test_the_way_is_where_the_names_are_looked_up(tmp_path: Path) -> None:
    """It goes over links to the folders behind them, and ends at the first name that is missing."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    found = look_up(f"{tmp_path}/link/missing/below")
    assert found.state is None
    assert found.steps[-3:] == (
        (str(tmp_path), "link"),
        (str(tmp_path), "real"),
        (f"{tmp_path}/real", "missing"),
    )


def test_looking_leaves_no_descriptor_behind(tmp_path: Path) -> None:
    """Found, missing or refused."""
    before = open_descriptors()
    for path in (tmp_path, tmp_path / "x" / "y", "/", "/etc/hostname/x"):
        look_up(str(path))
    assert open_descriptors() == before


# As it changes.


@pytest.fixture
async def inotify() -> AsyncIterator[Inotify]:
    instance = Inotify()
    task = asyncio.create_task(instance.run())
    yield instance
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    instance.close()


@pytest.fixture
def emit() -> Recorder:
    return Recorder()


@pytest.fixture
async def source(inotify: Inotify, emit: Recorder, tmp_path: Path) -> AsyncIterator[WatchedFiles]:
    made = WatchedFiles(inotify, emit, owned=[str(tmp_path / "owned")])
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def there(emit: Recorder, path: Path) -> bool:
    return emit.fact(PlatformFact.FILE, path) is not None


async def test_what_is_wanted_has_been_looked_at_on_return(
    source: WatchedFiles, emit: Recorder, tmp_path: Path
) -> None:
    """So a gate with not(file:…) does not open because nobody has looked yet."""
    present, absent = tmp_path / "present", tmp_path / "absent"
    present.touch()
    await source.want([str(present), str(absent)])
    assert isinstance(emit.fact(PlatformFact.FILE, present), FileState)
    assert not there(emit, absent)
    assert set(emit.kinds()) == {KernelEvent.READ}


async def test_coming_and_going_are_events(source: WatchedFiles, emit: Recorder, tmp_path: Path) -> None:
    """Created, renamed away and back, removed: each is told once, and neighbours are not told."""
    path = tmp_path / "flag"
    await source.want([str(path)])
    emit.seen.clear()
    (tmp_path / "neighbour").touch()
    path.touch()
    await emit.until(lambda: there(emit, path))
    assert [(s.origin, s.kind, s.subject) for s in emit.seen] == [
        (PlatformOrigin.INOTIFY, PlatformEvent.FILE_CHANGED, str(path))
    ]
    assert emit.seen[0].attributes == {"there": True}
    path.rename(tmp_path / "away")
    await emit.until(lambda: not there(emit, path))
    (tmp_path / "away").rename(path)
    await emit.until(lambda: there(emit, path))
    path.unlink()
    await emit.until(lambda: not there(emit, path))


async def test_an_owner_or_a_mode_that_changes_is_an_event(
    source: WatchedFiles, emit: Recorder, tmp_path: Path
) -> None:
    """A folder is made first and given to its owner then, and may have been looked at in between."""
    path = tmp_path / "way" / "folder"
    await source.want([str(path)])
    path.mkdir(parents=True, mode=0o700)
    await emit.until(lambda: there(emit, path))

    def mode() -> int:
        state = emit.fact(PlatformFact.FILE, path)
        assert isinstance(state, FileState)
        return state.mode

    for wanted in (0o711, 0o700):
        path.chmod(wanted)
        await emit.until(lambda wanted=wanted: mode() == wanted)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
        await emit.until(lambda: getattr(emit.fact(PlatformFact.FILE, path), "uid", 0) == 65534)


async def test_a_way_that_does_not_exist_yet_is_watched(
    source: WatchedFiles, emit: Recorder, tmp_path: Path
) -> None:
    """Folders are made one by one, or all in one go, and the file right after them."""
    path = tmp_path / "a" / "b" / "c" / "file"
    await source.want([str(path)])
    for _ in range(20):
        path.parent.mkdir(parents=True)
        path.touch()
        await emit.until(lambda: there(emit, path))
        shutil.rmtree(tmp_path / "a")
        await emit.until(lambda: not there(emit, path))


async def test_renames_of_folders_above_are_seen(
    source: WatchedFiles, emit: Recorder, tmp_path: Path
) -> None:
    """A folder below a renamed one tells nothing itself; after the rename the new one in its place counts."""
    path = tmp_path / "a" / "b" / "file"
    path.parent.mkdir(parents=True)
    path.touch()
    await source.want([str(path)])
    for number in range(5):
        (tmp_path / "a").rename(tmp_path / f"old{number}")
        await emit.until(lambda: not there(emit, path))
        path.parent.mkdir(parents=True)
        await asyncio.sleep(0.01)  # the folder is watched by now, or not yet: both have to work
        path.touch()
        await emit.until(lambda: there(emit, path))
    (tmp_path / "old0" / "b" / "file").unlink()
    path.unlink()
    await emit.until(lambda: not there(emit, path))


async def test_a_folder_that_is_replaced_while_in_use_is_left(
    source: WatchedFiles, emit: Recorder, tmp_path: Path
) -> None:
    """A removed folder that somebody has open does not say that it is gone: its parent does."""
    path = tmp_path / "a" / "file"
    path.parent.mkdir()
    await source.want([str(path)])
    held = os.open(path.parent, os.O_RDONLY)
    try:
        path.parent.rmdir()
        path.parent.mkdir()
        await asyncio.sleep(0.05)  # it has been looked at, and nothing was there
        path.touch()
        await emit.until(lambda: there(emit, path))
    finally:
        os.close(held)


@needs_root
async def test_a_link_of_root_that_is_switched_is_seen(
    source: WatchedFiles, emit: Recorder, tmp_path: Path
) -> None:
    """`current -> releases/2` and the like, also when the file comes in the place that it leads to."""
    for number in "12":
        (tmp_path / number).mkdir()
    (tmp_path / "1" / "file").touch()
    (tmp_path / "current").symlink_to("1")
    path = tmp_path / "current" / "file"
    await source.want([str(path)])
    assert there(emit, path)
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").rename(tmp_path / "current")
    await emit.until(lambda: not there(emit, path))
    (tmp_path / "2" / "file").touch()
    await emit.until(lambda: there(emit, path))


async def test_what_is_no_longer_wanted_is_forgotten(
    source: WatchedFiles, emit: Recorder, tmp_path: Path
) -> None:
    """Its fact is gone, and so are its subscriptions; others stay."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.touch()
    second.touch()
    await source.want([str(first), str(second)])
    await source.want([str(second)])
    assert not there(emit, first)
    assert there(emit, second)
    first.unlink()
    second.unlink()
    await emit.until(lambda: not there(emit, second))
    await source.want([])
    emit.seen.clear()
    second.touch()
    await asyncio.sleep(0.02)
    assert emit.seen == []


async def test_owned_folders_are_left_to_their_source(
    source: WatchedFiles, emit: Recorder, tmp_path: Path
) -> None:
    """There the facts have digests, which must not be overwritten."""
    (tmp_path / "owned").mkdir()
    (tmp_path / "owned" / "x.container").touch()
    (tmp_path / "owned.not").touch()
    await source.want([f"{tmp_path}/owned/x.container", f"{tmp_path}/owned", f"{tmp_path}/owned.not"])
    assert [seen.subject for seen in emit.seen] == [f"{tmp_path}/owned.not"]


async def test_a_mount_has_what_is_below_it_looked_at_again(
    source: WatchedFiles, emit: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inotify says nothing of mounts: whoever knows of one says so, and only what it concerns is looked at."""
    inside, beside = tmp_path / "disk" / "file", tmp_path / "disk2"
    await source.want([str(inside), str(beside)])
    looked: list[str] = []
    real = look_up

    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def counted(path: str) -> object:
        looked.append(path)
        loop.call_soon_threadsafe(done.set)
        return real(path)

    monkeypatch.setattr(watched_files, "look_up", counted)
    emit.seen.clear()
    source.invalidate([f"{tmp_path}/disk"])
    async with asyncio.timeout(60):
        await done.wait()
    await asyncio.sleep(0.02)
    assert set(looked) == {str(inside)}
    assert emit.seen == []


async def test_what_is_mounted_while_a_path_is_looked_at_makes_that_look_void(
    source: WatchedFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the look saw, and subscribed to, may lie below the mount: the folder made there later was never seen."""
    inside = tmp_path / "disk" / "file"
    (tmp_path / "disk").mkdir()
    real, loop, looks = look_up, asyncio.get_running_loop(), 0

    def mounted_meanwhile(path: str) -> object:
        nonlocal looks
        looks += 1
        seen = real(path)
        if looks == 1:

            async def tell() -> None:
                source.invalidate([f"{tmp_path}/disk"])

            asyncio.run_coroutine_threadsafe(tell(), loop).result(60)
        return seen

    monkeypatch.setattr(watched_files, "look_up", mounted_meanwhile)
    await source.want([str(inside)])
    # The void one, one that subscribes, and one that sees what came in between.
    assert looks >= 3


async def test_after_an_overflow_everything_is_looked_at(
    inotify: Inotify, source: WatchedFiles, emit: Recorder, tmp_path: Path
) -> None:
    """What was missed is found by looking, whatever it was."""
    path = tmp_path / "file"
    await source.want([str(path)])
    for subscription in tuple(source._paths[str(path)].watch._steps.values()):
        inotify.cancel(subscription)  # deaf
    path.touch()
    for gap in inotify._gaps:
        gap()
    await emit.until(lambda: there(emit, path))
    path.unlink()
    await emit.until(lambda: not there(emit, path))


async def test_a_path_that_hangs_does_not_hold_up_the_others(
    source: WatchedFiles, emit: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead file server: that path counts as missing, until the server answers; and `want` returns."""
    dead, alive = tmp_path / "dead", tmp_path / "living"
    alive.touch()
    real = look_up

    def hang(path: str) -> object:
        if path == str(dead):
            os.read(pipe[0], 1)
        return real(path)

    pipe = os.pipe()
    monkeypatch.setattr(watched_files, "look_up", hang)
    monkeypatch.setattr(watched_files, "TIMEOUT", 3.0)
    await source.want([str(dead), str(alive)])
    assert there(emit, alive)
    assert not there(emit, dead)
    dead.touch()  # by somebody else on that server: nothing tells of it here
    os.write(pipe[1], b"x" * 8)
    await emit.until(lambda: there(emit, dead))
    for descriptor in pipe:
        os.close(descriptor)


async def test_a_path_that_is_slow_is_looked_at_once_more_and_not_all_the_time(
    source: WatchedFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look ends, and each too late: the second one is the last that this leads to."""
    slow, ended, loop = tmp_path / "slow", asyncio.Queue[int](), asyncio.get_running_loop()

    def dawdle(path: str) -> object:
        try:
            os.read(pipe[0], 1)
            return look_up(path)
        finally:
            loop.call_soon_threadsafe(ended.put_nowait, 1)

    pipe, given_up = os.pipe(), asyncio.Queue[int]()
    monkeypatch.setattr(watched_files, "look_up", dawdle)
    monkeypatch.setattr(watched_files, "TIMEOUT", 1.0)  # a look that has not begun by then never ends
    monkeypatch.setattr(watched_files._log, "warning", lambda *_args: given_up.put_nowait(1))
    await source.want([str(slow)])
    for _ in range(2):
        await given_up.get()
        os.write(pipe[1], b"x")
        await ended.get()
    await asyncio.sleep(0.1)  # no readiness: the time in which a third look would begin
    assert not source._dirty
    assert given_up.empty()
    for descriptor in pipe:
        os.close(descriptor)
