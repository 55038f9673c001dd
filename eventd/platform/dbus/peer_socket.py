"""A unix socket that connects as another user, for one system call.

Owns the change of the effective uid, and nothing about what is spoken on the socket. `eventd.platform.dbus.connection`
hands the socket to the D-Bus library.

Why: dbus-daemon refuses uid 0 on a user's bus, and `/run/user/UID` is private to the user. What the
daemon sees of a client is SO_PEERCRED, which the kernel fills in from the effective uid at connect(2)
(unix(7)).

How: setresuid(2) as a raw system call. Credentials belong to a thread in the kernel; glibc's wrapper
broadcasts the change to all threads (nptl(7)), so that a database thread would, for a moment, write as the
workload. Only the *effective* uid changes, since SO_PEERCRED takes that one and no other. The real and the saved uid
stay root's: they are what makes the way back always permitted, and what keeps the workload's user off meanwhile:

- kill(2) asks for the target's real or saved uid; ptrace(2), prlimit(2) and all that reads or writes another's memory
  ask for all three; `/proc/PID` belongs to root, since any change of the effective uid makes the process undumpable.
- setpriority(2), sched_setscheduler(2) and sched_setaffinity(2) ask for the target's *effective* uid, and what they
  set stays: a user who catches the moment could have the thread run at the lowest priority for good. So the change is
  made in a thread that holds this one non-blocking connect(2) and ends with it, and never in one that goes on.
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
"""Bytes that a bus may send before the first message: the lines of its authentication."""
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
    """Run the block with the calling thread's effective uid set to `uid`. No await inside.

    The thread should end soon after: its priority is no longer its own (see above).
    Raises PermanentError(reason="access-denied") without CAP_SETUID. If root cannot be taken back, the
    process ends: it must not go on with the wrong identity, and systemd starts it again.

    A side effect of any change of the effective uid is that the process is no longer dumpable (prctl(2)): no
    core dump.
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
            # No cleanup may run with the wrong uid either.
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
    """Run non-blocking work in a thread of its own and wait for it, about 0.1 ms."""
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
    """An AF_UNIX stream socket whose connect(2) is done as `uid`, to a listener that runs as `uid` too.

    The library calls `connect` as it does on any socket.
    """

    uid: int | None
    filter: MessageFilter | None = None
    """Set once the connection speaks in messages: what is received then are those that it lets through."""
    greeting: int | None = None
    """Bytes that the other end may say before that, and before it closes the connection; None: as it likes."""

    def __init__(self, uid: int | None) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self.settimeout(0)
        self.uid = uid
        self._passed = b""

    def connect(self, address: object) -> None:
        """Succeed or fail at once: a unix socket that connects is never "in progress".

        With a full backlog it gives EAGAIN, which event loops mistake for EINPROGRESS, so it is turned into a
        refusal.
        """
        try:
            if self.uid is None:
                super().connect(address)  # type: ignore[arg-type]
            else:
                _in_a_thread(partial(_connect_as, self.uid, super().connect, address))
        except BlockingIOError as error:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "the listener's backlog is full") from error
        if self.uid is not None and (peer := self.listener_uid()) != self.uid:
            # The path lies in a folder of the user, who may have put a link to anybody's socket there.
            raise TemporaryError(
                f"the bus socket of uid {self.uid} belongs to a process of uid {peer}",
                reason="bus-not-trusted",
                hint="something replaced the socket of the user's bus",
            )

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        """Tell a full buffer as "0 bytes sent".

        Both libraries take EAGAIN for the end of the connection, and 0 for a reason to wait until it is
        writable.
        """
        try:
            return super().send(data, flags)
        except BlockingIOError:
            return 0

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive as any socket does; from a gate, whole messages that it lets through, of whatever length.

        A piece is looked at first, and only what the gate has used is taken out of the kernel: the loop calls again
        for what is left, after all others have had their turn.
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
        while used and (
            taken := len(super().recv(used))
        ):  # what came with descriptors ends a piece (unix(7))
            used -= taken
        if not kept:
            raise BlockingIOError(errno.EAGAIN, "nothing that passes has come yet")
        return kept

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """Receive for `makefile`, by which dbus-next reads, which goes on until there is no more."""
        if self.filter is None:
            return super().recv_into(buffer, nbytes, flags)
        view = memoryview(buffer).cast("B")
        part = self._next(min(nbytes or len(view), len(view)))
        view[: len(part)] = part
        return len(part)

    def _next(self, size: int) -> bytes:
        """Return no more than `size` bytes of what the gate lets through, for who reads on until there is no more."""
        self._passed = self._passed or self.recv(PIECE)
        part, self._passed = self._passed[:size], self._passed[size:]
        return part

    def recvmsg(
        self, size: int, ancillary: int = 0, flags: int = 0
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, None]:
        """Receive without room for file descriptors, whatever the caller has: the kernel closes those that come.

        What a connection needs that hands descriptors over: others may send it theirs, and nobody would close them.
        """
        del ancillary
        return self.recv(size, flags) if self.filter is None else self._next(size), [], 0, None

    def listener_uid(self) -> int:
        """Effective uid of who called listen(2) on the other end (SO_PEERCRED)."""
        credentials = self.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", credentials)[1])
