"""What a hostile bus does: each attack is what an honest one says, but for one thing."""

from __future__ import annotations

import array
import itertools
import os
import socket
import struct
from collections.abc import Iterator

from eventd_simulators.hostile.bus import DRIVER, OURS, OWNER, ROOT, UNIT, Peer
from eventd_simulators.hostile.dbus_bytes import (
    CALL,
    DESTINATION,
    ERROR,
    INTERFACE,
    MEMBER,
    NAME,
    PATH,
    REPLY_TO,
    SENDER,
    SIGNAL,
    SIGNATURE,
    Call,
    Raw,
    message,
    pack,
)

ATTACKS: dict[str, type[Peer]] = {"none": Peer}


def _attack(peer: type[Peer]) -> type[Peer]:
    """Enter a class by its name: `LongNames` is `long-names`."""
    name = "".join(f"-{c.lower()}" if c.isupper() else c for c in peer.__name__)[1:]
    ATTACKS[name] = peer
    return peer


# Too many.


@_attack
class JobFlood(Peer):
    """Jobs with short names, as fast as they go."""

    def unasked(self) -> Iterator[bytes]:
        for n in itertools.count():
            yield b"".join(
                self.signal("JobNew", "uos", [i, f"{ROOT}/job/{i}", f"j{i}.service"])
                for i in range(n * 64, n * 64 + 64)
            )


@_attack
class StateFlood(Peer):
    """The workload's own unit fails and comes up, over and over."""

    def unasked(self) -> Iterator[bytes]:
        for n in itertools.count():
            active, sub = ("failed", "failed") if n % 2 == 0 else ("active", "running")
            self.active = active
            yield self.changed({"ActiveState": Raw("s", active), "SubState": Raw("s", sub)})


@_attack
class PropertyFlood(Peer):
    """Changes of the unit with properties that no unit has, each with a name of its own."""

    def unasked(self) -> Iterator[bytes]:
        for n in itertools.count():
            more = {f"P{n}x{i}": Raw("s", "x" * 200) for i in range(100)}
            yield self.changed(more, interface="org.freedesktop.systemd1.Service")


@_attack
class OwnerFlood(Peer):
    """Names on the bus change hands, each of them another one."""

    def unasked(self) -> Iterator[bytes]:
        for n in itertools.count():
            name = f"a{n}.{'b' * 200}"
            yield self.signal(
                "NameOwnerChanged", "sss", [name, "", f":1.{n}"], path=f"/{DRIVER.replace('.', '/')}",
                interface=DRIVER, sender=DRIVER,
            )  # fmt: skip


@_attack
class Reowner(Peer):
    """systemd's name changes hands all the time: everything would be read again each time."""

    def unasked(self) -> Iterator[bytes]:
        for _ in itertools.count():
            yield self.signal(
                "NameOwnerChanged", "sss", ["org.freedesktop.systemd1", OWNER, OWNER],
                path=f"/{DRIVER.replace('.', '/')}", interface=DRIVER, sender=DRIVER,
            )  # fmt: skip


@_attack
class Reloads(Peer):
    """It reloads all the time: everything would be read again each time."""

    def unasked(self) -> Iterator[bytes]:
        for n in itertools.count():
            yield self.signal("Reloading", "b", [n % 2])


@_attack
class ReplyFlood(Peer):
    """Replies to calls that nobody made."""

    def unasked(self) -> Iterator[bytes]:
        for n in itertools.count(100_000):
            yield self.reply(Call(n, "", "", b""), "s", ["x" * 1000])


@_attack
class CallFlood(Peer):
    """Calls of the daemon's, the answers to which are never read."""

    def unasked(self) -> Iterator[bytes]:
        self.reads = False
        fields = {
            PATH: "/", INTERFACE: "org.freedesktop.DBus.Peer", MEMBER: "Ping", SENDER: OWNER, DESTINATION: OURS,
        }  # fmt: skip
        for n in itertools.count(1):
            yield message(CALL, n, fields)


# Too large.


