"""One run at a time on this host, across processes: flock(2) on a file.

Owns `/run/eventd/lock`. The kernel releases the lock with the last descriptor, so a holder that was killed leaves
nothing behind. The process id in the file is for messages only.

Waiting without polling: flock(2) has no deadline, closing its descriptor in another thread does not wake it, and
inotify's close event comes before the lock is released. So one daemon thread blocks in flock, and a task waits for that
thread with a deadline. If the deadline comes first, the thread stays and the next task takes it over. If no task waits
when the thread gets the lock, it is released at once. All decisions are made on the loop's thread, so the lock is never
held without an owner.
"""

# ruff: noqa: PTH123  a few bytes on a tmpfs

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import threading
from collections.abc import AsyncIterator, Callable

from eventd.kernel.model.errors import DeadlineError, PermanentError, TemporaryError
from eventd.kernel.ports import LockHolder
from eventd.platform.lock_holder import find_holder

_OPEN = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


def locked_by(holder: LockHolder | None, path: str) -> str:
    """Return who holds the lock, as a phrase for a message."""
    return f"{holder.text if holder is not None else 'another process'} holds {path}"


class HostLock:
    """The lock at `path`; used from one event loop.

    Not reentrant: one task holds it, the others wait in order.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._turn = asyncio.Lock()
        self._fd: int | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._waiting_fd: int | None = None
        self.contended = 0
        """How often another process held the lock when a task asked for it."""

    @property
    def held(self) -> bool:
        """Whether this process holds the lock."""
        return self._fd is not None

    @contextlib.asynccontextmanager
    async def hold(self, *, timeout: float) -> AsyncIterator[None]:
        """Hold the lock for the block; see `acquire`."""
        await self.acquire(timeout=timeout)
        try:
            yield
        finally:
            self.release()

    async def acquire(
        self, *, timeout: float, waiting: Callable[[LockHolder | None], None] | None = None
    ) -> None:
        """Take the lock within `timeout` seconds; `waiting(holder)` is called once if another process has it.

        Raises DeadlineError(reason="host-locked") naming the holder, PermanentError(reason="lock-unusable").
        """
        try:
            async with asyncio.timeout(timeout):
                await self._turn.acquire()
                try:
                    self._fd = await self._take(waiting)
                except BaseException:
                    self._turn.release()
                    raise
        except TimeoutError:
            raise DeadlineError(
                f"{locked_by(find_holder(self._path), self._path)} for longer than {timeout:g} s",
                reason="host-locked",
                hint="find out what that process is waiting for, or end it",
            ) from None
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            self._close()
            raise self._unusable(error) from error

    def release(self) -> None:
        """Release the lock; the next task that waits gets it."""
        assert self._fd is not None, "release of a lock that is not held"
        os.ftruncate(self._fd, 0)
        self._close()

    def holder(self) -> int | None:
        """Return the process id that the present holder wrote down, for messages."""
        try:
            with open(self._path, "rb") as file:  # tmpfs, a few bytes
                text = file.read(32).strip()
        except OSError:
            return None
        return int(text) if text.isdigit() else None

    def _close(self) -> None:
        assert self._fd is not None
        os.close(self._fd)
        self._fd = None
        self._turn.release()

    async def _take(self, waiting: Callable[[LockHolder | None], None] | None) -> int:
        if self._waiting is None:
            fd = self._open()
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EINTR):
                    os.close(fd)
                    raise self._unusable(error) from error
                self._wait_in_thread(fd)
            else:
                return fd
        self.contended += 1
        if waiting is not None:
            waiting(find_holder(self._path))
        assert self._waiting is not None
        # Shielded: the thread outlives this task, and the next one takes it over.
        granted = self._waiting
        try:
            await asyncio.shield(granted)
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled() and self._waiting is granted:
                # Granted in the same loop iteration as the deadline: no task wants it any more.
                self._give_back()
            raise
        fd_or_none = self._waiting_fd
        assert fd_or_none is not None
        self._waiting = self._waiting_fd = None
        return fd_or_none

    def _wait_in_thread(self, fd: int) -> None:
        loop = asyncio.get_running_loop()
        self._waiting, self._waiting_fd = loop.create_future(), fd
        threading.Thread(target=self._block, args=(fd, loop), name="host-lock", daemon=True).start()

    def _block(self, fd: int, loop: asyncio.AbstractEventLoop) -> None:
        failure: OSError | None = None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
        except OSError as error:
            failure = error
        try:
            loop.call_soon_threadsafe(self._granted, failure)
        except RuntimeError:
            os.close(fd)  # the loop is closed: the daemon is exiting

    def _granted(self, failure: OSError | None) -> None:
        waiting = self._waiting
        assert waiting is not None
        if not self._turn.locked():
            self._give_back()  # the task that waited is gone
        elif failure is not None:
            self._give_back()
            waiting.set_exception(self._unusable(failure))
        else:
            waiting.set_result(None)

    def _give_back(self) -> None:
        assert self._waiting_fd is not None
        os.close(self._waiting_fd)
        self._waiting = self._waiting_fd = None

    def _open(self) -> int:
        try:
            fd = os.open(self._path, _OPEN, 0o600)
            # flock(2) does not need write access: anybody who can open the file could block every run.
            os.fchmod(fd, 0o600)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOSPC):
                raise TemporaryError(
                    f"cannot open {self._path}: {error.strerror}", reason="lock-unusable"
                ) from error
            raise self._unusable(error) from error
        return fd

    def _unusable(self, error: OSError) -> PermanentError:
        return PermanentError(f"cannot lock {self._path}: {error.strerror}", reason="lock-unusable")
