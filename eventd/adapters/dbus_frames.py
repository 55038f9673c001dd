"""D-Bus messages that are too large are left out of a stream of bytes, before anything of them is parsed.

Everybody may send the daemon a signal, on the system's bus as on a workload's own, of up to 128 MiB; the library would
take each byte in and make values of them (60 MB of numbers became 700 MB of memory for good). So the lengths in the
head of each message are read here (D-Bus specification, "Message format"), and the bytes of one that is over the limit
are dropped as they come. The connection goes on: who could end it with one message could keep the daemon from it.
Owns no socket; `eventd.adapters.peer_socket` feeds it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

MOST = 4 * 1024 * 1024
"""Bytes of one message. The list of a manager's units has about 400 for each of them."""
_FIXED = 16
"""Bytes up to and with the length of the header's fields."""
_LENGTHS = {ord("l"): struct.Struct("<I4xI"), ord("B"): struct.Struct(">I4xI")}


@dataclass(slots=True)
class Frames:
    """The messages of one connection, from the first byte after its authentication."""

    most: int = MOST
    dropped: int = 0
    """Messages that were."""
    _head: bytearray = field(default_factory=bytearray)
    """The beginning of a message of which less than the fixed part is there."""
    _left: int = 0
    """Bytes of the present message that are still to come."""
    _dropping: bool = False

    def feed(self, data: bytes) -> bytes:
        """Return what of the next bytes may be parsed; may be nothing, and a few bytes of before."""
        if len(data) <= self._left:
            self._left -= len(data)
            return b"" if self._dropping else data
        kept = bytearray()
        view = memoryview(bytes(self._head) + data if self._head else data)
        self._head.clear()
        at = 0
        while at < len(view):
            if not self._left:
                if len(view) - at < _FIXED:
                    self._head += view[at:]
                    break
                self._begin(view, at)
            taken = min(self._left, len(view) - at)
            if not self._dropping:
                kept += view[at : at + taken]
            at += taken
            self._left -= taken
        return bytes(kept)

    def _begin(self, view: memoryview, at: int) -> None:
        lengths = _LENGTHS.get(view[at])
        # Neither byte order: no message of D-Bus. The library says so, and ends the connection.
        body, fields = lengths.unpack_from(view, at + 4) if lengths is not None else (0, 0)
        self._left = _FIXED + fields + -fields % 8 + body
        self._dropping = self._left > self.most
        self.dropped += self._dropping
