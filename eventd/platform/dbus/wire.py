"""Parses the header of a D-Bus message and checks its body, without building any values.

The peer at the other end of a bus may send any bytes. So the header is read here before the library sees the message,
and the body is checked: every length is inside the message, variants are few, shallow and of few types, and all values
match the signature (D-Bus specification, "Message format" and "Marshalling"). Pure. Next: `eventd.platform.dbus.filter`
decides what passes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

FIXED = 16
"""Bytes up to and including the length of the header's fields."""
DEEPEST = 8
"""How deep containers may be nested. No property of systemd or logind has more than four levels."""
LONGEST_SIGNATURE = 64
"""Characters of a variant's signature. systemd's longest has about twenty."""
_LENGTHS = {ord("l"): struct.Struct("<I4xI"), ord("B"): struct.Struct(">I4xI")}
_Unpack: TypeAlias = Callable[[Any, int], tuple[int]]
_U32: dict[int, _Unpack] = {
    ord("l"): struct.Struct("<I").unpack_from,
    ord("B"): struct.Struct(">I").unpack_from,
}
_SIZES = {"y": 1, "n": 2, "q": 2, "b": 4, "i": 4, "u": 4, "h": 4, "x": 8, "t": 8, "d": 8}
_KNOWN_FIELDS = 10


class MalformedError(Exception):
    """The bytes are not a message that the daemon accepts."""


class Kind(IntEnum):
    """The types of messages."""

    CALL = 1
    RETURN = 2
    ERROR = 3
    SIGNAL = 4


class Header(NamedTuple):
    """The header of a message. A field that it does not have is empty or 0."""

    kind: Kind
    path: str
    interface: str
    member: str
    error: str
    reply_to: int
    sender: str
    signature: str
    descriptors: int


class Lengths(NamedTuple):
    """The lengths of a message, in bytes."""

    fields: int
    body: int

    @property
    def head(self) -> int:
        """Bytes before the body."""
        return FIXED + self.fields + -self.fields % 8

    @property
    def whole(self) -> int:
        """Bytes of the whole message."""
        return self.head + self.body


def read_lengths(data: bytes | bytearray | memoryview) -> Lengths:
    """Return the lengths from the first 16 bytes."""
    lengths = _LENGTHS.get(data[0])
    if lengths is None:
        raise MalformedError("an unknown byte order")
    body, fields = lengths.unpack_from(data, 4)
    return Lengths(fields, body)


def read_header(data: bytes) -> Header:
    """Return the header at the beginning of `data`, which holds all of it. Raises MalformedError."""
    try:
        return _read_header(data)
    except (IndexError, struct.error, UnicodeDecodeError, ValueError) as error:
        raise MalformedError("an invalid header") from error


def _read_header(data: bytes) -> Header:
    unpack = _U32[data[0]]
    end = FIXED + read_lengths(data).fields
    found: list[str | int | None] = [None] * _KNOWN_FIELDS
    at = FIXED
    while at < end:
        at += -at % 8
        code, one, kind = data[at], data[at + 1], data[at + 2]
        at += 4
        value: str | int
        if one != 1 or code == 0:
            raise MalformedError("an invalid header field")
        if kind in b"so":
            (length,) = unpack(data, at)
            at += 4
            value = str(data[at : at + length], "utf-8")
            at += length + 1
        elif kind in b"u":
            (value,) = unpack(data, at)
            at += 4
        elif kind in b"g":
            length = data[at]
            value = str(data[at + 1 : at + 1 + length], "ascii")
            at += length + 2
        else:
            raise MalformedError("a header field of an unknown type")
        if at > end:
            raise MalformedError("a header that exceeds its length")
        if code < _KNOWN_FIELDS:  # others have to be ignored (D-Bus specification, "Header Fields")
            if found[code] is not None:
                raise MalformedError("a duplicate header field")
            found[code] = value
    texts = [found[code] or "" for code in (1, 2, 3, 4, 7, 8)]
    numbers = [found[code] or 0 for code in (5, 9)]
    if not all(isinstance(each, str) for each in texts) or not all(isinstance(each, int) for each in numbers):
        raise MalformedError("a header field of the wrong type")
    path, interface, member, error, sender, signature = texts
    return Header(Kind(data[1]), path, interface, member, error, numbers[0], sender, signature, numbers[1])  # type: ignore[arg-type]


def first_text(data: bytes) -> str:
    """Return the first value of a body, which is a string by its signature. Raises MalformedError."""
    try:
        at = read_lengths(data).head
        (length,) = _U32[data[0]](data, at)
        return str(data[at + 4 : at + 4 + length], "utf-8")
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise MalformedError("an invalid string") from error


