"""D-Bus messages as bytes, valid or not: a library would keep an adversary from sending invalid ones.

Little-endian (D-Bus specification, "Marshaling"). Imports nothing but the standard library.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
PATH, INTERFACE, MEMBER, NAME, REPLY_TO, DESTINATION, SENDER, SIGNATURE, DESCRIPTORS = range(1, 10)
_TYPES = {PATH: "o", REPLY_TO: "u", SIGNATURE: "g", DESCRIPTORS: "u"}
_NUMBERS = {
    "y": "B",
    "b": "I",
    "n": "h",
    "q": "H",
    "i": "i",
    "u": "I",
    "h": "I",
    "x": "q",
    "t": "Q",
    "d": "d",
}
_ALIGN = {"y": 1, "g": 1, "v": 1, "n": 2, "q": 2, "x": 8, "t": 8, "d": 8, "(": 8, "{": 8}


class Raw(NamedTuple):
    """A variant: a value with its type."""

    signature: str
    value: Any


def _complete(signature: str, at: int) -> int:
    """Return where the complete type that begins at `at` ends."""
    while signature[at] == "a":
        at += 1
    if signature[at] not in "({":
        return at + 1
    depth = 0
    while True:
        depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(signature[at], 0)
        at += 1
        if not depth:
            return at


def pack(signature: str, values: Any) -> bytes:
    """Return the values of a signature, from a place that is aligned to eight."""
    out = bytearray()
    at = 0
    for value in values:
        end = _complete(signature, at)
        _put(out, signature[at:end], value)
        at = end
    return bytes(out)


def _pad(out: bytearray, size: int) -> None:
    out += bytes(-len(out) % size)


def _put(out: bytearray, kind: str, value: Any) -> None:
    code = kind[0]
    _pad(out, _ALIGN.get(code, 4))
    if code in _NUMBERS:
        out += struct.pack("<" + _NUMBERS[code], value)
    elif code in "so":
        data = value if isinstance(value, bytes) else value.encode()
        out += struct.pack("<I", len(data)) + data + b"\0"
    elif code == "g":
        out += bytes([len(value)]) + value.encode() + b"\0"
    elif code == "v":
        out += bytes([len(value.signature)]) + value.signature.encode() + b"\0"
        _put(out, value.signature, value.value)
    elif code == "a":
        inner = kind[1:]
        if inner == "y":
            out += struct.pack("<I", len(value)) + bytes(value)
            return
        out += bytes(4)
        lengths_at = len(out) - 4
        _pad(out, _ALIGN.get(inner[0], 4))
        begin = len(out)
        for each in value.items() if isinstance(value, dict) else value:
            _put(out, inner, each)
        out[lengths_at : lengths_at + 4] = struct.pack("<I", len(out) - begin)
    else:
        at = 1
        for each in value:
            end = _complete(kind, at)
            _put(out, kind[at:end], each)
            at = end


def message(kind: int, serial: int, fields: dict[int, Any], body: bytes = b"", extra: bytes = b"") -> bytes:
    """Return a message. `extra`: bytes that stand at the end of the header's fields."""
    known = bytearray()
    for code, value in fields.items():
        _pad(known, 8)
        known += bytes([code])
        _put(known, "v", Raw(_TYPES.get(code, "s"), value))
    known += extra
    head = struct.pack("<BBBBIII", 108, kind, 0, 1, len(body), serial, len(known))
    return head + bytes(known) + bytes(-len(known) % 8) + body


class Call(NamedTuple):
    """A method call by the daemon."""

    serial: int
    path: str
    member: str
    body: bytes

    def text(self) -> str:
        """Return its first argument, a string."""
        (length,) = struct.unpack_from("<I", self.body)
        return self.body[4 : 4 + length].decode()


def take(buffer: bytearray) -> Call | None:
    """Take the first whole message off what the daemon sent."""
    if len(buffer) < 16:
        return None
    body, serial, known = struct.unpack_from("<III", buffer, 4)
    head = 16 + known + -known % 8
    if len(buffer) < head + body:
        return None
    fields: dict[int, str] = {}
    at = 16
    while at < 16 + known:
        at += -at % 8
        code, kind = buffer[at], chr(buffer[at + 2])
        at += 4
        if kind in "so":
            (length,) = struct.unpack_from("<I", buffer, at)
            fields[code] = buffer[at + 4 : at + 4 + length].decode()
            at += 5 + length
        else:
            at += 4 if kind == "u" else buffer[at] + 2
    call = Call(serial, fields.get(PATH, ""), fields.get(MEMBER, ""), bytes(buffer[head : head + body]))
    del buffer[: head + body]
    return call
