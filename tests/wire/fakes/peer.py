"""A service on a bus, at the level of messages, so that a test decides the order of replies and signals."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus

from eventd.platform.dbus.peer_socket import PeerSocket

Answer = Callable[[Message], "Message | None"]


class _Bus(MessageBus):
    """On a socket that survives being full; dbus-fast's own does not."""

    def _create_socket_for_transport(self, _transport: str, options: dict[str, str]) -> Any:
        sock = PeerSocket(None)
        return sock, sock.makefile("rwb"), options["path"]


class Peer:
    """Owns `name`; `answer(call)` returns the reply to a method call, or None to send it later."""

    def __init__(self, name: str = "", answer: Answer | None = None) -> None:
        self.name = name
        self.calls: list[tuple[str, list[Any]]] = []
        self.held: dict[str, list[Message]] = {}
        """Members whose replies wait for `release`; a test puts the key in."""
        self.answer = answer
        self.bus: MessageBus | None = None
        self._called = asyncio.Event()

    async def start(self, address: str) -> None:
        """Connect and take the name."""
        self.bus = await _Bus(bus_address=address, negotiate_unix_fd=True).connect()
        self.bus.add_message_handler(self._handle)
        if self.name:
            await self.bus.request_name(self.name)

    async def stop(self) -> None:
        """Leave the bus."""
        if self.bus is not None and self.bus.connected:
            self.bus.disconnect()
            await asyncio.wait({asyncio.ensure_future(self.bus.wait_for_disconnect())}, timeout=60)
        self.bus = None

    @property
    def unique(self) -> str:
        """Unique name of the connection."""
        assert self.bus is not None
        return self.bus.unique_name or ""

    def send(self, message: Message) -> None:
        """Send, after all that was sent before."""
        assert self.bus is not None
        self.bus.send(message).add_done_callback(lambda sent: sent.cancelled() or sent.exception())

    def signal(
        self,
        path: str,
        interface: str,
        member: str,
        signature: str,
        body: list[Any],
        *,
        to: str | None = None,
    ) -> None:
        """Send a signal, to all who match it or to one connection."""
        message = Message.new_signal(path, interface, member, signature, body)
        message.destination = to
        self.send(message)

    def release(self, member: str) -> None:
        """Answer the held calls of `member` now, with what is true now."""
        for call in self.held.pop(member, []):
            self._reply(call)

    async def until_called(self, member: str, times: int = 1) -> None:
        """Return once `member` has been called so often in all."""
        async with asyncio.timeout(60):
            while sum(name == member for name, _ in self.calls) < times:
                self._called.clear()
                await self._called.wait()

    def count(self, member: str) -> int:
        """How often a member has been called."""
        return sum(name == member for name, _ in self.calls)

    def _handle(self, message: Message) -> bool | None:
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        if (message.interface or "").startswith("org.freedesktop.DBus") and self.answer is None:
            return None
        self.calls.append((message.member or "", list(message.body)))
        self._called.set()
        if message.member in self.held:
            self.held[message.member].append(message)
        else:
            self._reply(message)
        return True

    def _reply(self, call: Message) -> None:
        reply = self.answer(call) if self.answer is not None else Message.new_method_return(call)
        if reply is not None:
            self.send(reply)


def failure(call: Message, name: str, text: str) -> Message:
    """An error reply."""
    return Message.new_error(call, name, text)
