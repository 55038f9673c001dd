"""A connection to a D-Bus bus: calls with deadlines, and signals in the order of arrival.

It uses the library (`library`) to send and receive messages only. Proxies, introspection and the libraries' bookkeeping
of replies are not used: in both, a cancelled call leaves its reply handler behind, and dbus-next never ends a call
after a disconnect. It knows no peer: `systemd1` and `logind` do.

Facts that callers rely on:

- Messages are in order. A bus delivers what one sender sends to one receiver in the order of sending, replies and
  signals alike, and a peer reads its values when it sends. So the later of two messages is the newer one. That holds
  only for code that handles messages *as they arrive*: a task that awaits a reply runs later, when more signals may
  have been handled. Hence `apply` of `call`, which runs at the reply's place in the order.
- A sender cannot be forged, but anybody can *send* the daemon a signal, whether a match rule asks for it or not. So a
  handler is registered for a well-known name, and only signals of the name's owner count; `track` follows the owner.
- A program of the user may answer on a user's bus. So the signature of each reply and signal is known in advance, and
  `filter` drops all others: a body always has the types that its reader expects.
- File descriptors are only sent, and only on a connection that negotiated it (`connect`, `fds`). On others the bus
  withholds messages with descriptors. On these, messages are received without room for descriptors, so that the kernel
  closes them (`peer_socket`). None leaks from an unread reply or into a child.
- A lost connection stays lost. The caller makes a new `Bus` and reads again what it missed.
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
from eventd.platform.dbus.refusals import connect_error
from eventd.platform.dbus.signals import OwnerHandler, Signal, SignalHandler, Signals
from eventd.platform.dbus.wire import Header, Kind

DBUS = DRIVER
DBUS_PATH = "/org/freedesktop/DBus"
PROPERTIES = "org.freedesktop.DBus.Properties"
CALL_TIMEOUT = 25.0
"""Default seconds for a call, the same as libdbus."""
_PEER = "org.freedesktop.DBus.Peer"
_UNREAD = 16
"""How many messages may be unsent before a Ping gets no answer."""

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
        """Connect, authenticate and send Hello.

        `uid`: connect as this user (see `peer_socket`), and only to a bus that this user runs. `limits`: what the bus
        may send. `fds`: calls may pass file descriptors.
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
            if (failure := connect_error(address, error, timeout)) is not None:
                raise failure from error
            raise
        return cls(connection, address)

    @property
    def address(self) -> str:
        """The address of the bus."""
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
        """Call `callback` once when the connection is lost or closed; at once if it already is."""
        if self._closed is not None:
            callback()
        else:
            self._on_closed.append(callback)

    def on(
        self, name: str, interface: str, member: str, signature: str, handler: SignalHandler
    ) -> Callable[[], None]:
        """Pass signals of the owner of `name` with this signature to `handler`; call the result to stop.

        `name` has to be tracked, and the signals requested with `add_match`. If the handler raises, the connection is
        closed: its user then reads everything again, instead of going on with half a state.
        """
        return self._signals.add(name, interface, member, signature, handler)

    async def track(
        self, name: str, changed: OwnerHandler | None = None, *, timeout: float = CALL_TIMEOUT
    ) -> str:
        """Follow the owner of a well-known name; return its unique name, or `""` if it has none.

        `changed(owner)` is called at NameOwnerChanged's place in the order of messages, before any signal of the new
        owner.
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
                # NameHasNoOwner. NameOwnerChanged reports an owner that has come since.
        if changed is not None:
            self._signals.on_owner_changed(name, changed)
        return self._signals.owners[name]

    def owner(self, name: str) -> str:
        """Return the unique name of the owner of a tracked name, `""` if it has none."""
        return self._signals.owners.get(name, "")

    async def add_match(self, rule: str, *, timeout: float = CALL_TIMEOUT) -> None:
        """Request the signals that a match rule describes (D-Bus specification, "Match rules")."""
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

        `reply`: the signature that the reply must have. It is checked here, so a body always has these values.
        `apply(body)` is called at the reply's place in the order of messages, before any later signal is handled,
        unless the call was given up before. With `apply`, the body is not kept and nothing is returned. `fds`: file
        descriptors to pass; a value of type `h` is an index into them. The caller keeps them, and may close them once
        this returns or raises. Raises what `dbus_error` returns for the peer's error, DeadlineError after `timeout`
        seconds, DisconnectedError as soon as the connection is lost, and TemporaryError(reason="bad-reply").
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
            # A failed write ends the connection, and that fails the call.
            self._connection.send(message).add_done_callback(consume)
        except (TypeError, ValueError, struct.error) as error:
            self._calls.forget(serial)
            if not self._connection.connected:
                raise self._lost_during(what, error) from error
            raise PermanentError(f"{what} cannot be sent: {error}", reason="invalid-message") from error
        except OSError as error:
            # The bus is gone, and the library closed the socket before it reported that.
            self._calls.forget(serial)
            raise self._lost_during(what, error) from error
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
        """Return all properties of one interface of an object. With `apply`, that gets them, and {} is returned."""
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
            self._fail(DisconnectedError(f"the connection to {self._address} was closed", reason="closed"))
        # The library releases the socket at the end of file that its shutdown causes.
        await asyncio.wait({self._watching}, timeout=5.0)

    async def _watch(self) -> None:
        cause: BaseException | None = None
        try:
            await self._connection.wait_for_disconnect()  # type: ignore[no-untyped-call]
        except Exception as error:  # noqa: BLE001  # an OSError or EOFError, kept as the cause
            cause = error
        self._connection.dispose()
        if self._connection.filter.limits.strict:
            forget_signatures()
        lost = DisconnectedError(f"the connection to {self._address} was lost")
        refused = self._connection.filter.refused  # even if the library has reported another cause first
        if refused is not None:
            lost = DisconnectedError(
                f"the connection to {self._address} was ended: {refused.message}", reason=refused.reason
            )
        lost.__cause__ = cause
        self._fail(lost)

    def _fail(self, error: DisconnectedError) -> None:
        """End the connection, once: fail the pending calls, and call back."""
        if self._closed is not None:
            return
        self._closed = error
        if self._connection.connected:
            self._connection.disconnect()
        self._calls.fail_all(self._closed_error)
        callbacks, self._on_closed = self._on_closed, []
        for callback in callbacks:
            callback()

    def _lost_during(self, what: str, error: Exception) -> DisconnectedError:
        """Handle a lost connection that a call discovered."""
        self._fail(DisconnectedError(f"the connection to {self._address} was lost: {what} was not sent"))
        lost = self._closed_error()
        lost.__cause__ = error
        return lost

    def _closed_error(self) -> DisconnectedError:
        # A new one each time: an exception collects the traceback of every place that raises it.
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
            self._fail(refused)
        except Exception as error:  # noqa: BLE001  # a bug in a handler
            _log.exception(
                "a handler failed on %s.%s; closing the connection", message.interface, message.member
            )
            failed = DisconnectedError(
                f"a handler of the connection to {self._address} failed", reason="handler-failed"
            )
            failed.__cause__ = error
            self._fail(failed)

    def _admit(self, header: Header, message: bytes) -> str | None:
        """Return the signature of an expected message (see `filter`); None for any other."""
        match header.kind:
            case Kind.RETURN | Kind.ERROR:
                return self._calls.admit(header)
            case Kind.SIGNAL:
                return self._signals.admit(header, message)
            case Kind.CALL:
                # The library answers these. All other calls are dropped without a reply: a caller that does not read
                # would let replies pile up.
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
    """Return DBUS_SYSTEM_BUS_ADDRESS, or the address of the system bus in the D-Bus specification."""
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
