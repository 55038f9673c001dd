"""Reads a plain directory as a `Tree`, as a commit of it would be, for `eventctl check` and `render`.

Only reads. Symlinks are never followed: they are refused, as in a commit. Content is not checked here. Next:
`eventd.desired.model_assembly`.
"""

from __future__ import annotations

import os
import stat

from eventd.desired.model import Tree, TreeFile
from eventd.kernel.model.errors import PermanentError

MAX_FILE = 1024 * 1024
"""Bytes. Larger files are refused: unit files are small, and this bounds the memory of a run."""
_SKIPPED = frozenset({".git", ".hg", ".svn"})


def read_local_tree(folder: str | os.PathLike[str]) -> Tree:
    """Read all files below `folder`. Raises PermanentError(reason="unreadable") if one cannot be read.

    A symlink that stays within the folder is refused too, with a reason of its own: a commit would contain it as a
    symlink, and symlinks are not deployed.
    """
    root = os.path.realpath(folder)
    files: dict[str, TreeFile] = {}
    refused: dict[str, str] = {}
    try:
        # Without access to a parent, Path.is_dir() returns False or raises, depending on the version of Python.
        if os.access(os.path.dirname(root), os.X_OK) and not os.path.isdir(root):  # noqa: PTH112, PTH120
            raise PermanentError(f"{os.fspath(folder)} is not a directory", reason="unreadable")
        _walk(root, "", files, refused)
    except OSError as error:
        raise PermanentError(
            f"cannot read {error.filename}: {error.strerror}", reason="unreadable"
        ) from error
    return Tree("", files, refused)


def _walk(root: str, below: str, files: dict[str, TreeFile], refused: dict[str, str]) -> None:
    with os.scandir(os.path.join(root, below)) as entries:  # noqa: PTH118
        for entry in sorted(entries, key=lambda each: each.name):
            path = f"{below}/{entry.name}" if below else entry.name
            if entry.name in _SKIPPED:
                continue
            if entry.is_symlink():
                leaves = not _is_within(os.path.realpath(entry.path), root)
                refused[path] = "a symlink that leaves the repository" if leaves else "a symlink"
            elif entry.is_dir(follow_symlinks=False):
                if os.path.lexists(os.path.join(entry.path, ".git")):  # noqa: PTH118
                    refused[path] = "a submodule"
                else:
                    _walk(root, path, files, refused)
            else:
                _read(entry.path, path, files, refused)


def _read(place: str, path: str, files: dict[str, TreeFile], refused: dict[str, str]) -> None:
    # O_NONBLOCK: opening a FIFO would wait for a writer. The check is on the opened file, not on the listed one.
    descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            refused[path] = "not a regular file"
        elif status.st_size > MAX_FILE:
            refused[path] = f"larger than {MAX_FILE // 1024} KiB"
        else:
            files[path] = TreeFile(path, file.read(), bool(status.st_mode & stat.S_IXUSR))


def _is_within(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")
