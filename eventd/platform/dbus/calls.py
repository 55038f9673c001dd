"""The pending calls of one connection: the reply that each expects, and the future that awaits it.

Owns this bookkeeping because the libraries leave behind the reply handler of a cancelled call. Sends nothing:
`connection` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from eventd.kernel.model.errors import DisconnectedError, EventdError
from eventd.platform.dbus.errors import BadReplyError, dbus_error
from eventd.platform.dbus.library import Message, MessageType, unwrap
from eventd.platform.dbus.wire import Header, Kind

Apply: TypeAlias = Callable[[Sequence[Any]], None]


class _Pending(NamedTuple):
    future: asyncio.Future[Sequence[Any]]
    what: str
    reply: str
    apply: Apply | None


class Calls:
    """The pending calls, by serial."""

    def __init__(self) -> None:
        self._pending: dict[int, _Pending] = {}

    def begin(self, serial: int, what: str, reply: str, apply: Apply | None) -> asyncio.Future[Sequence[Any]]:
        """Expect a reply with the signature `reply`; see `Bus.call`. The future gets its body, or an error."""
        future: asyncio.Future[Sequence[Any]] = asyncio.get_running_loop().create_future()
        self._pending[serial] = _Pending(future, what, reply, apply)
        return future

    def forget(self, serial: int) -> None:
        """Stop expecting a reply."""
        self._pending.pop(serial, None)

    def fail_all(self, error: Callable[[], DisconnectedError]) -> None:
        """Fail every call, each with a new `error()`: the connection is gone."""
        for pending in self._pending.values():
            if not pending.future.done():
                pending.future.set_exception(error())

    def admit(self, header: Header) -> str | None:
        """Return the signature of an expected reply, None for any other. Fail a call whose reply has a wrong one."""
        pending = self._pending.get(header.reply_to)
        if pending is None or pending.future.done():
            return None
        if header.kind is Kind.ERROR:
            if header.signature in ("", "s"):
                return header.signature
            # An error may have a longer body than its text. Its name is enough.
            pending.future.set_exception(dbus_error(header.error, "", what=pending.what))
            return None
        if header.signature != pending.reply:
            error = BadReplyError(
                f"{pending.what}: the reply has the signature {header.signature!r} instead of {pending.reply!r}"
            )
            pending.future.set_exception(error)
        return pending.reply

    def settle(self, message: Message) -> None:
        """Complete the call that a reply is for, with its body or its error. Raises what its `apply` raises."""
        pending = self._pending.pop(message.reply_serial, None)
        if pending is None or pending.future.done():
            return  # its caller has hit the deadline, or was cancelled
        if message.message_type is MessageType.ERROR:
            text = str(message.body[0]) if message.body else ""
            pending.future.set_exception(dbus_error(message.error_name or "", text, what=pending.what))
            return
        body = unwrap(message.body)
        if pending.apply is None:
            pending.future.set_result(body)
            return
        try:
            pending.apply(body)
        except Exception as error:
            what = f"the reply to {pending.what} is invalid"
            pending.future.set_exception(error if isinstance(error, EventdError) else DisconnectedError(what))
            raise
        pending.future.set_result(())
