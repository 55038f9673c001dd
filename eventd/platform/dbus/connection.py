"""A connection to a D-Bus bus: calls with deadlines, and signals in the order of arrival.

Of the library (`library`) it uses messages in and out. Proxies, introspection and the libraries' own
bookkeeping of replies stay unused, because a cancelled call leaves its reply handler behind in both of them, and
dbus-next never ends a call after a disconnect. It knows no peer: `systemd1` and `logind` do.

Facts that the callers rely on:

- Order is total. A bus delivers what one sender sends to one receiver in the order of sending, replies and
  signals alike, and a peer takes the values when it sends. So of two messages the later one is newer, whatever their
  kind. That only holds for code that handles messages *as they arrive*: a task that awaits a reply runs later, when
  more signals may have been handled. Therefore `call` takes `apply`, which runs at the reply's place in the order.
- A sender cannot be forged, but a signal can be *sent to us* by anybody, match rule or not (a system bus lets
  all users send signals). So a handler is registered for a well-known name, and a signal counts only if it
  comes from that name's owner; `track` follows the owner.
- What answers on a user's bus may be a program of that user. So each reply and signal has a signature that is known
  here before it comes, and `gate` lets nothing else in: who reads a body finds in it what the signature says.
- File descriptors go out only, and only on a connection that asked for it (`connect`, `fds`): on all others the
  bus withholds messages that carry some, and on such a one what comes in is received without room for any, so
  that the kernel closes them (`peer_socket`). None can leak from an unread reply or into a child.
- A lost connection stays lost. The caller creates a new `Bus` and reads again what it missed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import struct
from collections.abc import Callable, Sequence
from typing import Any

from eventd.kernel.model.errors import (
    DeadlineError,
    DisconnectedError,
    PermanentError,
)
from eventd.platform.dbus.calls import Apply, Calls
from eventd.platform.dbus.errors import BadReplyError
from eventd.platform.dbus.filter import DRIVER, SYSTEM_LIMITS, USER_LIMITS, Limits
from eventd.platform.dbus.library import (
    LIBRARY,
    Connection,
    Message,
    MessageType,
    Variant,
    consume,
    forget_signatures,
)
from eventd.platform.dbus.refusals import refusal
from eventd.platform.dbus.signals import OwnerHandler, Signal, SignalHandler, Signals
from eventd.platform.dbus.wire import Header, Kind

DBUS = DRIVER
DBUS_PATH = "/org/freedesktop/DBus"
PROPERTIES = "org.freedesktop.DBus.Properties"
CALL_TIMEOUT = 25.0
"""Default seconds for a call, the same as libdbus."""
_PEER = "org.freedesktop.DBus.Peer"
_UNREAD = 16
"""Unsent messages beyond which no Ping is answered."""

_log = logging.getLogger(__name__)


class Bus:
    """One connection, from `connect` until it is lost or closed. Use from the loop's thread."""

    def __init__(self, connection: Connection, address: str) -> None:
        self._connection = connection
        self._address = address
        self._calls = Calls()
        self._signals = Signals()
        self._closed: DisconnectedError | None = None
        self._on_closed: list[Callable[[], None]] = []
        connection.filter.admit_with(self._admit)
        connection.add_message_handler(self._handle)
        self._watching = asyncio.create_task(self._watch(), name=f"dbus {address}")

    @classmethod
    async def connect(
        cls,
        address: str,
        *,
        uid: int | None = None,
        timeout: float = CALL_TIMEOUT,
        limits: Limits = SYSTEM_LIMITS,
        fds: bool = False,
    ) -> Bus:
        """Connect, authenticate and say Hello.

        `uid`: connect as this user (see `peer_socket`), and only to a bus that this user runs. `limits`: what the bus
        may send. `fds`: calls may hand over file descriptors.
        Raises DisconnectedError(reason="bus-unavailable"), DeadlineError,
        PermanentError(reason="access-denied" or "bad-address"), TemporaryError(reason="bus-not-trusted").
        """
        connection: Connection | None = None
        try:
            async with asyncio.timeout(timeout):
                connection = Connection.__new__(Connection)
                connection.__init__(address, uid, limits, fds=fds)  # type: ignore[misc]
                await connection.connect()
        except BaseException as error:
            if connection is not None:
                connection.dispose()
                if isinstance(error, Exception) and (refused := connection.filter.refused):
                    raise DisconnectedError(
                        f"the connection to the bus {address} was closed: {refused.message}",
                        reason=refused.reason,
                    ) from error
            if (told := refusal(address, error, timeout)) is not None:
                raise told from error
            raise
        return cls(connection, address)

    @property
    def address(self) -> str:
        """The address that it was connected to."""
        return self._address

    @property
    def closed(self) -> DisconnectedError | None:
        """Why the connection has ended; None while it is open."""
        return self._closed

    def raise_if_closed(self) -> None:
        """Raise DisconnectedError if the connection has ended."""
        if self._closed is not None:
            raise self._closed_error()

    def on_closed(self, callback: Callable[[], None]) -> None:
        """Call back once when the connection is lost or closed (at once if it is already)."""
        if self._closed is not None:
            callback()
        else:
            self._on_closed.append(callback)

    def on(
        self, name: str, interface: str, member: str, signature: str, handler: SignalHandler
    ) -> Callable[[], None]:
        """Hand signals of the owner of `name` that have this signature to `handler`; the result ends that.

        `name` has to be tracked, and the signals asked for with `add_match`. If the handler raises, the connection
        is closed, so that its owner reads everything afresh rather than going on with half a state.
        """
        return self._signals.add(name, interface, member, signature, handler)

    async def track(
        self, name: str, changed: OwnerHandler | None = None, *, timeout: float = CALL_TIMEOUT
    ) -> str:
        """Follow the owner of a well-known name; return its unique name, or `""` while there is none.

        `changed(owner)` is called at NameOwnerChanged's place in the order of messages, before signals of the
        new owner.
        """
        if name not in self._signals.owners:
            self._signals.owners[name] = ""
            await self.add_match(
                f"type='signal',sender='{DBUS}',path='{DBUS_PATH}',interface='{DBUS}',"
                f"member='NameOwnerChanged',arg0='{name}'",
                timeout=timeout,
            )

            def known(body: Sequence[Any]) -> None:
                self._signals.owners[name] = body[0]

            try:
                await self.call(
                    DBUS,
                    DBUS_PATH,
                    DBUS,
                    "GetNameOwner",
                    "s",
                    [name],
                    reply="s",
                    timeout=timeout,
                    apply=known,
                )
            except DisconnectedError:
                if self._closed is not None:
                    raise
                # NameHasNoOwner; an owner that came since is told by NameOwnerChanged.
        if changed is not None:
            self._signals.tell_owner(name, changed)
        return self._signals.owners[name]

    def owner(self, name: str) -> str:
        """The unique name of the owner of a tracked name, `""` if it has none."""
        return self._signals.owners.get(name, "")

    async def add_match(self, rule: str, *, timeout: float = CALL_TIMEOUT) -> None:
        """Ask the bus for the signals that a match rule describes (D-Bus specification, "Match rules")."""
        await self.call(DBUS, DBUS_PATH, DBUS, "AddMatch", "s", [rule], timeout=timeout)

    async def call(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
        *,
        reply: str = "",
        timeout: float = CALL_TIMEOUT,
        apply: Apply | None = None,
        fds: Sequence[int] = (),
    ) -> Sequence[Any]:
        """Call a method; return the body of its reply with variants unwrapped.

        `reply`: the signature that the reply has to have. It is checked here, for all callers: a body has as many
        values as that, of these types. `apply(body)` is called at the reply's place in the order of messages, before
        any later signal is handled, and not when the call has been given up by then; the body is then not kept, and
        nothing is returned.
        `fds`: file descriptors that go with it; a value of type `h` is an index into them. They stay the caller's, who
        may close them once this returns or raises.
        Raises what `dbus_error` makes of the peer's error, DeadlineError after `timeout` seconds,
        DisconnectedError as soon as the connection is lost, and TemporaryError(reason="bad-reply").
        """
        self.raise_if_closed()
        what = f"{member} of {destination}"
        serial = self._connection.next_serial()
        future = self._calls.begin(serial, what, reply, apply)
        try:
            message = Message(
                destination=destination,
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=list(body),
                serial=serial,
                unix_fds=list(fds),
            )
            # A failed write ends the connection, and that ends the future.
            self._connection.send(message).add_done_callback(consume)
        except (TypeError, ValueError, struct.error) as error:
            self._calls.forget(serial)
            if not self._connection.connected:
                raise self._lost_under(what, error) from error
            raise PermanentError(f"{what} cannot be sent: {error}", reason="invalid-message") from error
        except OSError as error:
            # The bus went away and the library closed the socket before the end was reported.
            self._calls.forget(serial)
            raise self._lost_under(what, error) from error
        try:
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError as error:
            raise DeadlineError(f"{what}: no answer within {timeout:g} s", reason="no-answer") from error
        finally:
            self._calls.forget(serial)

    async def get_all(
        self,
        destination: str,
        path: str,
        interface: str,
        *,
        timeout: float = CALL_TIMEOUT,
        apply: Apply | None = None,
    ) -> dict[str, Any]:
        """Return all properties of one interface of an object; nothing with `apply`, which gets them."""
        body = await self.call(
            destination,
            path,
            PROPERTIES,
            "GetAll",
            "s",
            [interface],
            reply="a{sv}",
            timeout=timeout,
            apply=apply,
        )
        properties: dict[str, Any] = body[0] if body else {}
        return properties

    async def close(self) -> None:
        """Close the connection if it is open; pending calls end with DisconnectedError."""
        if self._closed is None:
            self._down(DisconnectedError(f"the connection to {self._address} was closed", reason="closed"))
        # The end of file that the shutdown of the socket brings is what lets the library release it.
        await asyncio.wait({self._watching}, timeout=5.0)

    async def _watch(self) -> None:
        cause: BaseException | None = None
        try:
            await self._connection.wait_for_disconnect()  # type: ignore[no-untyped-call]
        except Exception as error:  # noqa: BLE001  # an OSError or EOFError: kept as the cause
            cause = error
        self._connection.dispose()
        if self._connection.filter.limits.strict:
            forget_signatures()
        lost = DisconnectedError(f"the connection to {self._address} was lost")
        refused = self._connection.filter.refused  # also where the library has found another end of it first
        if refused is not None:
            lost = DisconnectedError(
                f"the connection to {self._address} was ended: {refused.message}", reason=refused.reason
            )
        lost.__cause__ = cause
        self._down(lost)

    def _down(self, error: DisconnectedError) -> None:
        if self._closed is not None:
            return
        self._closed = error
        if self._connection.connected:
            self._connection.disconnect()
        self._calls.end(self._closed_error)
        callbacks, self._on_closed = self._on_closed, []
        for callback in callbacks:
            callback()

    def _lost_under(self, what: str, error: Exception) -> DisconnectedError:
        """Handle a lost connection that a call discovered."""
        self._down(DisconnectedError(f"the connection to {self._address} was lost: {what} was not sent"))
        lost = self._closed_error()
        lost.__cause__ = error
        return lost

    def _closed_error(self) -> DisconnectedError:
        # A new one each time: an exception accumulates the traceback of every place that raises it.
        assert self._closed is not None
        error = DisconnectedError(self._closed.message, reason=self._closed.reason)
        error.__cause__ = self._closed.__cause__
        return error

    def _handle(self, message: Message) -> None:
        try:
            self._dispatch(message)
        except BadReplyError as error:
            refused = DisconnectedError(
                f"the connection to {self._address} was ended: {error.message}", reason=error.reason
            )
            refused.__cause__ = error
            self._down(refused)
        except Exception as error:  # noqa: BLE001  # any bug of a handler
            _log.exception(
                "a handler failed on %s.%s; closing the connection", message.interface, message.member
            )
            failed = DisconnectedError(
                f"a handler of the connection to {self._address} failed", reason="handler-failed"
            )
            failed.__cause__ = error
            self._down(failed)

    def _admit(self, header: Header, message: bytes) -> str | None:
        """Return the signature of an expected message (see `gate`); None for all others."""
        match header.kind:
            case Kind.RETURN | Kind.ERROR:
                return self._calls.admit(header)
            case Kind.SIGNAL:
                return self._signals.admit(header, message)
            case Kind.CALL:
                # Answered by the library. Others call nothing here, and are not told so: who does not read replies
                # would have them pile up.
                if header.interface == _PEER and self._connection.unsent < _UNREAD:
                    return ""
        return None

    def _dispatch(self, message: Message) -> None:
        if self._closed is not None:
            return
        match message.message_type:
            case MessageType.SIGNAL:
                self._signals.deliver(message)
            case MessageType.METHOD_RETURN | MessageType.ERROR:
                self._calls.settle(message)


def system_bus_address() -> str:
    """DBUS_SYSTEM_BUS_ADDRESS, or the address that the D-Bus specification gives for the system bus."""
    return os.environ.get("DBUS_SYSTEM_BUS_ADDRESS") or "unix:path=/run/dbus/system_bus_socket"


__all__ = [
    "CALL_TIMEOUT",
    "DBUS",
    "DBUS_PATH",
    "LIBRARY",
    "PROPERTIES",
    "SYSTEM_LIMITS",
    "USER_LIMITS",
    "Apply",
    "Bus",
    "Signal",
    "Variant",
    "system_bus_address",
]
