"""The signals of one connection: who wants which, and who owns the names that they have to come from.

Owns the routes and the owners. It asks the bus for nothing: `connection` adds the match rules, and puts the owners in.
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
    """See the module."""

    def __init__(self) -> None:
        self._routes: dict[tuple[str, str], list[tuple[str, str, SignalHandler]]] = {}
        self._owner_handlers: dict[str, list[OwnerHandler]] = {}
        self.owners: dict[str, str] = {}
        """Tracked name -> the unique name of its owner, `""` while there is none."""

    def add(
        self, name: str, interface: str, member: str, signature: str, handler: SignalHandler
    ) -> Callable[[], None]:
        """Route signals of the owner of `name`; the result ends that."""
        route = self._routes.setdefault((interface, member), [])
        entry = (name, signature, handler)
        route.append(entry)
        return lambda: route.remove(entry)

    def tell_owner(self, name: str, changed: OwnerHandler) -> None:
        """Call `changed` at each change of a tracked name's owner."""
        self._owner_handlers.setdefault(name, []).append(changed)

    def admit(self, header: Header, message: bytes) -> str | None:
        """Return the signature of a signal that somebody here waits for, None of any other."""
        if header.sender == DRIVER:
            if header.member != "NameOwnerChanged" or header.signature != "sss":
                return None
            return "sss" if first_text(message) in self.owners else None
        for name, signature, _ in self._routes.get((header.interface, header.member), ()):
            if header.sender and self.owners.get(name) == header.sender:
                return signature
        return None

    def deliver(self, message: Message) -> None:
        """Hand a signal to those that want it, if it comes from the owner of the name that they named."""
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