@_attack
class LongNames(Peer):
    """Units with names of megabytes."""

    def unasked(self) -> Iterator[bytes]:
        for n in itertools.count():
            yield self.signal("JobNew", "uos", [n, f"{ROOT}/job/{n}", f"{n}{'x' * self.size}.service"])
            yield self.signal("UnitNew", "so", [f"{n}{'x' * self.size}.service", f"{ROOT}/unit/x"])


@_attack
class HugeMessage(Peer):
    """One message of a hundred megabytes, of which the beginning comes."""

    def unasked(self) -> Iterator[bytes]:
        head = self.signal("JobNew", "uos", [1, "/x", "x"])
        yield head[:4] + struct.pack("<I", 100_000_000) + head[8:]
        while True:
            yield bytes(65536)


@_attack
class EndlessHeader(Peer):
    """A header with fields that do not end."""

    def unasked(self) -> Iterator[bytes]:
        fields = {PATH: "/", INTERFACE: "a.b", MEMBER: "C", SENDER: OWNER}
        yield message(SIGNAL, 7, fields, extra=bytes(self.size))


@_attack
class HugeValues(Peer):
    """Paths and texts of hundreds of kilobytes in what a unit is said to be."""

    def properties(self, interface: str) -> dict[str, Raw]:
        long = "x" * min(self.size, 120_000)
        mine = {"StatusText": Raw("s", long)} if interface != UNIT else {"FragmentPath": Raw("s", f"/{long}")}
        return super().properties(interface) | mine


@_attack
class ErrorText(Peer):
    """Each call is refused, with a text of megabytes that clears the screen."""

    def answer(self, call: Call) -> Iterator[bytes]:
        if call.member != "Subscribe":
            yield from super().answer(call)
            return
        yield self.error(call, f"{DRIVER}.Error.InvalidArgs", "\x1b[2J" + "x" * self.size)


@_attack
class HelloError(Peer):
    """It does not even say Hello."""

    def answer(self, call: Call) -> Iterator[bytes]:
        if call.member == "Hello":
            yield self.error(call, f"{DRIVER}.Error.{'X' * 200}", "\x1b[2J" + "x" * self.size)


@_attack
class EndlessWords(Peer):
    """It does not end its first line."""

    def greet(self) -> None:
        while True:
            self.sock.sendall(b"OK " * 20_000)


# Not what was asked for.


@_attack
class NoRows(Peer):
    """Replies without a body."""

    def answer(self, call: Call) -> Iterator[bytes]:
        if call.member in ("ListUnits", "ListUnitsByPatterns", "LoadUnit"):
            yield self.reply(call, "")
            return
        yield from super().answer(call)


@_attack
class NoBody(Peer):
    """Replies that say that they have a body, and have none."""

    def answer(self, call: Call) -> Iterator[bytes]:
        if call.member in ("ListUnits", "ListUnitsByPatterns", "LoadUnit"):
            yield self.reply(call, "a(ssssssouso)" if "List" in call.member else "o", body=b"")
            return
        yield from super().answer(call)


@_attack
class WrongSignature(Peer):
    """Replies with values of other types."""

    def answer(self, call: Call) -> Iterator[bytes]:
        if call.member in ("ListUnits", "ListUnitsByPatterns", "LoadUnit", "GetAll"):
            yield self.reply(call, "u", [7])
            return
        yield from super().answer(call)


@_attack
class NoPathUnit(Peer):
    """Honest, but for what watches the folders of its user: that is down, and there is no list of it."""

    def answer(self, call: Call) -> Iterator[bytes]:
        if call.member == "GetAll" and call.path.endswith("_2epath"):
            down = {"ActiveState": Raw("s", "inactive"), "SubState": Raw("s", "dead")}
            yield self.reply(call, "a{sv}", [self.properties(call.text()) | down])
            return
        if call.member == "ListUnitsByPatterns":
            yield self.reply(call, "")
            return
        yield from super().answer(call)


@_attack
class WrongTypes(Peer):
    """Properties of a unit with values of other types."""

    def properties(self, interface: str) -> dict[str, Raw]:
        wrong = {
            "Job": Raw("s", "x"),
            "SubState": Raw("as", ["x"] * 9),
            "InvocationID": Raw("u", 4_000_000_000),
        }
        return super().properties(interface) | wrong


