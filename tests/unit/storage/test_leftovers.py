"""Scope: what a deleted account left outside of its home: removed by owner, nothing followed, nobody else's touched."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

import pytest

from eventd.storage.volume.leftovers import Owner, sweep

ROOT = os.geteuid() == 0
pytestmark = pytest.mark.skipif(not ROOT, reason="files of other owners are made by root")
UID, SUB, OTHER = 61_001, 900_000, 61_002
OWNER = Owner(UID, (SUB, 65536))


def put(path: Path, uid: int, *, folder: bool = False) -> Path:
    """Make a file or folder of somebody's."""
    if folder:
        path.mkdir()
    else:
        path.write_text("x")
    os.chown(path, uid, uid, follow_symlinks=False)
    return path


def swept(place: Path) -> list[str]:
    found = sweep(OWNER, (str(place), f"{place}/absent"), ipc="/nowhere")
    assert isinstance(found["stays"], list)
    return [str(each) for each in found["stays"]]


def test_its_files_go_and_nobody_elses(tmp_path: Path) -> None:
    """By owner, its containers' ids included; a set-uid tool is one of them."""
    tool = put(tmp_path / "tool", UID)
    tool.chmod(0o4755)
    put(tmp_path / "of-a-container", SUB + 999)
    put(tmp_path / "others", OTHER)
    put(tmp_path / "beyond", SUB + 65536)
    tree = put(tmp_path / "tree", UID, folder=True)
    put(put(tree / "deeper", SUB, folder=True) / "file", UID)
    assert swept(tmp_path) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["beyond", "others"]
    assert swept(tmp_path) == []


def test_a_link_is_removed_and_not_followed(tmp_path: Path) -> None:
    """Nor is a hard link's other name touched."""
    target = put(tmp_path / "target", OTHER)
    folder = put(tmp_path / "place", 0, folder=True)
    link = folder / "link"
    link.symlink_to(target)
    os.chown(link, UID, UID, follow_symlinks=False)
    whole = put(tmp_path / "elsewhere", OTHER, folder=True)
    put(whole / "kept", OTHER)
    to_folder = folder / "to-folder"
    to_folder.symlink_to(whole)
    os.chown(to_folder, UID, UID, follow_symlinks=False)
    assert swept(folder) == []
    assert list(folder.iterdir()) == []
    assert target.exists()
    assert (whole / "kept").exists()


def test_a_folder_with_somebody_elses_files_stays_and_is_named(tmp_path: Path) -> None:
    """Their data does not go because the folder was the account's."""
    shared = put(tmp_path / "shared", UID, folder=True)
    put(shared / "mine", UID)
    put(shared / "theirs", OTHER)
    assert swept(tmp_path) == [f"{shared} (somebody else's files are in it)"]
    assert (shared / "theirs").exists()


def test_a_tree_that_nests_too_deeply_stays_and_is_named(tmp_path: Path) -> None:
    """Made to cost time or descriptors: it is looked at as deep as that is cheap."""
    at = put(tmp_path / "deep", UID, folder=True)
    for _ in range(80):
        at = put(at / "d", UID, folder=True)
    (said,) = swept(tmp_path)
    assert said == f"{tmp_path}/deep (it is nested too deeply)"


def test_names_are_taken_as_they_are(tmp_path: Path) -> None:
    """Newlines, dashes and bytes that are no text are names too."""
    for name in (b"-rf", b"a\nb", b"\xff\xfe"):
        path = os.fsencode(tmp_path) + b"/" + name
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        os.chown(path, UID, UID)
    assert swept(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_shared_memory_of_its_ids_goes(tmp_path: Path) -> None:
    """A System V segment outlives every process; it is removed in its owner's name, and others' are not."""
    libc = ctypes.CDLL(None, use_errno=True)

    def segment(uid: int) -> int:
        os.seteuid(uid)
        try:
            made = libc.shmget(0, 4096, 0o1600)
        finally:
            os.seteuid(0)
        if made < 0:
            pytest.fail(f"no shared memory here: {os.strerror(ctypes.get_errno())}")
        return int(made)

    mine, of_a_container, others = segment(UID), segment(SUB + 7), segment(OTHER)
    found = sweep(OWNER, (str(tmp_path),))
    try:
        assert (found["removed"], found["stays"]) == (2, [])
        left = {int(line.split()[1]) for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]}
        assert {mine, of_a_container, others} & left == {others}
    finally:
        libc.shmctl(others, 0, None)
