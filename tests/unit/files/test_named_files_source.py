"""Scope: eventd.files.adapter_named, host_key, as_account and eventd.files.source_named, on a real file system."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from eventd.files import source_named as named_files
from eventd.files.adapter_named import LIMIT, Digester, observe
from eventd.files.source_named import NamedFiles
from eventd.kernel.model.facts import FactKey
from eventd.platform.host_key import host_key
from eventd.platform.inotify import Inotify
from eventd.platform.model_facts import Account, FileKind, PlatformFact
from eventd.platform.path_lookup import look_up
from eventd.platform.processes.as_account import as_account
from eventd.workloads.model_facts import NamedState, WorkloadFact
from tests.unit.kernel.recorder import Recorder

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes root to act as somebody else")
NOBODY = 65534
KEYED = Digester(b"k" * 32)


def me(tmp_path: Path) -> Account:
    return Account("web", os.geteuid(), os.getegid(), str(tmp_path))


# One look.


def test_a_digest_tells_nothing_without_the_key_of_the_host(tmp_path: Path) -> None:
    """Neither by a plain hash of the content, nor by two files that have the same; the same file stays the same."""
    for name in ("a", "b"):
        (tmp_path / name).write_text("hunter2")
    first = observe(str(tmp_path / "a"), None, KEYED).state
    assert first == observe(str(tmp_path / "a"), None, KEYED).state
    assert first.digest != observe(str(tmp_path / "b"), None, KEYED).state.digest
    assert first.digest != observe(str(tmp_path / "a"), None, Digester(b"o" * 32)).state.digest
    assert hashlib.sha256(b"hunter2").hexdigest()[:16] not in first.digest


def test_whatever_stands_there_the_look_comes_back(tmp_path: Path) -> None:
    """A fifo, a socket's kind, a folder, a loop of links, a file of any size, one that is being written."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(LIMIT * 1000)
    (tmp_path / "empty").touch()

    def seen(name: str) -> NamedState:
        return observe(str(tmp_path / name), None, KEYED).state

    assert (seen("fifo").kind, seen("fifo").digest) == (FileKind.OTHER, "")
    assert seen(".").kind is FileKind.DIRECTORY
    assert (seen("loop").kind, seen("none").kind, seen("fifo/below").kind) == (None, None, None)
    assert seen("huge").digest
    assert (seen("empty").kind, seen("empty").digest) == (FileKind.REGULAR, "")
    assert observe("/dev/zero", None, KEYED).state.digest == ""


@needs_root
def test_content_is_read_with_the_rights_of_the_account_and_no_others(tmp_path: Path) -> None:
    """Root's file stays root's, also behind a link of the account's; a file of its own group can be read."""
    account = Account("nosuchname", NOBODY, NOBODY, str(tmp_path))
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.stat().st_mode & 0o001 == 0 and parent != Path("/tmp"):
            parent.chmod(0o711)
    secret = tmp_path / "secret"
    secret.write_text("root's")
    secret.chmod(0o600)
    state = observe(str(secret), account, KEYED).state
    assert (state.kind, state.problem) == (FileKind.REGULAR, "Permission denied")
    link = tmp_path / "link"
    link.symlink_to(secret)
    os.lchown(link, NOBODY, NOBODY)
    assert observe(str(link), account, KEYED).state.problem == "Permission denied"
    os.chown(secret, 0, NOBODY)
    secret.chmod(0o640)
    assert observe(str(secret), account, KEYED).state.problem == ""


@needs_root
def test_the_groups_of_the_thread_are_given_back() -> None:
    """And they are those of the thread alone."""
    before, other = os.getgroups(), list[list[int]]()
    with as_account(Account("nosuchname", NOBODY, NOBODY, "/"), groups=True):
        assert os.getgroups() == [NOBODY]
        thread = threading.Thread(target=lambda: other.append(os.getgroups()))
        thread.start()
        thread.join()
    assert os.getgroups() == before
    assert other == [[NOBODY]]  # a new thread begins with the ids of the one that makes it


@needs_root
def test_root_goes_no_further_than_what_is_roots(tmp_path: Path) -> None:
    """From the first folder or link of somebody else's on, the way is foreign over; root's links are followed."""
    theirs = tmp_path / "theirs"
    (theirs / "deep").mkdir(parents=True)
    (theirs / "deep" / "file").write_text("x")
    os.chown(theirs, NOBODY, NOBODY)
    found = look_up(str(theirs / "deep" / "file"), through=True)
    assert found.foreign == str(theirs / "deep" / "file")
    assert all(not folder.startswith(str(theirs)) for folder, _ in found.steps)
    (tmp_path / "generation").mkdir()
    (tmp_path / "generation" / "file").write_text("x")
    (tmp_path / "current").symlink_to("generation")
    found = look_up(str(tmp_path / "current" / "file"), through=True)
    assert (found.foreign, found.steps[-1]) == ("", (str(tmp_path / "generation"), "file"))
    assert (str(tmp_path), "current") in found.steps
    os.lchown(tmp_path / "current", NOBODY, NOBODY)
    assert look_up(str(tmp_path / "current" / "file"), through=True).foreign == str(
        tmp_path / "current" / "file"
    )


def test_the_key_of_the_host_is_made_once_and_is_nobody_elses_to_read(tmp_path: Path) -> None:
    """What is no key is replaced, and a link is not followed."""
    path = tmp_path / "files.key"
    key = host_key(str(path))
    assert host_key(str(path)) == key
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"short")
    assert host_key(str(path)) not in (key, b"short")


# The source.


