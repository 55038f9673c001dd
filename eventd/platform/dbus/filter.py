"""Filters the bytes of a bus before the library sees them: only whole, expected messages pass.

Anybody may send messages to the daemon on the system bus, and a workload may replace its own bus by any program. The
library would read every message, up to 128 MiB, and build its values. So `MessageFilter` reads the headers first
(`wire`). A message that is too large, unexpected, or from the wrong sender is dropped, and its bytes are not kept. One
that passes has the expected signature.

There are two sets of `Limits`. On the system bus a message that breaks a rule is dropped and the connection goes on:
otherwise anybody could cut the daemon off with one message. A user's bus is a single peer, as everything on it has the
user's uid. There, a message that systemd would never send ends the connection (`RefusedError`), and unexpected ones
count against a budget. Owns no socket; `eventd.platform.dbus.peer_socket` feeds it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from eventd.kernel.model.budget import Budget
from eventd.platform.dbus.wire import (
    FIXED,
    Checker,
    Header,
    Kind,
    Lengths,
    MalformedError,
    read_header,
    read_lengths,
)

DRIVER = "org.freedesktop.DBus"
PIECE = 16 * 1024
"""Bytes read from one connection before others get a turn: a few hundred signals, a few milliseconds."""
_MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one bus may send."""

    message: int
    """Bytes of one message."""
    strict: bool
    """Whether a violation ends the connection."""
    fields: int = 4096
    """Bytes of a header's fields. systemd's longest field, the object path of a unit, takes up to 800."""
    variants: int = 4000
    """How many one message may have. A service has about 450 properties."""
    signals: tuple[float, float] | None = None
    """Unrequested messages: how many in a burst, and per second. None: unlimited."""
    bytes: tuple[float, float] = (0, 0)
    """Their bytes: in a burst, and per second."""


SYSTEM_LIMITS = Limits(message=4 * _MEGABYTE, strict=False, variants=100_000)
"""The list of a manager's units takes about 400 bytes per unit."""
USER_LIMITS = Limits(
    message=_MEGABYTE // 4,
    strict=True,
    # A reload announces every unit twice. A change of a unit is about three signals of 300 bytes.
    signals=(10_000, 200),
    bytes=(4 * _MEGABYTE, 128 * 1024),
)
"""All properties of a service take about 30 KiB, more with a long command line or environment."""


class RefusedError(ConnectionAbortedError):
    """The bus sent what a bus must not send, and the connection ends. An OSError, as libraries expect of a socket."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


Admit: TypeAlias = Callable[[Header, bytes], "str | None"]
"""Takes a header and the message; returns the signature that the message must have to pass. None drops it."""


def hello_only(header: Header, _message: bytes) -> str | None:
    """Admit the reply to Hello, which is a connection's first call."""
    return "s" if header.kind in (Kind.RETURN, Kind.ERROR) and header.reply_to == 1 else None


@dataclass(slots=True)
class MessageFilter:
    """Filters the messages of one connection, from the first byte after its authentication."""

    limits: Limits
    admit: Admit = hello_only
    now: Callable[[], float] = time.monotonic
    dropped: int = 0
    """How many messages were dropped."""
    refused: RefusedError | None = None
    """Why the connection was ended; None if it was not."""
    _partial: bytearray = field(default_factory=bytearray)
    """The beginning of an incomplete message."""
    _whole: int = 0
    """The length of that message; 0 if it is not known yet."""
    _skip: int = 0
    """How many bytes of a dropped message are still to come."""
    _checker: Checker = field(init=False)
    _signals: Budget | None = field(init=False)
    _bytes: Budget = field(init=False)

    def __post_init__(self) -> None:
        limits = self.limits
        self._checker = Checker(limits.variants)
        self._signals = Budget(*limits.signals) if limits.signals else None
        self._bytes = Budget(*limits.bytes)

    def admit_with(self, admit: Admit) -> None:
        """Pass the messages that `admit` accepts. Called once Hello has been answered."""
        self.admit = admit

    def take(self, data: bytes) -> tuple[bytes, int]:
        """Return the messages in `data` that pass, and how many of its bytes were used.

        It stops after a message of the bus itself: that may change the owner of a name, on which it depends what passes
        afterwards. Raises RefusedError.
        """
        if self.refused is not None:
            raise self.refused
        kept = bytearray()
        at = start = 0
        try:
            while at < len(data):
                start = at
                at, message, last = self._next(data, at)
                kept += message
                if last:
                    break
        except MalformedError as error:
            # It is unknown where the next message begins, so the connection ends, on any bus.
            self.refused = RefusedError("bad-message", f"it sent {error}")
        except RefusedError as error:
            self.refused = error
        if self.refused is not None:
            self._partial.clear()
            if not kept:
                raise self.refused
            # The bytes of the bad message stay unread. The socket stays readable, and the next call raises.
            return bytes(kept), start
        return bytes(kept), at

    def _next(self, data: bytes, at: int) -> tuple[int, bytes, bool]:
        """Use one message, or a part of it. Return where it ends, the message if it passes, and whether to stop."""
        if self._skip:
            used = min(self._skip, len(data) - at)
            self._skip -= used
            return at + used, b"", False
        at = self._fill(data, at, FIXED)
        if len(self._partial) < FIXED:
            return at, b"", False
        if not self._whole:
            lengths = read_lengths(self._partial)
            self._whole = lengths.whole
            if lengths.whole > self.limits.message or lengths.fields > self.limits.fields:
                self._too_large(lengths)
                return at, b"", False
        at = self._fill(data, at, self._whole)
        if len(self._partial) < self._whole:
            return at, b"", False
        message = bytes(self._partial)
        self._partial.clear()
        self._whole = 0
        header = self._check(message)
        if header is None:
            self.dropped += 1
            return at, b"", False
        return at, message, header.sender == DRIVER

    def _fill(self, data: bytes, at: int, size: int) -> int:
        missing = max(0, size - len(self._partial))
        piece = data[at : at + missing]
        self._partial += piece
        return at + len(piece)

    def _too_large(self, lengths: Lengths) -> None:
        if self.limits.strict:
            raise RefusedError(
                "message-too-large",
                f"it sent a message of {lengths.whole} bytes; the limit is {self.limits.message}",
            )
        self._skip = self._whole - len(self._partial)
        self._whole = 0
        self._partial.clear()
        self.dropped += 1

    def _check(self, message: bytes) -> Header | None:
        """Return the header of a message that passes; None if it is dropped."""
        try:
            header = read_header(message)
            if header.kind not in (Kind.RETURN, Kind.ERROR):
                self._count(len(message))
            wanted = self.admit(header, message)
            if wanted is None or header.descriptors:
                if header.kind in (Kind.RETURN, Kind.ERROR):
                    self._count(len(message))
                return None
            self._checker.check(message, read_lengths(message).head, header.signature, wanted)
        except MalformedError as error:
            if self.limits.strict:
                raise RefusedError("bad-message", f"it sent {error}") from error
            return None
        return header

    def _count(self, size: int) -> None:
        if self._signals is None:
            return
        now = self.now()
        if not self._signals.take(now) or not self._bytes.take(now, size):
            raise RefusedError(
                "signal-flood",
                f"it kept sending more than {self._signals.rate:g} signals a second",
            )
