"""Delete a home that its owner may have prepared against us.

The home is hostile territory: links, mounts, folders of many owners (a container's files belong to subordinate ids),
trees deep enough to exhaust a stack or the open files, and names that change under our hands. So:

1. the home is looked at as an entry of its parent, which belongs to root: a link, a mount point, another file system or
   another owner is refused, and so is any mount below it;
2. it is moved, as one entry, to a name in the same parent, and handed to root with mode 0700: from there on nobody but
   root can change anything in it;
3. it is emptied through descriptors, without following anything, whatever the tree is like
(`eventd.storage.volume.emptying`).
   A move fails at a mount, which is how one that is made meanwhile is noticed.

Killed at any point, the same call goes on where it was.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from eventd.accounts.ports import Measured
from eventd.kernel.model.errors import DeadlineError, PermanentError
from eventd.storage.volume import emptying
from eventd.storage.volume.emptying import FOLDER, names_in

PREFIX = ".eventd-deleted-"
MOUNTINFO = "/proc/self/mountinfo"
TOP_NAMES = 50
MOST_NAMED = 100_000
"""Names that are looked at for these."""
MOST_OPEN = 500
"""Folders whose turn is to come, each an open file, while a home is measured."""


@dataclass(frozen=True, slots=True)
class Home:
    """A home that is to be deleted."""

    path: str
    uid: int

    @property
    def base(self) -> str:
        """The folder that it is in."""
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        """Its name there: that of the account, unless the account was renamed since."""
        return self.path.rpartition("/")[2]

    @property
    def trash(self) -> str:
        """What it is called in its parent while it is being deleted. No account's name begins with a dot."""
        return f"{PREFIX}{self.name}-{self.uid}"


def discard(home: Home, base: str, stop: Callable[[], bool]) -> None:
    """Delete the home, which has to stand directly in `base`. Idempotent; gone is no error.

    Blocks: for a worker thread. `stop` is asked now and then whether to give up for now. Raises PermanentError
    (reason="home-elsewhere" | "home-not-ours" | "home-mounted" | "home-undeletable"), DeadlineError.
    """
    if home.base != base or not home.name or home.name.startswith("."):
        raise PermanentError(
            f"the home {home.path} is not directly in {base}: it was not made by eventd",
            reason="home-elsewhere",
            hint="delete it by hand, once you are sure",
        )
    with _opened(base) as folder:
        _trust(folder, base)
        _refuse_mounts(home.path, f"{base}/{home.trash}")
        _move(home, folder)
        _empty(home, folder, base, stop)


def measure(home: Home, base: str, stop: Callable[[], bool]) -> Measured:
    """Count what is in a home, without following or changing anything; blocks, until `stop` says enough.

    Folders on other file systems, and those deeper than any that a person makes, are not counted.
    """
    if home.base != base or not home.name or home.name.startswith("."):
        return Measured(0, 0, complete=False)
    files, size, complete = 0, 0, True
    top: tuple[str, ...] = ()
    stack: list[int] = []
    try:
        with _opened(base) as folder:
            stack.append(os.open(home.name, FOLDER, dir_fd=folder))
    except OSError:
        return Measured(0, 0, complete=False)
    device = os.fstat(stack[0]).st_dev
    while stack:
        at: int = stack.pop()
        try:
            top = top or tuple(heapq.nsmallest(TOP_NAMES, islice(names_in(at), MOST_NAMED)))
            for name in names_in(at):
                if stop() or len(stack) > MOST_OPEN:
                    complete = False
                    break
                with contextlib.suppress(FileNotFoundError):
                    status = os.stat(name, dir_fd=at, follow_symlinks=False)
                    size += status.st_blocks * 512
                    if not stat.S_ISDIR(status.st_mode):
                        files += 1
                    elif status.st_dev == device:
                        stack.append(os.open(name, FOLDER, dir_fd=at))
        except OSError:
            complete = False
        finally:
            os.close(at)
    return Measured(files, size, complete, top)


def _trust(folder: int, base: str) -> None:
    status = os.fstat(folder)
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
        raise PermanentError(
            f"{base} can be changed by others than root: nothing is deleted in it", reason="home-elsewhere"
        )


def _move(home: Home, folder: int) -> None:
    try:
        status = os.stat(entry := home.name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != home.uid:
        raise PermanentError(
            f"{home.path} is not a folder of uid {home.uid}",
            reason="home-not-ours",
            hint="somebody has replaced it: look at it, and delete it by hand",
        )
    if status.st_dev != os.fstat(folder).st_dev:
        raise _mounted(home.path)
    if os.path.lexists(f"/proc/self/fd/{folder}/{home.trash}"):
        # Both are there: an earlier deletion was cut off, and a home was made again since. Empty the old one first.
        return
    with _translated(home.path):
        os.rename(entry, home.trash, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)


def _empty(home: Home, folder: int, base: str, stop: Callable[[], bool]) -> None:
    while True:
        try:
            top = os.open(home.trash, FOLDER, dir_fd=folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _undeletable(f"{base}/{home.trash}", error) from error
        try:
            with _translated(home.path):
                os.fchown(top, os.geteuid(), os.getegid())
                os.fchmod(top, 0o700)
                emptying.sweep(top, before_each=lambda: _go_on(home, stop))
                os.rmdir(home.trash, dir_fd=folder)
                os.fsync(folder)
        except emptying.Mounted as error:
            raise _mounted(f"{home.path} (at {error.name})") from error
        finally:
            os.close(top)
        if not os.path.lexists(f"/proc/self/fd/{folder}/{home.name}"):
            return
        _move(home, folder)


def _go_on(home: Home, stop: Callable[[], bool]) -> None:
    if stop():
        raise DeadlineError(f"the home {home.path} is not yet deleted; it goes on from there")


def _refuse_mounts(*paths: str) -> None:
    with open(MOUNTINFO, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
        points = [_unescape(line.split()[4]) for line in file]
    for path in paths:
        for point in points:
            if point == path or point.startswith(path + "/"):
                raise _mounted(point)


def _unescape(point: str) -> str:
    """Return a mount point as it is: blanks and the like are octal there (proc_pid_mountinfo(5))."""
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        point = point.replace(code, char)
    return point


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    try:
        descriptor = os.open(path, FOLDER)
    except OSError as error:
        raise PermanentError(
            f"the folder of homes {path} cannot be opened: {error.strerror}", reason="home-elsewhere"
        ) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _translated(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.EXDEV):
            raise _mounted(path) from error
        raise _undeletable(path, error) from error


def _mounted(path: str) -> PermanentError:
    return PermanentError(
        f"something is mounted at {path}: what is in it is not deleted",
        reason="home-mounted",
        hint=f"umount it, and look with: findmnt -R {path}",
    )


def _undeletable(path: str, error: OSError) -> PermanentError:
    return PermanentError(
        f"{path} cannot be deleted: {error.strerror} ({error.filename})",
        reason="home-undeletable",
        hint="an immutable file (lsattr -R), or a file system that is read-only",
    )