@pytest.fixture
def emit(tmp_path: Path) -> Recorder:
    recorder = Recorder()
    recorder.facts.set(FactKey(PlatformFact.ACCOUNT, "web"), me(tmp_path))
    return recorder


@pytest.fixture
async def source(emit: Recorder) -> AsyncIterator[NamedFiles]:
    inotify = Inotify()
    made = NamedFiles(emit, emit.facts, inotify, KEYED, lambda _name, _paths: None)
    tasks = [asyncio.create_task(inotify.run()), asyncio.create_task(made.run())]
    yield made
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    inotify.close()


def now(emit: Recorder, path: object) -> NamedState | None:
    state = emit.facts.get(FactKey(WorkloadFact.NAMED, str(path), "web"))
    return state if isinstance(state, NamedState) else None


def digest_of(emit: Recorder, path: object) -> str:
    state = now(emit, path)
    return state.digest if state is not None else ""


async def test_each_way_of_writing_a_file_is_seen_once_it_is_written(
    source: NamedFiles, emit: Recorder, tmp_path: Path
) -> None:
    """Renamed into place, edited in place, unlinked and made anew; never as the empty file that it is in between."""
    path = tmp_path / "web.env"
    path.write_text("one")
    await source.want({"web": [str(path)]})
    seen = [digest_of(emit, path)]

    async def changed() -> None:
        await emit.until(lambda: digest_of(emit, path) not in ("", seen[-1]))
        seen.append(digest_of(emit, path))

    (tmp_path / "new").write_text("two")
    (tmp_path / "new").rename(path)
    await changed()
    with path.open("w") as file:
        file.write("three")
        file.flush()
        (tmp_path / "marker").touch()
    await changed()
    path.unlink()
    await emit.until(lambda: (state := now(emit, path)) is not None and state.kind is None)
    path.write_text("four")
    await changed()
    assert len(set(seen)) == 4
    path.write_text("four")
    (tmp_path / "new").write_text("five")
    (tmp_path / "new").rename(path)
    await changed()
    changes = [each for each in emit.seen if each.kind.value == "file-changed"]
    assert changes
    assert all("digest" not in each.attributes for each in changes)


async def test_folders_that_come_later_and_links_that_are_switched_are_followed(
    source: NamedFiles, emit: Recorder, tmp_path: Path
) -> None:
    """A generation of secrets behind a link, before there is even a folder for it."""
    path = tmp_path / "run" / "agent" / "x"
    await source.want({"web": [str(path)]})
    assert (state := now(emit, path)) is not None
    assert state.kind is None
    for generation in ("1", "2"):
        (tmp_path / "run" / "agent.d" / generation).mkdir(parents=True)
        (tmp_path / "run" / "agent.d" / generation / "x").write_text(generation)
    (tmp_path / "run" / "agent").symlink_to("agent.d/1")
    await emit.until(lambda: digest_of(emit, path) != "")
    first = digest_of(emit, path)
    (tmp_path / "run" / "next").symlink_to("agent.d/2")
    (tmp_path / "run" / "next").rename(tmp_path / "run" / "agent")
    await emit.until(lambda: digest_of(emit, path) not in ("", first))
    second = digest_of(emit, path)
    (tmp_path / "run" / "agent.d" / "2" / "x").write_text("edited")
    await emit.until(lambda: digest_of(emit, path) not in ("", first, second))


async def test_without_an_account_nothing_is_known_and_nothing_is_read(
    source: NamedFiles, emit: Recorder, tmp_path: Path
) -> None:
    """It is looked at when the account is there, in whose home `%h` is."""
    (tmp_path / "x").write_text("x")
    emit.facts.set(FactKey(PlatformFact.ACCOUNT, "web"), None)
    await source.want({"web": ["%h/x"]})
    assert now(emit, "%h/x") is None
    emit.facts.set(FactKey(PlatformFact.ACCOUNT, "web"), me(tmp_path))
    await emit.until(lambda: digest_of(emit, "%h/x") != "")
    await source.want({})
    assert now(emit, "%h/x") is None


async def test_a_path_that_hangs_is_unknown_and_takes_one_thread(
    source: NamedFiles, emit: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other workload waits for it, no change there starts another look, and its answer is taken when it comes."""
    emit.facts.set(FactKey(PlatformFact.ACCOUNT, "other"), me(tmp_path))
    real, answers, looks = observe, threading.Event(), list[str]()

    def hanging(path: str, account: Account | None, digester: Digester) -> object:
        looks.append(path)
        if path.endswith("hangs"):
            answers.wait(60)
        return real(path, account, digester)

    monkeypatch.setattr(named_files, "observe", hanging)
    monkeypatch.setattr(named_files, "TIMEOUT", 0.05)
    for name in ("hangs", "fine"):
        (tmp_path / name).write_text(name)
    with suppress(TimeoutError):
        await source.want({"web": [str(tmp_path / "hangs")], "other": [str(tmp_path / "fine")]})
    assert now(emit, tmp_path / "hangs") is None
    assert emit.facts.get(FactKey(WorkloadFact.NAMED, str(tmp_path / "fine"), "other")) is not None
    source.invalidate_owner("web")
    source.invalidate_owner("web")
    (tmp_path / "fine").write_text("changed")
    await emit.until(lambda: sum(each.kind.value == "file-changed" for each in emit.seen) == 1)
    assert looks.count(str(tmp_path / "hangs")) == 1
    monkeypatch.setattr(named_files, "TIMEOUT", 5.0)
    answers.set()
    await emit.until(lambda: digest_of(emit, tmp_path / "hangs") != "")
