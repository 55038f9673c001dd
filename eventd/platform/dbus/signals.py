"""The signal handlers of one connection, and the owners of the names that signals have to come from.

Sends nothing: `connection` adds the match rules and sets the owners.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from eventd.platform.dbus.filter import DRIVER
from eventd.platform.dbus.library import Message, unwrap
from eventd.platform.dbus.wire import Header, first_text


class Signal(NamedTuple):
    """A signal, with the variants of its body unwrapped."""

    sender: str
    path: str
    interface: str
    member: str
    body: Sequence[Any]


SignalHandler: TypeAlias = Callable[[Signal], None]
OwnerHandler: TypeAlias = Callable[[str], None]


class Signals:
    """The handlers by interface and member, and the owners by name."""

    def __init__(self) -> None:
        self._routes: dict[tuple[str, str], list[tuple[str, str, SignalHandler]]] = {}
        self._owner_handlers: dict[str, list[OwnerHandler]] = {}
        self.owners: dict[str, str] = {}
        """Tracked name -> the unique name of its owner, `""` if it has none."""

    def add(
        self, name: str, interface: str, member: str, signature: str, handler: SignalHandler
    ) -> Callable[[], None]:
        """Pass signals of the owner of `name` to `handler`; call the result to stop."""
        route = self._routes.setdefault((interface, member), [])
        entry = (name, signature, handler)
        route.append(entry)
        return lambda: route.remove(entry)

    def on_owner_changed(self, name: str, changed: OwnerHandler) -> None:
        """Call `changed` whenever the owner of a tracked name changes."""
        self._owner_handlers.setdefault(name, []).append(changed)

    def admit(self, header: Header, message: bytes) -> str | None:
        """Return the signature of a signal that has a handler; None for any other."""
        if header.sender == DRIVER:
            if header.member != "NameOwnerChanged" or header.signature != "sss":
                return None
            return "sss" if first_text(message) in self.owners else None
        for name, signature, _ in self._routes.get((header.interface, header.member), ()):
            if header.sender and self.owners.get(name) == header.sender:
                return signature
        return None

    def deliver(self, message: Message) -> None:
        """Call the handlers of a signal whose name is owned by its sender."""
        interface, member, sender = message.interface, message.member, message.sender
        if sender == DRIVER:
            if member == "NameOwnerChanged" and message.body[0] in self.owners:
                name, _, owner = message.body
                self.owners[name] = owner
                for changed in tuple(self._owner_handlers.get(name, ())):
                    changed(owner)
            return
        route = self._routes.get((interface or "", member or ""))
        if not route:
            return
        signal: Signal | None = None
        for name, _, handler in tuple(route):
            if sender and self.owners.get(name) == sender:
                if signal is None:
                    signal = Signal(
                        sender, message.path or "", interface or "", member or "", unwrap(message.body)
                    )
                handler(signal)
