"""The owned-files adapter on a real file system.

Atomicity, the roots, links, full disks, what a crash leaves.
"""

# ruff: noqa: ASYNC240, ASYNC221, PTH208, PTH119  small files of the test's own, on an idle loop

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from eventd.files.adapter import OwnedFiles
from eventd.kernel.model.errors import DeadlineError, PermanentError, TemporaryError
from eventd.platform import file_state
from eventd.platform.file_state import TEMPORARY_PREFIX
from eventd.platform.model_facts import FileKind

OWNER = (os.geteuid(), os.getegid())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "owned"


@pytest.fixture
def files(root: Path) -> OwnedFiles:
    return OwnedFiles([str(root)], owner=OWNER)


async def test_put_writes_content_mode_and_missing_folders(files: OwnedFiles, root: Path):
    """A new file stands with its content and mode, its folders are 0755, and the umask has no say."""
    before = os.umask(0o077)
    try:
        await files.put(str(root / "1001/web.container.d/10.conf"), b"[Container]\n", mode=0o644)
    finally:
        os.umask(before)
    path = root / "1001/web.container.d/10.conf"
    assert path.read_bytes() == b"[Container]\n"
    assert path.stat().st_mode & 0o7777 == 0o644
    assert {p.stat().st_mode & 0o7777 for p in (root, path.parent, path.parent.parent)} == {0o755}
    assert os.listdir(path.parent) == ["10.conf"]


async def test_a_users_folder_is_closed_to_other_users(root: Path):
    """Its group alone may look into the folder of a uid, also into one of before; what is below keeps its modes."""
    (root / "1001").mkdir(parents=True, mode=0o755)
    (root / "1001").chmod(0o755)
    files = OwnedFiles([str(root)], owner=OWNER, group={1001: OWNER[1], 1002: OWNER[1]}.get)
    for path in ("1001/a", "1002/conf/b", "1003/c"):
        await files.put(str(root / path), b"", mode=0o644)
    modes = {name: (root / name).stat().st_mode & 0o7777 for name in ("1001", "1002", "1002/conf", "1003")}
    assert modes == {"1001": 0o750, "1002": 0o750, "1002/conf": 0o755, "1003": 0o755}


async def test_put_replaces_by_rename(files: OwnedFiles, root: Path):
    """A reader that has the old file open keeps the old content: the file is replaced, never rewritten."""
    path = root / "a"
    await files.put(str(path), b"old", mode=0o644)
    with path.open("rb") as reader:
        await files.put(str(path), b"new", mode=0o755)
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o7777 == 0o755


async def test_put_replaces_a_symlink_itself(files: OwnedFiles, root: Path, tmp_path: Path):
    """A symlink at the path is replaced by the file; what it pointed to is not written."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    root.mkdir()
    (root / "a").symlink_to(victim)
    await files.put(str(root / "a"), b"new", mode=0o644)
    assert victim.read_text() == "mine"
    assert not (root / "a").is_symlink()


@pytest.mark.parametrize(
    "path", ["/etc/shadow", "{root}", "{root}x/a", "{root}/../a", "{root}/a/../../b", "{root}//a", "a"]
)
async def test_refuses_paths_outside_the_roots(files: OwnedFiles, root: Path, path: str):
    """Nothing outside the roots is written, removed or read, however the path is spelled."""
    path = path.format(root=root)
    for call in (files.put(path, b"", mode=0o644), files.remove(path), files.read(path)):
        with pytest.raises(PermanentError) as caught:
            await call
        assert caught.value.reason == "path-not-owned"


async def test_no_symlink_below_a_root_is_followed(files: OwnedFiles, root: Path, tmp_path: Path):
    """A folder that is a symlink refuses remove, hides what is behind it, and is replaced by a folder by put."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_text("mine")
    root.mkdir()
    (root / "1001").symlink_to(outside)
    with pytest.raises(PermanentError) as caught:
        await files.remove(str(root / "1001/a"))
    assert caught.value.reason == "not-a-folder"
    assert await files.read(str(root / "1001/a")) is None
    assert await files.scan(str(root / "1001")) == {}
    await files.put(str(root / "1001/b"), b"", mode=0o644)
    assert os.listdir(root / "1001") == ["b"]
    assert os.listdir(outside) == ["a"]


async def test_remove_prunes_empty_parents_up_to_the_root(files: OwnedFiles, root: Path):
    """Removing the last file removes its folders but not the root, nor a folder that holds something else."""
    made = await files.put(str(root / "1001/a.d/x"), b"", mode=0o644)
    assert made == (str(root), str(root / "1001"), str(root / "1001/a.d"))
    assert await files.put(str(root / "1001/b"), b"", mode=0o644) == ()
    assert await files.remove(str(root / "1001/a.d/x")) == [str(root / "1001/a.d")]
    assert os.listdir(root / "1001") == ["b"]
    assert await files.remove(str(root / "1001/b")) == [str(root / "1001")]
    assert os.listdir(root) == []


async def test_remove_of_what_is_not_there_is_no_error(files: OwnedFiles, root: Path):
    """An absent file, folder or root is what was wanted."""
    await files.remove(str(root / "1001/a"))
    root.mkdir()
    await files.remove(str(root / "a"))
    assert os.listdir(root) == []