@_attack
class DeepVariants(Peer):
    """Variants in variants, thousands of them."""

    def properties(self, interface: str) -> dict[str, Raw]:
        value = Raw("y", 1)
        for _ in range(400):
            value = Raw("v", value)
        return super().properties(interface) | {"Deep": value}


@_attack
class ManyVariants(Peer):
    """A property that is an array of tens of thousands of variants."""

    def properties(self, interface: str) -> dict[str, Raw]:
        return super().properties(interface) | {"Many": Raw("av", [Raw("y", 1)] * 50_000)}


@_attack
class ManySignatures(Peer):
    """Properties of types that no two have in common, each as long as a signature can be."""

    def properties(self, interface: str) -> dict[str, Raw]:
        more = {}
        for n in range(900):
            parts = f"{n:08b}".replace("0", "y").replace("1", "n") + "y" * 50
            more[f"P{n}"] = Raw(f"({parts})", [0] * len(parts))
        return super().properties(interface) | more


@_attack
class OtherPlaces(Peer):
    """A unit is found at another place each time."""

    def answer(self, call: Call) -> Iterator[bytes]:
        if call.member == "LoadUnit":
            self.serial += 1
            yield self.reply(call, "o", [f"{ROOT}/unit/{'a' * 200}{self.serial}_2eservice"])
            return
        yield from super().answer(call)

    def unasked(self) -> Iterator[bytes]:
        for n in itertools.count():
            yield self.signal("Reloading", "b", [n % 2])


@_attack
class Descriptors(Peer):
    """Messages with open files."""

    def unasked(self) -> Iterator[bytes]:
        for _ in itertools.count():
            data = self.signal("JobNew", "uos", [1, f"{ROOT}/job/1", "j.service"])
            files = array.array("i", [0] * 8)
            self.sock.settimeout(None)
            self.sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
            self.sock.settimeout(0)
            yield b""


@_attack
class Noise(Peer):
    """Bytes that are nothing."""

    def unasked(self) -> Iterator[bytes]:
        yield os.urandom(65536)


@_attack
class OddReply(Peer):
    """Errors that are none, twice, with the header's fields of other types."""

    def answer(self, call: Call) -> Iterator[bytes]:
        if call.member != "Subscribe":
            yield from super().answer(call)
            return
        fields = {NAME: "\x1b[2J\n", REPLY_TO: call.serial, SENDER: OWNER, SIGNATURE: "a{sv}"}
        for serial in (1, 2):
            yield message(ERROR, serial, fields, pack("a{sv}", [{"a": Raw("s", "b")}]))


# Nothing.


@_attack
class Silence(Peer):
    """It takes connections, and never says a word."""

    def greet(self) -> None:
        while self.sock.recv(1000):
            pass
        raise EOFError


@_attack
class SilenceAfterHello(Peer):
    """It says Hello, and nothing more."""

    def answer(self, call: Call) -> Iterator[bytes]:
        if call.member == "Hello":
            yield from super().answer(call)


@_attack
class HalfMessage(Peer):
    """It says Hello, and then half of something."""

    def answer(self, call: Call) -> Iterator[bytes]:
        yield from super().answer(call)
        if call.member == "Hello":
            yield self.signal("JobNew", "uos", [1, f"{ROOT}/job/1", "x.service"])[:40]
            self.reads = False


@_attack
class Hangup(Peer):
    """It takes connections, says Hello, and hangs up, over and over."""

    def ready(self) -> bool:
        raise EOFError


@_attack
class JobsWithoutEnd(Peer):
    """The unit is down, and a job to start it never ends."""

    active: str = "failed"

    def job(self, call: Call) -> Iterator[bytes]:
        self.serial += 1
        yield self.reply(call, "o", [f"{ROOT}/job/{self.serial}"])


@_attack
class JobsOfOthers(Peer):
    """The unit is down, and the call to start it is never answered: only the ends of other jobs are told."""

    active: str = "failed"

    def job(self, _call: Call) -> Iterator[bytes]:
        for n in range(10_000, 15_000):
            yield self.signal("JobRemoved", "uoss", [n, f"{ROOT}/job/{n}", "other.service", "done"])
