"""Delete a home whose owner may have prepared it against us.

Nothing in the home can be trusted: there may be links, mounts, folders of many owners (a container's files belong to
subordinate ids), trees deep enough to exhaust the stack or the file descriptors, and names that change while we read
them. So:

1. the home is checked as an entry of its parent, which belongs to root: a link, a mount point, another file system or
   another owner is refused, and so is any mount below it;
2. it is renamed within the same parent, and chowned to root with mode 0700: from then on only root can change anything
   in it;
3. it is emptied through file descriptors, never following a link (`eventd.storage.volume.emptying`). A rename fails on
   a mount point, which is how a mount made in the meantime is noticed.

If it is killed at any point, the next call continues from there.
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
"""How many names are read to choose them."""
MOST_OPEN = 500
"""Folders waiting to be measured. Each is an open file descriptor."""


@dataclass(frozen=True, slots=True)
class Home:
    """A home that is to be deleted."""

    path: str
    uid: int

    @property
    def base(self) -> str:
        """The folder that contains it."""
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        """Its name there: the account's name, unless the account was renamed since."""
        return self.path.rpartition("/")[2]

    @property
    def trash(self) -> str:
        """Its name in the parent while it is being deleted. No account name begins with a dot."""
        return f"{PREFIX}{self.name}-{self.uid}"


def discard(home: Home, base: str, stop: Callable[[], bool]) -> None:
    """Delete the home, which must be a direct child of `base`. Idempotent; a missing home is not an error.

    Blocks: call it in a worker thread. `stop` is polled, and ends the call early when it returns True. Raises
    PermanentError (reason="home-elsewhere" | "home-not-ours" | "home-mounted" | "home-undeletable"), DeadlineError.
    """
    if home.base != base or not home.name or home.name.startswith("."):
        raise PermanentError(
            f"the home {home.path} is not directly in {base}, so eventd did not create it",
            reason="home-elsewhere",
            hint="make sure that nobody needs it, then delete it by hand",
        )
    with _opened(base) as folder:
        _trust(folder, base)
        _refuse_mounts(home.path, f"{base}/{home.trash}")
        _move(home, folder)
        _empty(home, folder, base, stop)


def measure(home: Home, base: str, stop: Callable[[], bool]) -> Measured:
    """Count the files in a home, without following links or changing anything. Blocks until done or `stop` is true.

    Folders on other file systems, and folders nested unreasonably deep, are not counted.
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
            f"{base} is writable by users other than root: nothing in it is deleted", reason="home-elsewhere"
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
            hint="somebody has replaced it: inspect it, then delete it by hand",
        )
    if status.st_dev != os.fstat(folder).st_dev:
        raise _mounted(home.path)
    if os.path.lexists(f"/proc/self/fd/{folder}/{home.trash}"):
        # Both exist: an earlier deletion was interrupted, and a new home was created since. Empty the old one first.
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
        raise DeadlineError(
            f"the home {home.path} is not fully deleted yet; the next attempt continues from there"
        )


def _refuse_mounts(*paths: str) -> None:
    with open(MOUNTINFO, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
        points = [_unescape(line.split()[4]) for line in file]
    for path in paths:
        for point in points:
            if point == path or point.startswith(path + "/"):
                raise _mounted(point)


def _unescape(point: str) -> str:
    """Decode a mount point: mountinfo writes blanks and the like in octal (proc_pid_mountinfo(5))."""
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        point = point.replace(code, char)
    return point


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    try:
        descriptor = os.open(path, FOLDER)
    except OSError as error:
        raise PermanentError(
            f"cannot open the folder of homes {path}: {error.strerror}", reason="home-elsewhere"
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
        f"a file system is mounted at {path}: its content is not deleted",
        reason="home-mounted",
        hint=f"unmount it; to list the mounts: findmnt -R {path}",
    )


def _undeletable(path: str, error: OSError) -> PermanentError:
    return PermanentError(
        f"cannot delete {path}: {error.strerror} ({error.filename})",
        reason="home-undeletable",
        hint="check for immutable files (lsattr -R) and for a read-only file system",
    )