async def test_remove_unlinks_a_symlink_not_its_target(files: OwnedFiles, root: Path, tmp_path: Path):
    """A symlink at the path goes, its target stays."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    root.mkdir()
    (root / "a").symlink_to(victim)
    await files.remove(str(root / "a"))
    assert victim.read_text() == "mine"
    assert os.listdir(root) == []


async def test_read_and_scan_tell_kinds_and_digests(files: OwnedFiles, root: Path):
    """Regular files come with their sha256, links and fifos as such and unfollowed.

    Folders are not in a scan.
    """
    await files.put(str(root / "1001/a"), b"content", mode=0o640)
    (root / "1001/link").symlink_to("/etc/passwd")
    os.mkfifo(root / "1001/fifo", 0o600)
    state = await files.read(str(root / "1001/a"))
    assert state is not None
    assert (state.kind, state.digest, state.mode) == (
        FileKind.REGULAR,
        hashlib.sha256(b"content").hexdigest(),
        0o640,
    )
    assert (state.uid, state.gid) == OWNER
    found = await files.scan(str(root))
    assert {os.path.basename(path): entry.kind for path, entry in found.items()} == {
        "a": FileKind.REGULAR,
        "link": FileKind.SYMLINK,
        "fifo": FileKind.OTHER,
    }
    assert found[str(root / "1001/a")] == state
    folder = await files.read(str(root / "1001"))
    assert folder is not None
    assert folder.kind is FileKind.DIRECTORY


async def test_a_file_over_the_limit_has_a_digest_of_its_own(
    files: OwnedFiles, root: Path, monkeypatch: pytest.MonkeyPatch
):
    """A file too large to hash differs from every sha256, and its digest follows its size."""
    monkeypatch.setattr(file_state, "HASH_LIMIT", 10)
    await files.put(str(root / "a"), b"x" * 11, mode=0o644)
    first = await files.read(str(root / "a"))
    await files.put(str(root / "a"), b"x" * 12, mode=0o644)
    second = await files.read(str(root / "a"))
    assert first is not None
    assert second is not None
    assert first.digest.startswith("too-large:11:")
    assert first.digest != second.digest


async def test_scan_removes_what_a_crash_left(files: OwnedFiles, root: Path):
    """A stale temporary file is not in a scan and is gone after it.

    A file that merely starts with a dot stays.
    """
    await files.put(str(root / "1001/.hidden"), b"", mode=0o644)
    stale = root / "1001" / f"{TEMPORARY_PREFIX}0123"
    stale.write_text("half")
    assert list(await files.scan(str(root))) == [str(root / "1001/.hidden")]
    assert not stale.exists()


async def test_a_scan_leaves_a_running_write_alone(
    files: OwnedFiles, root: Path, monkeypatch: pytest.MonkeyPatch
):
    """A scan in the middle of a put does not take its temporary file for a crash's."""
    real = os.rename

    def rename(*arguments: object, **keywords: object) -> None:
        files._scan(str(root), ())
        real(*arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "rename", rename)
    await files.put(str(root / "a"), b"whole", mode=0o644)
    assert (root / "a").read_bytes() == b"whole"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small tmpfs")
async def test_a_full_disk_is_temporary_and_leaves_nothing(files: OwnedFiles, root: Path):
    """On a full file system the old content stays, no temporary file is left, and the reason says it."""
    root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", root], check=True)
    try:
        await files.put(str(root / "a"), b"old", mode=0o644)
        with pytest.raises(TemporaryError) as caught:
            await files.put(str(root / "a"), b"x" * 200_000, mode=0o644)
        assert caught.value.reason == "disk-full"
        assert os.listdir(root) == ["a"]
        assert (root / "a").read_bytes() == b"old"
        subprocess.run(["mount", "-o", "remount,ro", root], check=True)
        for call in (files.put(str(root / "a"), b"new", mode=0o644), files.remove(str(root / "a"))):
            with pytest.raises(PermanentError) as refused:
                await call
            assert refused.value.reason == "read-only"
    finally:
        subprocess.run(["umount", root], check=True)


async def test_a_folder_in_the_way_is_refused_unless_it_is_empty(files: OwnedFiles, root: Path):
    """What somebody put into it stays, and no temporary file is left beside it."""
    (root / "a/inside").mkdir(parents=True)
    with pytest.raises(PermanentError) as caught:
        await files.put(str(root / "a"), b"", mode=0o644)
    assert caught.value.reason == "is-a-folder"
    assert os.listdir(root) == ["a"]
    (root / "a/inside").rmdir()
    await files.put(str(root / "a"), b"x", mode=0o644)
    assert (root / "a").read_bytes() == b"x"


async def test_a_write_given_up_does_not_land_later(root: Path, monkeypatch: pytest.MonkeyPatch):
    """A write that was given up is not finished behind the back of the next run.

    After the deadline on a disk that hangs in fsync, nothing is renamed into place once it recovers.
    """
    import threading

    files = OwnedFiles([str(root)], owner=OWNER, timeout=0.2)
    recovered, cleaned = threading.Event(), threading.Event()
    root.mkdir()
    real = os.fsync

    def fsync(fd: int) -> None:
        recovered.wait(60)
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(files, "_writing", _Set(cleaned))
    with pytest.raises(DeadlineError) as caught:
        await files.put(str(root / "a"), b"late", mode=0o644)
    assert caught.value.reason == "disk-stuck"
    recovered.set()
    assert cleaned.wait(60)
    assert os.listdir(root) == []


class _Set(set[str]):
    """Tells when a write's temporary name is given back: the worker is at its end."""

    def __init__(self, emptied: object) -> None:
        super().__init__()
        self._emptied = emptied

    def discard(self, element: str) -> None:
        super().discard(element)
        self._emptied.set()  # type: ignore[attr-defined]


def test_the_root_folder_cannot_be_owned():
    """A configuration that would make the whole file system eventd's is refused."""
    with pytest.raises(PermanentError):
        OwnedFiles(["/"])
