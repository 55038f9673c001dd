"""Messages on a bus that are too large are dropped, and those around them are not."""

import random
import struct

import pytest

from eventd.adapters.dbus_frames import Frames

SMALL = 64


def message(body: int, order: str = "l", fields: int = 3) -> bytes:
    """Return a message's frame with a body of so many bytes."""
    lengths = struct.pack("<I4xI" if order == "l" else ">I4xI", body, fields)
    return order.encode() + b"\4\0\1" + lengths + b"f" * (fields + -fields % 8) + b"b" * body


@pytest.mark.parametrize("size", [1, 7, 15, 16, 17, 200, 10_000])
def test_what_is_too_large_is_left_out_however_the_bytes_come(size: int):
    """Whole messages pass unchanged; of one that is too large nothing does; whatever is cut where."""
    few = [message(b, o) for b in (0, 5, 40) for o in "lB"]
    large = [message(b, o) for b in (41, 5000) for o in "lB"]
    order = random.Random(7).sample(few + large, len(few) + len(large))
    stream = b"".join(order)
    frames = Frames(most=SMALL)
    got = b"".join(frames.feed(stream[at : at + size]) for at in range(0, len(stream), size))
    assert got == b"".join(m for m in order if m in few)
    assert frames.dropped == len(large)


def test_nothing_of_what_is_dropped_is_kept():
    """The memory that a message of 100 MiB takes is that of the piece which is at hand."""
    frames = Frames()
    frames.feed(message(0)[:16].replace(struct.pack("<I", 0), struct.pack("<I", 100 << 20), 1))
    for _ in range(100):
        assert frames.feed(bytes(1 << 20)) == b""
    assert frames.feed(b"f" * 8) == b""
    assert frames.feed(message(8)) == message(8)


def test_what_is_no_message_is_the_librarys_to_refuse():
    """A wrong first byte passes, so that the connection ends with an error, not in silence."""
    assert Frames().feed(b"x" * 32) == b"x" * 32
