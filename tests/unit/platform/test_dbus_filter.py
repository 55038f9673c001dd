"""Scope: `eventd.platform.dbus.filter` and `dbus_wire`: which bytes of a bus get any further, however they come."""

from __future__ import annotations

import contextlib
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventd.platform.dbus.filter import SYSTEM_LIMITS, USER_LIMITS, Limits, MessageFilter, RefusedError
from eventd.platform.dbus.wire import Checker, Header, MalformedError, read_header
from eventd_simulators.hostile.dbus_bytes import (
    DESCRIPTORS,
    INTERFACE,
    MEMBER,
    PATH,
    SENDER,
    SIGNAL,
    SIGNATURE,
    Raw,
    message,
    pack,
)

SMALL = Limits(message=400, strict=False, fields=200)


def signal(body: str = "x", sender: str = ":1.1", member: str = "Said", **more: int) -> bytes:
    fields = {PATH: "/a", INTERFACE: "a.b", MEMBER: member, SENDER: sender, SIGNATURE: "s"}
    if "descriptors" in more:
        fields[DESCRIPTORS] = more["descriptors"]
    return message(SIGNAL, 7, fields, pack("s", [body]))


def said(header: Header, _message: bytes) -> str | None:
    """Admit the signal Said of :1.1."""
    return "s" if (header.member, header.sender) == ("Said", ":1.1") else None


def feed(subject: MessageFilter, stream: bytes, size: int) -> bytes:
    """Feed a stream in pieces, as a socket does that keeps what was not used."""
    got = bytearray()
    at = 0
    while at < len(stream):
        kept, used = subject.take(stream[at : at + size])
        got += kept
        at += used
    return bytes(got)


def message_filter(limits: Limits = SMALL) -> MessageFilter:
    """Return a filter that is past its Hello."""
    made = MessageFilter(limits)
    made.admit_with(said)
    return made


@pytest.mark.parametrize("size", [1, 7, 15, 16, 17, 200, 10_000])
def test_what_nobody_waits_for_is_left_out_however_the_bytes_come(size: int):
    """Whole messages pass unchanged; nothing of one that is too large, of another's, or that has open files."""
    good = [signal(f"{n}") for n in range(5)]
    bad = [
        signal("y" * 500),
        signal("y" * 90_000),
        signal(sender=":1.66"),
        signal(member="Sung"),
        signal(descriptors=1),
    ]
    order = random.Random(7).sample(good + bad, len(good + bad))
    made = message_filter()
    assert feed(made, b"".join(order), size) == b"".join(each for each in order if each in good)
    assert made.dropped == len(bad)


def test_nothing_of_what_is_dropped_is_kept():
    """The memory that a message of 100 MiB takes is that of the piece which is at hand."""
    made = message_filter()
    head = signal()
    made.take(head[:4] + struct.pack("<I", 100 << 20) + head[8:])
    for _ in range(50):
        assert made.take(bytes(1 << 20)) == (b"", 1 << 20)
    assert len(made._partial) == 0


def test_before_hello_is_answered_nothing_else_passes():
    """Whoever sends at once is not listened to."""
    made = MessageFilter(SYSTEM_LIMITS)
    assert feed(made, signal(), 100) == b""


def test_nothing_follows_a_message_of_the_bus_in_one_piece():
    """It may say who owns a name: what comes after it is judged when that is known."""
    made = MessageFilter(SMALL)
    made.admit_with(lambda header, _: "s" if header.member == "Said" else None)
    first, second = signal(sender="org.freedesktop.DBus"), signal()
    assert made.take(first + second) == (first, len(first))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (signal("y" * 300_000)[:100], "message-too-large"),
        (message(SIGNAL, 1, {PATH: "/a"}, extra=bytes(5000))[:100], "message-too-large"),
        (b"x" * 64, "bad-message"),
        (
            message(SIGNAL, 1, {PATH: "/a", MEMBER: "Said", SENDER: ":1.1", SIGNATURE: "u"}, bytes(4)),
            "bad-message",
        ),
        (message(SIGNAL, 1, {PATH: "/a", MEMBER: "Said", SENDER: ":1.1", SIGNATURE: "s"}), "bad-message"),
        (message(SIGNAL, 1, {PATH: "/a", 99: "x"}, extra=b"\0" * 16), "bad-message"),
        (message(9, 1, {PATH: "/a"}), "bad-message"),
    ],
)
def test_a_users_bus_that_breaks_a_rule_is_refused_at_once(bad: bytes, reason: str):
    """As soon as the head says so, and what came before it still passes; after it nothing does."""
    made = message_filter(USER_LIMITS)
    good = signal()
    assert made.take(good + bad) == (good, len(good))
    with pytest.raises(RefusedError) as raised:
        made.take(bad)
    assert raised.value.reason == reason
    with pytest.raises(RefusedError):
        made.take(good)


