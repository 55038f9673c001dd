"""The D-Bus library, with a connection on a socket of ours: dbus-fast, or dbus-next with EVENTD_DBUS=dbus_next.

The only module that imports either library, and it hides their differences. Exports what is needed of both: messages in
and out, and `unwrap`. All other modules use `dbus.Bus`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any

from eventd.kernel.model.errors import EventdError
from eventd.platform.dbus.filter import Limits, MessageFilter
from eventd.platform.dbus.peer_socket import GREETING, PeerSocket

LIBRARY = os.environ.get("EVENTD_DBUS", "dbus_fast")
if TYPE_CHECKING or LIBRARY == "dbus_fast":
    from dbus_fast import Message, MessageType, Variant
    from dbus_fast.aio import MessageBus
    from dbus_fast.auth import AuthExternal
    from dbus_fast.errors import AuthError, InvalidAddressError
    from dbus_fast.signature import get_signature_tree
    from dbus_fast.unpack import unpack_variants as unwrap
elif LIBRARY == "dbus_next":
    from dbus_next import Message, MessageType, Variant
    from dbus_next.aio import MessageBus
    from dbus_next.auth import AuthExternal
    from dbus_next.errors import AuthError, InvalidAddressError

    def unwrap(data: Any) -> Any:
        """Take the values out of their variants, at every level."""
        match data:
            case Variant():
                return unwrap(data.value)
            case dict():
                return {key: unwrap(value) for key, value in data.items()}
            case list():
                return [unwrap(value) for value in data]
        return data
else:
    raise ImportError(f"EVENTD_DBUS={LIBRARY} is not supported; use dbus_fast or dbus_next")


def forget_signatures() -> None:
    """Empty dbus-fast's cache of signatures. A peer can fill it with 4096 of its own."""
    if LIBRARY == "dbus_fast":
        get_signature_tree.cache_clear()


def consume(done: asyncio.Future[Any]) -> None:
    """Retrieve the exception of a library's future, so that asyncio does not log it. It is reported elsewhere."""
    if not done.cancelled():
        done.exception()


class _External(AuthExternal):
    """AUTH EXTERNAL (D-Bus specification) with the uid that the socket was connected as."""

    def __init__(self, uid: int) -> None:
        super().__init__()
        self._as_uid = uid

    def _authentication_start(self, negotiate_unix_fd: bool = False) -> str:  # noqa: FBT001, FBT002
        self.negotiate_unix_fd = negotiate_unix_fd
        return f"AUTH EXTERNAL {str(self._as_uid).encode().hex()}"


class _HeldSocket(PeerSocket):
    """A socket whose descriptor only `release` closes, not the library.

    Both libraries go on using the number of a socket that they have closed: they wait for it to become writable, and
    remove its reader from the loop again. By then it may be the number of another connection, or of a file that a
    thread has opened.
    """

    def close(self) -> None:
        """Shut the connection down, if there is one; keep the descriptor."""
        with contextlib.suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Close the descriptor. The loop must have no callback for it any more."""
        super().close()


class Connection(MessageBus):
    """The library's bus, on a socket of ours. Each library gets the socket in its own way."""

    def __init__(self, address: str, uid: int | None, limits: Limits, *, fds: bool = False) -> None:
        self.filter = MessageFilter(limits)
        self._as_uid = uid  # first, since dbus-next connects in its constructor
        self._own: list[tuple[_HeldSocket, Any]] = []
        auth = _External(os.geteuid() if uid is None else uid)
        super().__init__(bus_address=address, auth=auth, negotiate_unix_fd=fds)
        # connect() reports a failed attempt, and then nobody asks how the connection ended.
        self._disconnect_future.add_done_callback(consume)

    def _open(self, options: dict[str, str]) -> tuple[socket.socket, Any, str]:
        if "path" in options:
            address = options["path"]
        elif "abstract" in options:
            address = "\0" + options["abstract"]
        else:
            raise InvalidAddressError("only unix:path= and unix:abstract= are supported")
        sock = _HeldSocket(self._as_uid)
        sock.greeting = GREETING
        stream = sock.makefile("rwb")
        self._own.append((sock, stream))
        return sock, stream, address

    def _create_socket_for_transport(self, transport: str, options: dict[str, str]) -> Any:  # type: ignore[override]
        """dbus-fast: called by connect(), which then connects it."""
        if transport != "unix":
            raise InvalidAddressError(f"the transport {transport} is not supported")
        return self._open(options)

    async def _authenticate(self) -> None:
        """Both libraries: messages follow, so the filter begins here."""
        await super()._authenticate()  # type: ignore[no-untyped-call,unused-ignore]
        for sock, _ in self._own:
            sock.filter = self.filter

    def _setup_socket(self) -> None:
        """dbus-next: called by the constructor."""
        error: Exception = InvalidAddressError("no usable address")
        for transport, options in self._bus_address:
            sock, stream, address = self._create_socket_for_transport(transport, options)
            try:
                sock.connect(address)
            except (OSError, EventdError) as failed:
                error = failed
                self.dispose()
                continue
            self._sock, self._stream, self._fd = sock, stream, sock.fileno()
            return
        raise error

    @property
    def unsent(self) -> int:
        """How many messages wait to be sent."""
        waiting = getattr(self, "_writer").messages  # noqa: B009 - each library has its own kind of queue
        return len(waiting) if hasattr(waiting, "__len__") else int(waiting.qsize())

    def dispose(self) -> None:
        """Unregister from the loop, and close the descriptor; nothing else does. It may be called again."""
        loop = asyncio.get_running_loop()
        for sock, stream in self._own:
            if sock.fileno() >= 0:
                loop.remove_reader(sock)
                loop.remove_writer(sock)
            try:
                stream.close()
            except OSError:
                pass  # dbus-next's unsent bytes cannot be sent any more
            finally:
                sock.release()
        self._own.clear()


__all__ = [
    "LIBRARY",
    "AuthError",
    "Connection",
    "InvalidAddressError",
    "Message",
    "MessageType",
    "Variant",
    "consume",
    "forget_signatures",
    "unwrap",
]
