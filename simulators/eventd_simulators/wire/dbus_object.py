"""What every exported service here needs: calls in, replies and signals out, properties as variants.

Messages are handled as such, not through the library's classes for services: units come and go by the
thousand, each under a path of its own, and a path that nobody has used yet has to answer too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import dbus_fast.aio  # noqa: F401  (dbus_fast loads it lazily, in the middle of a call)
from dbus_fast import Message, MessageType, Variant
from dbus_fast.aio import MessageBus

PROPERTIES: Final = "org.freedesktop.DBus.Properties"
INTROSPECTABLE: Final = "org.freedesktop.DBus.Introspectable"
Row: TypeAlias = Mapping[str, tuple[str, Any]]
"""Property -> signature and value."""
Method: TypeAlias = Callable[[Message], Message | bool | None]


class BusError(Exception):
    """Becomes an error reply."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


def variants(row: Row) -> dict[str, Variant]:
    """Return properties as `a{sv}`."""
    return {name: Variant(signature, value) for name, (signature, value) in row.items()}


def reply(message: Message, signature: str = "", *body: Any) -> Message:
    """Return the answer to a call."""
    return Message.new_method_return(message, signature, list(body))


class Service:
    """One well-known name on one bus, with its own connection."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.bus: MessageBus | None = None
        self.methods: dict[tuple[str, str], Method] = {}
        """By interface and member; the path is looked at by the method."""

    async def start(self, address: str) -> None:
        """Connect and take the name."""
        bus = MessageBus(bus_address=address)
        await bus.connect()
        bus.add_message_handler(self._handle)
        await bus.request_name(self.name)
        self.bus = bus

    async def stop(self) -> None:
        """Leave the bus."""
        bus, self.bus = self.bus, None
        if bus is not None:
            bus.disconnect()

    async def change_hands(self) -> None:
        """Release the name and take it again, as a re-executed systemd does."""
        if self.bus is not None:
            await self.bus.release_name(self.name)
            await self.bus.request_name(self.name)

    def signal(self, path: str, interface: str, member: str, signature: str = "", *body: Any) -> None:
        """Send a signal, if anybody can hear it."""
        if self.bus is not None and self.bus.connected:
            self.bus.send(Message.new_signal(path, interface, member, signature, list(body)))

    def send(self, message: Message) -> None:
        """Send a late reply."""
        if self.bus is not None and self.bus.connected:
            self.bus.send(message)

    def get_all(self, path: str, interface: str) -> Row | None:
        """Return the properties of an object's interface; None if the object does not exist."""
        raise NotImplementedError

    def children(self, path: str) -> list[str]:
        """Return the names below a path, for busctl tree."""
        del path
        return []

    def _handle(self, message: Message) -> Message | bool | None:
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        try:
            if message.interface == PROPERTIES:
                return self._properties(message)
            if message.interface == INTROSPECTABLE and message.member == "Introspect":
                nodes = "".join(f'<node name="{child}"/>' for child in self.children(message.path or "/"))
                return reply(message, "s", f"<node>{nodes}</node>")
            method = self.methods.get((message.interface or "", message.member or ""))
            return None if method is None else method(message)
        except BusError as error:
            return Message.new_error(message, error.name, str(error))

    def _properties(self, message: Message) -> Message | None:
        path, interface = message.path or "", message.body[0]
        row = self.get_all(path, interface)
        if row is None:
            raise BusError("org.freedesktop.DBus.Error.UnknownObject", f"Unknown object '{path}'.")
        if message.member == "GetAll":
            return reply(message, "a{sv}", variants(row))
        if message.member == "Get":
            wanted = message.body[1]
            if wanted not in row:
                text = f"Unknown interface {interface} or property {wanted}."
                raise BusError("org.freedesktop.DBus.Error.UnknownProperty", text)
            return reply(message, "v", Variant(*row[wanted]))
        raise BusError("org.freedesktop.DBus.Error.PropertyReadOnly", "Properties are read-only here.")