@dataclass(frozen=True, slots=True)
class _Type:
    """One complete type of a signature."""

    letter: str
    align: int
    size: int = 0
    """Bytes of a type with a fixed length, else 0."""
    varies: bool = False
    """Whether it contains a variant."""
    inner: tuple[_Type, ...] = ()


@lru_cache(maxsize=256)
def _types(signature: str) -> tuple[_Type, ...]:
    found = []
    at = 0
    while at < len(signature):
        each, at = _type(signature, at, 0)
        found.append(each)
    return tuple(found)


def _type(signature: str, at: int, depth: int) -> tuple[_Type, int]:
    if depth > DEEPEST or at >= len(signature):
        raise MalformedError("a signature that is invalid or nested too deeply")
    letter = signature[at]
    if letter in _SIZES:
        return _Type(letter, _SIZES[letter], _SIZES[letter]), at + 1
    if letter in "sogv":
        return _Type(letter, 4 if letter in "so" else 1, varies=letter == "v"), at + 1
    if letter == "a":
        inner, end = _type(signature, at + 1, depth + 1)
        return _Type("a", 4, varies=inner.varies, inner=(inner,)), end
    if letter not in "({":
        raise MalformedError("an invalid signature")
    close = ")" if letter == "(" else "}"
    members = []
    at += 1
    while signature[at : at + 1] != close:
        inner, at = _type(signature, at, depth + 1)
        members.append(inner)
    if not members:
        raise MalformedError("an invalid signature")
    return _Type(letter, 8, varies=any(each.varies for each in members), inner=tuple(members)), at + 1


@dataclass(slots=True)
class Checker:
    """Checks the message bodies of one connection. `variants`: how many one message may have."""

    variants: int
    signatures: int = 256
    """How many different signatures of variants the connection may use: the library caches those that it parsed."""
    _seen: set[bytes] = field(default_factory=set)
    _left: int = 0

    def check(self, data: bytes, body: int, signature: str, wanted: str) -> None:
        """Raise MalformedError unless the bytes from `body` on have the wanted signature and are within the limits."""
        if signature != wanted:
            raise MalformedError(f"values of the types {signature[:32]!a} instead of {wanted!r}")
        self._left = self.variants
        view = data[body:]
        try:
            at = 0
            for each in _types(signature):
                at = self._end(each, view, at, _U32[data[0]], 0)
        except (IndexError, struct.error) as error:
            raise MalformedError("a truncated body") from error
        if at != len(view):
            raise MalformedError("a body that does not match its signature")

    def _end(self, kind: _Type, data: bytes, at: int, unpack: _Unpack, depth: int) -> int:
        """Return where the value that begins at `at` ends. An array without variants is skipped as a whole."""
        at += -at % kind.align
        if kind.size:
            at += kind.size
        elif kind.letter == "a":
            (length,) = unpack(data, at)
            at += 4
            (inner,) = kind.inner
            at += -at % inner.align
            end = at + length
            if inner.size and length % inner.size:
                raise MalformedError("an array that ends inside an element")
            if inner.varies and end <= len(data):
                while at < end:
                    at = self._end(inner, data, at, unpack, depth + 1)
                if at != end:
                    raise MalformedError("an array that exceeds its length")
            at = end
        elif kind.letter == "v":
            at = self._variant(data, at, unpack, depth)
        elif kind.letter == "g":
            at += data[at] + 2
        elif kind.inner:
            for inner in kind.inner:
                at = self._end(inner, data, at, unpack, depth + 1)
        else:
            at += unpack(data, at)[0] + 5
        if at > len(data):
            raise MalformedError("a value that exceeds its message")
        return at

    def _variant(self, data: bytes, at: int, unpack: _Unpack, depth: int) -> int:
        self._left -= 1
        length = data[at]
        if self._left < 0 or depth > DEEPEST or length > LONGEST_SIGNATURE:
            raise MalformedError("more, deeper or more diverse variants than any systemd manager sends")
        signature = data[at + 1 : at + 1 + length]
        if signature not in self._seen:
            if len(self._seen) >= self.signatures:
                raise MalformedError("more types of variants than any systemd manager sends")
            self._seen.add(signature)
        try:
            (kind,) = _types(signature.decode("ascii"))
        except (ValueError, UnicodeDecodeError) as error:
            raise MalformedError("a variant without a type") from error
        return self._end(kind, data, at + 2 + length, unpack, depth + 1)
