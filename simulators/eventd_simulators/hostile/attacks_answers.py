"""Attacks of a hostile bus that answer something other than what was asked for, or nothing."""

from __future__ import annotations

import array
import itertools
import os
import socket
from collections.abc import Iterator

from eventd_simulators.hostile.bus import OWNER, ROOT, Peer
from eventd_simulators.hostile.dbus_bytes import (
    ERROR,
    NAME,
    REPLY_TO,
    SENDER,
    SIGNATURE,
    Call,
    Raw,
    message,
    pack,
)

# Not what was asked for.


class NoRows(Peer):
    """Replies without a body."""

    def answer(self, call: Call) -> Iterator[bytes]:
        if call.member in ("ListUnits", "ListUnitsByPatterns", "LoadUnit"):
            yield self.reply(call, "")
            return
        yield from super().answer(call)


class NoBody(Peer):
    """Replies that announce a body, and have none."""

    def answer(self, call: Call) -> Iterator[bytes]:
        if call.member in ("ListUnits", "ListUnitsByPatterns", "LoadUnit"):
            yield self.reply(call, "a(ssssssouso)" if "List" in call.member else "o", body=b"")
            return
        yield from super().answer(call)


class WrongSignature(Peer):
    """Replies with values of other types."""

    def answer(self, call: Call) -> Iterator[bytes]:
        if call.member in ("ListUnits", "ListUnitsByPatterns", "LoadUnit", "GetAll"):
            yield self.reply(call, "u", [7])
            return
        yield from super().answer(call)


class NoPathUnit(Peer):
    """Honest, except for the path unit that watches its user's folders: it is down, and cannot be listed."""

    def answer(self, call: Call) -> Iterator[bytes]:
        if call.member == "GetAll" and call.path.endswith("_2epath"):
            down = {"ActiveState": Raw("s", "inactive"), "SubState": Raw("s", "dead")}
            yield self.reply(call, "a{sv}", [self.properties(call.text()) | down])
            return
        if call.member == "ListUnitsByPatterns":
            yield self.reply(call, "")
            return
        yield from super().answer(call)


class WrongTypes(Peer):
    """Properties of a unit with values of other types."""

    def properties(self, interface: str) -> dict[str, Raw]:
        wrong = {
            "Job": Raw("s", "x"),
            "SubState": Raw("as", ["x"] * 9),
            "InvocationID": Raw("u", 4_000_000_000),
        }
        return super().properties(interface) | wrong


class DeepVariants(Peer):
    """Variants in variants, thousands of them."""

    def properties(self, interface: str) -> dict[str, Raw]:
        value = Raw("y", 1)
        for _ in range(400):
            value = Raw("v", value)
        return super().properties(interface) | {"Deep": value}


class ManyVariants(Peer):
    """A property that is an array of tens of thousands of variants."""

    def properties(self, interface: str) -> dict[str, Raw]:
        return super().properties(interface) | {"Many": Raw("av", [Raw("y", 1)] * 50_000)}


class ManySignatures(Peer):
    """Properties of different types, each with the longest possible signature."""

    def properties(self, interface: str) -> dict[str, Raw]:
        more = {}
        for n in range(900):
            parts = f"{n:08b}".replace("0", "y").replace("1", "n") + "y" * 50
            more[f"P{n}"] = Raw(f"({parts})", [0] * len(parts))
        return super().properties(interface) | more


class OtherPlaces(Peer):
    """A unit is found at another object path each time."""

    def answer(self, call: Call) -> Iterator[bytes]:
        if call.member == "LoadUnit":
            self.serial += 1
            yield self.reply(call, "o", [f"{ROOT}/unit/{'a' * 200}{self.serial}_2eservice"])
            return
        yield from super().answer(call)

    def unasked(self) -> Iterator[bytes]:
        for n in itertools.count():
            yield self.signal("Reloading", "b", [n % 2])


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


class Noise(Peer):
    """Bytes that are not D-Bus."""

    def unasked(self) -> Iterator[bytes]:
        yield os.urandom(65536)


class OddReply(Peer):
    """Malformed errors, sent twice, with header fields of wrong types."""

    def answer(self, call: Call) -> Iterator[bytes]:
        if call.member != "Subscribe":
            yield from super().answer(call)
            return
        fields = {NAME: "\x1b[2J\n", REPLY_TO: call.serial, SENDER: OWNER, SIGNATURE: "a{sv}"}
        for serial in (1, 2):
            yield message(ERROR, serial, fields, pack("a{sv}", [{"a": Raw("s", "b")}]))


# Nothing.


class Silence(Peer):
    """It accepts connections, and never sends a byte."""

    def greet(self) -> None:
        while self.sock.recv(1000):
            pass
        raise EOFError


class SilenceAfterHello(Peer):
    """It answers Hello, and nothing more."""

    def answer(self, call: Call) -> Iterator[bytes]:
        if call.member == "Hello":
            yield from super().answer(call)


class HalfMessage(Peer):
    """It answers Hello, and then sends half a message."""

    def answer(self, call: Call) -> Iterator[bytes]:
        yield from super().answer(call)
        if call.member == "Hello":
            yield self.signal("JobNew", "uos", [1, f"{ROOT}/job/1", "x.service"])[:40]
            self.reads = False


class Hangup(Peer):
    """It accepts connections, answers Hello, and hangs up, over and over."""

    def ready(self) -> bool:
        raise EOFError


class JobsWithoutEnd(Peer):
    """The unit is down, and a job to start it never ends."""

    active: str = "failed"

    def job(self, call: Call) -> Iterator[bytes]:
        self.serial += 1
        yield self.reply(call, "o", [f"{ROOT}/job/{self.serial}"])


class JobsOfOthers(Peer):
    """The unit is down, and the call to start it is never answered: only the ends of other jobs are announced."""

    active: str = "failed"

    def job(self, _call: Call) -> Iterator[bytes]:
        for n in range(10_000, 15_000):
            yield self.signal("JobRemoved", "uoss", [n, f"{ROOT}/job/{n}", "other.service", "done"])


ANSWERS = (
    NoRows,
    NoBody,
    WrongSignature,
    NoPathUnit,
    WrongTypes,
    DeepVariants,
    ManyVariants,
    ManySignatures,
    OtherPlaces,
    Descriptors,
    Noise,
    OddReply,
    Silence,
    SilenceAfterHello,
    HalfMessage,
    Hangup,
    JobsWithoutEnd,
    JobsOfOthers,
)
