"""Attacks of a hostile bus that send too many messages, or too large ones."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator

from eventd_simulators.hostile.bus import DRIVER, OURS, OWNER, ROOT, UNIT, Peer
from eventd_simulators.hostile.dbus_bytes import (
    CALL,
    DESTINATION,
    INTERFACE,
    MEMBER,
    PATH,
    SENDER,
    SIGNAL,
    Call,
    Raw,
    message,
)

# Too many.


class JobFlood(Peer):
    """Jobs with short names, as fast as possible."""

    def unasked(self) -> Iterator[bytes]:
        for n in itertools.count():
            yield b"".join(
                self.signal("JobNew", "uos", [i, f"{ROOT}/job/{i}", f"j{i}.service"])
                for i in range(n * 64, n * 64 + 64)
            )


class StateFlood(Peer):
    """The workload's own unit fails and comes up, over and over."""

    def unasked(self) -> Iterator[bytes]:
        for n in itertools.count():
            active, sub = ("failed", "failed") if n % 2 == 0 else ("active", "running")
            self.active = active
            yield self.changed({"ActiveState": Raw("s", active), "SubState": Raw("s", sub)})


class PropertyFlood(Peer):
    """Changes of the unit with properties that no unit has, each with a name of its own."""

    def unasked(self) -> Iterator[bytes]:
        for n in itertools.count():
            more = {f"P{n}x{i}": Raw("s", "x" * 200) for i in range(100)}
            yield self.changed(more, interface="org.freedesktop.systemd1.Service")


class OwnerFlood(Peer):
    """Names on the bus change owners, a new name each time."""

    def unasked(self) -> Iterator[bytes]:
        for n in itertools.count():
            name = f"a{n}.{'b' * 200}"
            yield self.signal(
                "NameOwnerChanged", "sss", [name, "", f":1.{n}"], path=f"/{DRIVER.replace('.', '/')}",
                interface=DRIVER, sender=DRIVER,
            )  # fmt: skip


class Reowner(Peer):
    """systemd's name changes owners all the time: everything would be read again each time."""

    def unasked(self) -> Iterator[bytes]:
        for _ in itertools.count():
            yield self.signal(
                "NameOwnerChanged", "sss", ["org.freedesktop.systemd1", OWNER, OWNER],
                path=f"/{DRIVER.replace('.', '/')}", interface=DRIVER, sender=DRIVER,
            )  # fmt: skip


class Reloads(Peer):
    """It reloads all the time: everything would be read again each time."""

    def unasked(self) -> Iterator[bytes]:
        for n in itertools.count():
            yield self.signal("Reloading", "b", [n % 2])


class ReplyFlood(Peer):
    """Replies to calls that nobody made."""

    def unasked(self) -> Iterator[bytes]:
        for n in itertools.count(100_000):
            yield self.reply(Call(n, "", "", b""), "s", ["x" * 1000])


class CallFlood(Peer):
    """Calls to the daemon, whose answers are never read."""

    def unasked(self) -> Iterator[bytes]:
        self.reads = False
        fields = {
            PATH: "/", INTERFACE: "org.freedesktop.DBus.Peer", MEMBER: "Ping", SENDER: OWNER, DESTINATION: OURS,
        }  # fmt: skip
        for n in itertools.count(1):
            yield message(CALL, n, fields)


# Too large.


class LongNames(Peer):
    """Units with names of megabytes."""

    def unasked(self) -> Iterator[bytes]:
        for n in itertools.count():
            yield self.signal("JobNew", "uos", [n, f"{ROOT}/job/{n}", f"{n}{'x' * self.size}.service"])
            yield self.signal("UnitNew", "so", [f"{n}{'x' * self.size}.service", f"{ROOT}/unit/x"])


class HugeMessage(Peer):
    """One message of a hundred megabytes, of which only the beginning is sent."""

    def unasked(self) -> Iterator[bytes]:
        head = self.signal("JobNew", "uos", [1, "/x", "x"])
        yield head[:4] + struct.pack("<I", 100_000_000) + head[8:]
        while True:
            yield bytes(65536)


class EndlessHeader(Peer):
    """A header with endless fields."""

    def unasked(self) -> Iterator[bytes]:
        fields = {PATH: "/", INTERFACE: "a.b", MEMBER: "C", SENDER: OWNER}
        yield message(SIGNAL, 7, fields, extra=bytes(self.size))


class HugeValues(Peer):
    """Paths and texts of hundreds of kilobytes in the properties of a unit."""

    def properties(self, interface: str) -> dict[str, Raw]:
        long = "x" * min(self.size, 120_000)
        mine = {"StatusText": Raw("s", long)} if interface != UNIT else {"FragmentPath": Raw("s", f"/{long}")}
        return super().properties(interface) | mine


class ErrorText(Peer):
    """Each call is refused, with a text of megabytes that clears the screen."""

    def answer(self, call: Call) -> Iterator[bytes]:
        if call.member != "Subscribe":
            yield from super().answer(call)
            return
        yield self.error(call, f"{DRIVER}.Error.InvalidArgs", "\x1b[2J" + "x" * self.size)


class HelloError(Peer):
    """It refuses even Hello."""

    def answer(self, call: Call) -> Iterator[bytes]:
        if call.member == "Hello":
            yield self.error(call, f"{DRIVER}.Error.{'X' * 200}", "\x1b[2J" + "x" * self.size)


class EndlessWords(Peer):
    """It does not end its first line."""

    def greet(self) -> None:
        while True:
            self.sock.sendall(b"OK " * 20_000)


FLOODS = (
    JobFlood,
    StateFlood,
    PropertyFlood,
    OwnerFlood,
    Reowner,
    Reloads,
    ReplyFlood,
    CallFlood,
    LongNames,
    HugeMessage,
    EndlessHeader,
    HugeValues,
    ErrorText,
    HelloError,
    EndlessWords,
)
