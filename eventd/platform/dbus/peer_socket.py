"""A unix socket that connects as another user, for one system call.

Owns the change of the effective uid. `eventd.platform.dbus.library` hands the socket to the D-Bus library, which speaks
on it.

Why: dbus-daemon refuses uid 0 on a user's bus, and `/run/user/UID` is private to the user. The daemon knows a client by
SO_PEERCRED, which the kernel takes from the effective uid at connect(2) (unix(7)).

How: setresuid(2) as a raw system call. In the kernel credentials belong to a thread, but glibc's wrapper changes those
of all threads (nptl(7)): a database thread would write as the workload for a moment. Only the *effective* uid changes,
since SO_PEERCRED uses no other. The real and the saved uid stay root's. So the change back is always permitted, and the
workload's user cannot interfere meanwhile:

- kill(2) checks the target's real and saved uid. ptrace(2), prlimit(2) and access to another process's memory check all
  three. `/proc/PID` belongs to root, since a change of the effective uid makes the process undumpable.
- setpriority(2), sched_setscheduler(2) and sched_setaffinity(2) check the target's *effective* uid, and their effect
  stays: at the right moment, a user could lower the thread's priority for good. So the change is made in a thread that
  does this one non-blocking connect(2) and then ends.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import socket
import struct
import sys
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from eventd.kernel.model.errors import PermanentError, TemporaryError
from eventd.platform.dbus.filter import PIECE, MessageFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed import ReadableBuffer, WriteableBuffer

_UNCHANGED = ctypes.c_long(-1)
# asm/unistd.h; on 32-bit machines this is setresuid32.
_SETRESUID = {
    ("x86_64", 8): 117,
    ("aarch64", 8): 147,
    ("riscv64", 8): 147,
    ("loongarch64", 8): 147,
    ("ppc64le", 8): 164,
    ("s390x", 8): 208,
    ("i686", 4): 208,
    ("x86_64", 4): 208,
    ("armv7l", 4): 208,
    ("aarch64", 4): 208,
}
GREETING = 16 * 1024
"""How many bytes a bus may send before the first message, for its authentication."""
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _set_effective_uid(uid: int) -> None:
    number = _SETRESUID.get((platform.machine(), struct.calcsize("P")))
    if number is None:
        raise PermanentError(
            f"setresuid(2) is not supported on {platform.machine()}",
            reason="unsupported-machine",
        )
    if _libc.syscall(ctypes.c_long(number), _UNCHANGED, ctypes.c_long(uid), _UNCHANGED) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@contextmanager
def effective_uid(uid: int) -> Iterator[None]:
    """Run the block with the calling thread's effective uid set to `uid`. The block must not await.

    The thread should end soon after, since the user may have changed its priority (see above). Raises
    PermanentError(reason="access-denied") without CAP_SETUID. If the uid cannot be changed back, the process aborts: it
    must not go on as somebody else, and systemd restarts it.

    Side effect: the process is no longer dumpable (prctl(2)), so it leaves no core dump.
    """
    before = os.geteuid()
    if uid == before:
        yield
        return
    try:
        _set_effective_uid(uid)
    except OSError as error:
        raise PermanentError(
            f"cannot act as uid {uid}: {error.strerror}",
            reason="access-denied",
            hint="eventd needs root or CAP_SETUID to reach a user's bus",
        ) from error
    try:
        yield
    finally:
        try:
            _set_effective_uid(before)
        except OSError:
            # abort(), so that no cleanup runs with the wrong uid.
            sys.stderr.write(f"<0>eventd: cannot return from uid {uid} to uid {before}; exiting\n")
            sys.stderr.flush()
            os.abort()


def _connect_as(uid: int, connect: Callable[[Any], None], address: object) -> None:
    if uid == os.geteuid():
        connect(address)
        return
    with effective_uid(uid):
        connect(address)


def _in_a_thread(work: Callable[[], None]) -> None:
    """Run non-blocking work in a thread of its own, and wait for it; takes about 0.1 ms."""
    raised: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # raised by the caller
            raised.append(error)

    thread = threading.Thread(target=guarded, name="connect")
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


class PeerSocket(socket.socket):
    """An AF_UNIX stream socket that connects as `uid`, and only to a listener of `uid`.

    The library uses it like any socket.
    """

    uid: int | None
    filter: MessageFilter | None = None
    """Set when the authentication is complete. From then on only messages that pass it are received."""
    greeting: int | None = None
    """How many more bytes the other end may send before that; None: unlimited."""

    def __init__(self, uid: int | None) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self.settimeout(0)
        self.uid = uid
        self._passed = b""

    def connect(self, address: object) -> None:
        """Succeed or fail at once: connecting a unix socket is never "in progress".

        With a full backlog connect(2) fails with EAGAIN, which event loops take for EINPROGRESS. It is raised as
        ConnectionRefusedError.
        """
        try:
            if self.uid is None:
                super().connect(address)  # type: ignore[arg-type]
            else:
                _in_a_thread(partial(_connect_as, self.uid, super().connect, address))
        except BlockingIOError as error:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "the listener's backlog is full") from error
        if self.uid is not None and (peer := self.listener_uid()) != self.uid:
            # The path is in the user's folder, so it may be a link to somebody else's socket.
            raise TemporaryError(
                f"the bus socket of uid {self.uid} belongs to a process of uid {peer}",
                reason="bus-not-trusted",
                hint="something replaced the socket of the user's bus",
            )

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        """Send; return 0 for a full buffer.

        Both libraries take EAGAIN for the end of the connection, and wait after 0 until the socket is writable.
        """
        try:
            return super().send(data, flags)
        except BlockingIOError:
            return 0

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive as any socket does; with a filter, whole messages that pass it, of any length.

        The bytes are peeked at, and only those that the filter used are taken from the kernel. The loop calls again for
        the rest, after all other connections have had their turn.
        """
        if self.filter is None:
            data = super().recv(size, flags)
            if self.greeting is not None:
                self.greeting -= len(data)
                if not data or self.greeting < 0:
                    raise EOFError(
                        "it closed the connection or sent too much data before the authentication was complete"
                    )
            return data
        data = super().recv(PIECE, socket.MSG_PEEK)
        if not data:
            return data
        kept, used = self.filter.take(data)
        # In a loop, since bytes that came with descriptors end a read (unix(7)).
        while used and (taken := len(super().recv(used))):
            used -= taken
        if not kept:
            raise BlockingIOError(errno.EAGAIN, "no message has passed the filter yet")
        return kept

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """Receive for `makefile`, which dbus-next uses; it reads until there is no more."""
        if self.filter is None:
            return super().recv_into(buffer, nbytes, flags)
        view = memoryview(buffer).cast("B")
        part = self._next(min(nbytes or len(view), len(view)))
        view[: len(part)] = part
        return len(part)

    def _next(self, size: int) -> bytes:
        """Return at most `size` bytes of what passes the filter, for a caller that reads until there is no more."""
        self._passed = self._passed or self.recv(PIECE)
        part, self._passed = self._passed[:size], self._passed[size:]
        return part

    def recvmsg(
        self, size: int, ancillary: int = 0, flags: int = 0
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, None]:
        """Receive without room for file descriptors, so that the kernel closes those that come.

        A connection that passes descriptors may also be sent some, and nobody would close them.
        """
        del ancillary
        return self.recv(size, flags) if self.filter is None else self._next(size), [], 0, None

    def listener_uid(self) -> int:
        """Return the effective uid with which the other end called listen(2) (SO_PEERCRED)."""
        credentials = self.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", credentials)[1])