def test_what_nobody_asked_for_has_a_budget_that_comes_back():
    """So many at once, and so many a second; more is a flood."""
    now = 0.0
    made = MessageFilter(
        Limits(message=1000, strict=True, signals=(10, 2), bytes=(5000, 1000)), now=lambda: now
    )
    made.admit_with(said)
    for _ in range(10):
        feed(made, signal(member="Sung"), 1000)
    now = 2.0
    for _ in range(4):
        feed(made, signal(), 1000)
    with pytest.raises(RefusedError, match="more than 2 signals a second") as raised:
        feed(made, signal(), 1000)
    assert raised.value.reason == "signal-flood"


def test_their_bytes_have_one_too():
    """Few large ones are a flood as well."""
    made = MessageFilter(
        Limits(message=1000, strict=True, signals=(100, 2), bytes=(2000, 1000)), now=lambda: 0.0
    )
    made.admit_with(said)
    with pytest.raises(RefusedError):
        feed(made, signal("y" * 700) * 3, 10_000)


def check(signature: str, body: bytes, **limits: int) -> None:
    """Check a body."""
    head = message(SIGNAL, 1, {PATH: "/a"})
    Checker(**({"variants": 100} | limits)).check(head + body, len(head), signature, signature)


def nested(depth: int) -> Raw:
    value = Raw("y", 1)
    for _ in range(depth):
        value = Raw("v", value)
    return value


PROPERTIES = {
    "A": Raw("(sasbttttuii)", ["/x", ["a", "b"], 1, 1, 2, 3, 4, 5, -1, 0]),
    "B": Raw("ay", b"\1\2"),
    "C": nested(3),
}


def test_what_a_manager_says_of_a_unit_passes():
    """The types of systemd's properties, and all that a signal of a change has."""
    check("sa{sv}as", pack("sa{sv}as", ["org.x", PROPERTIES, ["D", "E"]]))
    check("a(ssssssouso)", pack("a(ssssssouso)", [[("a", "", "", "", "", "", "/a", 7, "", "/")] * 3]))
    check("", b"")


@pytest.mark.parametrize(
    ("signature", "body"),
    [
        ("s", b""),
        ("s", struct.pack("<I", 4_000_000_000) + b"x\0"),
        ("as", struct.pack("<I", 64) + bytes(8)),
        ("au", struct.pack("<I", 5) + bytes(5)),
        ("u", bytes(8)),
        ("v", b"\0\0"),
        ("v", b"\2ss\0" + bytes(16)),
        ("v", b"\1z\0" + bytes(16)),
        ("v", b"\x02a{\0" + bytes(16)),
        ("v", b"\x02()\0" + bytes(16)),
        ("v", pack("v", [nested(20)])),
        ("v", pack("v", [Raw("av", [Raw("y", 1)] * 101)])),
        ("v", pack("v", [Raw(f"({'y' * 100})", [0] * 100)])),
        ("v", pack("v", [Raw("a" * 20 + "y", [])])),
    ],
)
def test_a_body_that_no_manager_sends_is_malformed(signature: str, body: bytes):
    """Too short, too long, too deep, too many, of types that are none."""
    with pytest.raises(MalformedError):
        check(signature, body)


def test_a_connection_has_so_many_types_of_variants():
    """The library remembers each signature that it has parsed."""
    checker = Checker(variants=100, signatures=3)
    head = message(SIGNAL, 1, {PATH: "/a"})
    bodies = [pack("v", [Raw(f"({'y' * n})", [0] * n)]) for n in range(1, 5)]
    for body in (*bodies[:3], *bodies[:3]):
        checker.check(head + body, len(head), "v", "v")
    with pytest.raises(MalformedError):
        checker.check(head + bodies[3], len(head), "v", "v")


@given(st.binary(max_size=200), st.sampled_from(["s", "v", "a{sv}", "sa{sv}as", "a(ssssssouso)", "as"]))
def test_no_bytes_bring_the_checks_down(data: bytes, signature: str):
    """Whatever a bus sends is a message or malformed, and never another error."""
    for work in (lambda: check(signature, data), lambda: read_header(b"l\4\0\1" + data.ljust(12, b"\0"))):
        with contextlib.suppress(MalformedError):
            work()


@given(st.binary(max_size=300), st.integers(1, 64))
def test_no_bytes_bring_the_gate_down(data: bytes, size: int):
    """They end the connection, or nothing of them passes."""
    with contextlib.suppress(RefusedError):
        assert feed(message_filter(USER_LIMITS), b"l" + data, size) == b""
