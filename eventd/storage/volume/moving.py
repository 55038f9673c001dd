"""Moves a volume: the folder on the other disk, the copy by rsync(1), and the comparison with the original.

The source is mounted read-only where only root can reach it. The copy is made in a folder of root's with mode 0700. It
is renamed to `volume.NAME` once everything in it was read back from the disk and compared.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator

from eventd.storage.volume.places import Refused, is_mounted, safe, walk

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 1 << 20
MARGIN = 0.05
LEFT_OUT = "lost+found"
SHOWN = 5


def draft_of(name: str) -> str:
    """Return the folder of the unfinished copy."""
    return f".eventd-migration-{name}"


def prepare(source: str, target: str, name: str) -> dict[str, object]:
    """Create the folder of the copy. Return how much there is to copy."""
    if shutil.which("rsync") is None:
        raise Refused("no-rsync", "there is no rsync on this host", "apt install rsync")
    old = os.statvfs(source)
    top, parent = walk(target, make=False)
    if not is_mounted(top, parent):
        raise Refused("not-mounted", f"nothing is mounted at {target}")
    safe(os.fstat(top), target)
    if _exists(top, f"volume.{name}"):
        raise Refused(
            "target-exists",
            f"there is already a volume.{name} on it",
            f"move {target}/volume.{name} away, if it is not needed",
        )
    space = os.fstatvfs(top)
    used = (old.f_blocks - old.f_bfree) * old.f_frsize
    files = old.f_files - old.f_ffree
    free = space.f_bavail * space.f_frsize
    if used * (1 + MARGIN) > free:
        raise Refused(
            "no-space",
            f"{source} has {_size(used)} of data, but {target} has only {_size(free)} free",
            f"use a larger disk, or keep less on {source}",
        )
    if space.f_files and files > space.f_favail:
        raise Refused(
            "no-space", f"{source} has {files} files, but {target} has room for only {space.f_favail} more"
        )
    draft = draft_of(name)
    if not _exists(top, draft):
        os.mkdir(draft, 0o700, dir_fd=top)
    inner = os.open(draft, _FOLDER, dir_fd=top)
    if os.fstat(inner).st_uid != 0:
        raise Refused(
            "unsafe-path",
            f"{target}/{draft} does not belong to root",
            f"inspect {target}/{draft}, then remove it",
        )
    os.fchmod(inner, 0o700)
    if not _exists(inner, "data"):
        os.mkdir("data", 0o700, dir_fd=inner)
    os.fsync(top)
    return {"bytes": used, "files": files}


def copy(source: str, target: str) -> dict[str, object]:
    """Copy `source` to `target` with all metadata. Files that were copied before are skipped."""
    command = ["rsync", "-aHAXS", "--numeric-ids", "--one-file-system", "--delete"]
    done = subprocess.run(
        [*command, f"--exclude=/{LEFT_OUT}", "--", f"{source}/", f"{target}/"],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        message = lines[0] if lines else f"exit code {done.returncode}"
        raise Refused("copy-failed", f"rsync failed: {message[:300]}", "see dmesg if a disk fails")
    _flush(target)
    return {}


def verify(source: str, target: str) -> dict[str, object]:
    """Compare kinds, owners, modes, times, links, attributes, and every byte, read from both disks."""
    _flush(target)
    wrong: list[str] = []
    count, hard = 0, (_Links(), _Links())
    for path, one, two in _pairs(source, target):
        count += 1
        why = _difference(f"{source}/{path}", f"{target}/{path}", one, two, hard)
        if why:
            wrong.append(f"{path or '/'} ({why})")
            if len(wrong) == SHOWN:
                break
    if wrong:
        raise Refused("not-the-same", f"the copy differs from the original: {', '.join(wrong)}")
    return {"files": count}


def settle(target: str, name: str) -> dict[str, object]:
    """Rename the copy to its final name."""
    top, parent = walk(target, make=False)
    if not is_mounted(top, parent):
        raise Refused("not-mounted", f"nothing is mounted at {target}")
    safe(os.fstat(top), target)
    draft, final = draft_of(name), f"volume.{name}"
    if _exists(top, draft):
        inner = os.open(draft, _FOLDER, dir_fd=top)
        if _exists(inner, "data"):
            if _exists(top, final):
                raise Refused("target-exists", f"there is already a {final} on {target}")
            os.rename("data", final, src_dir_fd=inner, dst_dir_fd=top)
        os.fsync(top)
        os.rmdir(draft, dir_fd=top)
        os.fsync(top)
    if not _exists(top, final):
        raise Refused("no-copy", f"there is no {final} on {target}")
    return {}


class _Links:
    """Hard links: numbers files by their first occurrence, so that two trees can be compared."""

    def __init__(self) -> None:
        self._first: dict[int, int] = {}
        self._count = 0

    def of(self, status: os.stat_result) -> int:
        self._count += 1
        return self._first.setdefault(status.st_ino, self._count) if status.st_nlink > 1 else self._count


def _pairs(source: str, target: str) -> Iterator[tuple[str, os.stat_result, os.stat_result | None]]:
    """Yield each relative path of either tree with its status in both. Symlinks are not followed."""
    stack = [""]
    while stack:
        folder = stack.pop()
        one, two = os.lstat(f"{source}/{folder}"), _lstat(f"{target}/{folder}")
        yield folder, one, two
        if two is None or not stat.S_ISDIR(two.st_mode):
            continue
        names = set(os.listdir(f"{source}/{folder}"))  # noqa: PTH208
        others = set(os.listdir(f"{target}/{folder}"))  # noqa: PTH208
        if not folder:
            names.discard(LEFT_OUT)
        for name in sorted(others - names):
            raise Refused("not-the-same", f"the copy has {folder}/{name}, which the original does not have")
        for name in sorted(names):
            path = f"{folder}/{name}" if folder else name
            found = os.lstat(f"{source}/{path}")
            if stat.S_ISDIR(found.st_mode) and found.st_dev == one.st_dev:
                stack.append(path)
            elif not stat.S_ISDIR(found.st_mode):
                yield path, found, _lstat(f"{target}/{path}")


def _difference(
    a: str, b: str, one: os.stat_result, two: os.stat_result | None, hard: tuple[_Links, _Links]
) -> str:
    if two is None:
        return "missing"
    kind = stat.S_IFMT(one.st_mode)
    if one.st_mode != two.st_mode:
        return "mode"
    if (one.st_uid, one.st_gid) != (two.st_uid, two.st_gid):
        return "owner"
    if kind != stat.S_IFDIR and hard[0].of(one) != hard[1].of(two):
        return "hard links"
    if kind == stat.S_IFLNK:
        return "" if os.readlink(a) == os.readlink(b) else "link"  # noqa: PTH115
    if one.st_mtime_ns != two.st_mtime_ns:
        return "time"
    if kind in (stat.S_IFBLK, stat.S_IFCHR) and one.st_rdev != two.st_rdev:
        return "device"
    if _attributes(a) != _attributes(b):
        return "extended attributes"
    if kind == stat.S_IFREG:
        if one.st_size != two.st_size:
            return "size"
        if _digest(a) != _digest(b):
            return "content"
    return ""


def _attributes(path: str) -> dict[str, bytes]:
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return {}
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in names}


def _digest(path: str) -> bytes:
    """Return the digest of a file on the disk: its cached pages are dropped first."""
    found = hashlib.blake2b()
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NOATIME | os.O_CLOEXEC)
    try:
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        while block := os.read(file, _BLOCK):
            found.update(block)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(file)
    return found.digest()


def _flush(path: str) -> None:
    """Write all cached data of a file system to the disk (syncfs(2))."""
    subprocess.run(["sync", "--file-system", path], check=True, stdin=subprocess.DEVNULL)


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _size(number: float) -> str:
    return f"{number / (1 << 20):.1f} MiB"
