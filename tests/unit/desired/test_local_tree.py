"""Scope: a directory as a tree: what is read, what is refused, and that no link is followed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eventd.desired.adapter_local_tree import MAX_FILE, read_local_tree
from eventd.kernel.model.errors import PermanentError


def test_files_are_read_with_their_mode(tmp_path: Path) -> None:
    """Paths are relative, hidden files are in, .git is not."""
    (tmp_path / "workloads/web").mkdir(parents=True)
    (tmp_path / "workloads/web/a.container").write_text("x")
    (tmp_path / "workloads/web/.env").write_text("y")
    (tmp_path / "run.sh").write_text("z")
    (tmp_path / "run.sh").chmod(0o755)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/HEAD").write_text("ref")
    tree = read_local_tree(tmp_path)
    assert list(tree.files) == ["run.sh", "workloads/web/.env", "workloads/web/a.container"]
    assert tree.files["run.sh"].executable
    assert not tree.files["workloads/web/.env"].executable
    assert (tree.commit, tree.refused) == ("", {})


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    """Symlinks, within and out of the folder, submodules, FIFOs, large files: each with its reason."""
    (tmp_path / "a").write_text("x")
    (tmp_path / "inside").symlink_to("a")
    (tmp_path / "outside").symlink_to("/etc")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/.git").write_text("gitdir: elsewhere")
    (tmp_path / "sub/a.container").write_text("x")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(b"x" * (MAX_FILE + 1))
    tree = read_local_tree(tmp_path)
    assert list(tree.files) == ["a"]
    assert tree.refused == {
        "fifo": "not a regular file",
        "inside": "a symlink",
        "large": "larger than 1024 KiB",
        "outside": "a symlink that leaves the repository",
        "sub": "a submodule",
    }


def test_the_folder_itself_may_be_a_symlink(tmp_path: Path) -> None:
    """Whoever names a folder means what it points to."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a").write_text("x")
    (tmp_path / "link").symlink_to("real")
    assert list(read_local_tree(tmp_path / "link").files) == ["a"]


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another account")
def test_a_folder_behind_a_closed_one_is_an_error_that_says_so(tmp_path: Path) -> None:
    """Whoever may not look knows nothing of what is there."""
    (tmp_path / "closed/repository").mkdir(parents=True)
    (tmp_path / "closed").chmod(0o700)
    os.setresuid(65534, 65534, 0)
    try:
        with pytest.raises(PermanentError, match=r"cannot read .*: Permission denied"):
            read_local_tree(tmp_path / "closed/repository")
    finally:
        os.setresuid(0, 0, 0)


def test_no_folder_is_an_error(tmp_path: Path) -> None:
    """It is not an empty repository."""
    with pytest.raises(PermanentError, match="is not a directory") as caught:
        read_local_tree(tmp_path / "none")
    assert caught.value.reason == "unreadable"
