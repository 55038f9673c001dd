"""The protocol between a service and its manager: sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3).

Owns the notification socket. Messages are datagrams and never block the loop: while the manager's queue is full they
wait, in order, until the socket is writable. A process without a loop passes `blocking`, and waits. Without a manager
(`NOTIFY_SOCKET` is unset) messages are dropped.

`eventd-compose` uses this too, in one process per stack, so asyncio (6 MB) is imported only where there is a loop.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from eventd.kernel.model.errors import PermanentError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, MutableMapping

_FIRST_FD = 3
"""SD_LISTEN_FDS_START."""
_KEPT = 64
"""How many messages may wait. The oldest are dropped first; they are outdated by then."""


class Notifier:
    """The service's side of `Type=notify` and `Type=notify-reload` (systemd.service(5))."""

    def __init__(self, address: str = "", *, watchdog_usec: int = 0, blocking: bool = False) -> None:
        self._socket: socket.socket | None = None
        self._address = b""
        self._waiting: deque[bytes] = deque(maxlen=_KEPT)
        self._writing: asyncio.AbstractEventLoop | None = None
        self._last_status = ""
        self.watchdog_interval = watchdog_usec / 2_000_000 if watchdog_usec else None
        """Seconds between two `watchdog` calls, half of WatchdogSec=; None without a watchdog."""
        if not address:
            return
        if address[0] not in "/@":
            raise PermanentError(f"NOTIFY_SOCKET={address} is not a unix socket", reason="notify-unsupported")
        # A leading @ stands for the NUL byte of the abstract namespace (unix(7)).
        self._address = os.fsencode("\0" + address[1:] if address[0] == "@" else address)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(blocking)

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str], *, blocking: bool = False) -> Notifier:
        """Read NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and remove them, so that no child inherits them."""
        address = environment.pop("NOTIFY_SOCKET", "")
        usec = environment.pop("WATCHDOG_USEC", "")
        pid = environment.pop("WATCHDOG_PID", "")
        watched = usec.isdecimal() and pid in ("", str(os.getpid()))
        return cls(address, watchdog_usec=int(usec) if watched else 0, blocking=blocking)

    def ready(self, status: str = "") -> None:
        """Report that the start, or a reload, is complete."""
        self._send("READY=1", *self._status(status))

    def status(self, text: str) -> None:
        """Report in one line what the service is doing. The same line again is not sent."""
        if text != self._last_status:
            self._send(*self._status(text))

    def reloading(self) -> None:
        """Report that the configuration is being reloaded, until `ready`.

        `Type=notify-reload` needs MONOTONIC_USEC to tell this reload from an older one.
        """
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str = "") -> None:
        """Report that the service is stopping."""
        self._send("STOPPING=1", *self._status(status))

    def extend_timeout(self, seconds: float) -> None:
        """Ask for `seconds` from now for the start, reload or stop in progress."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def watchdog(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    async def keep_alive(self, alive: Callable[[], bool] = lambda: True) -> None:
        """Feed the watchdog while the loop runs and `alive()` is true; return at once without a watchdog.

        The only timer of an idle daemon. While `alive()` is false nothing is sent, and the manager restarts the service
        after WatchdogSec=.
        """
        if self.watchdog_interval is None or self._socket is None:
            return
        import asyncio  # noqa: PLC0415  see the module

        while True:
            if alive():
                self.watchdog()
            await asyncio.sleep(self.watchdog_interval)

    def close(self) -> None:
        """Close the socket, and drop the messages that still wait."""
        self._stop_writing()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _status(self, text: str) -> tuple[str, ...]:
        if not text:
            return ()
        self._last_status = text
        # A line break would start another assignment.
        return (f"STATUS={' '.join(text.split())}",)

    def _send(self, *assignments: str) -> None:
        if self._socket is None or not assignments:
            return
        self._waiting.append("\n".join(assignments).encode())
        if self._writing is None:
            self._flush()

    def _flush(self) -> None:
        assert self._socket is not None
        while self._waiting:
            try:
                self._socket.sendto(self._waiting[0], self._address)
            except BlockingIOError:
                if self._writing is None:
                    import asyncio  # noqa: PLC0415  see the module

                    self._writing = asyncio.get_running_loop()
                    self._writing.add_writer(self._socket, self._flush)
                return
            except OSError as error:
                # The manager's socket is gone: nobody reads the messages that wait.
                self._stop_writing()
                self._waiting.clear()
                raise PermanentError(
                    f"cannot notify the service manager: {error.strerror}", reason="notify-failed"
                ) from error
            self._waiting.popleft()
        self._stop_writing()

    def _stop_writing(self) -> None:
        if self._writing is not None and self._socket is not None:
            self._writing.remove_writer(self._socket)
        self._writing = None


class PassedSocket(NamedTuple):
    """A socket that the manager passed to us."""

    name: str
    """`FileDescriptorName=` of the socket unit; its unit name by default."""
    fd: int


def listen_fds(environment: MutableMapping[str, str]) -> tuple[PassedSocket, ...]:
    """Return the sockets that the manager passed (sd_listen_fds(3)), and remove the variables from the environment.

    The sockets become close-on-exec, so that no child inherits them. Raises PermanentError(reason="bad-listen-fds").
    """
    pid = environment.pop("LISTEN_PID", "")
    count = environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "")
    if pid != str(os.getpid()) or not count:
        # They are for another process, above us.
        return ()
    if not count.isdecimal():
        raise PermanentError(f"LISTEN_FDS={count} is not a number", reason="bad-listen-fds")
    given = names.split(":") if names else []
    passed = []
    for index in range(int(count)):
        fd = _FIRST_FD + index
        try:
            os.set_inheritable(fd, False)  # noqa: FBT003  the signature of os
        except OSError as error:
            raise PermanentError(
                f"file descriptor {fd} of LISTEN_FDS is not open", reason="bad-listen-fds"
            ) from error
        passed.append(PassedSocket(given[index] if index < len(given) else "unknown", fd))
    return tuple(passed)
