"""Scope: which connection of the webhook listener goes when there are too many, and whose it is."""

from __future__ import annotations

import ipaddress

import pytest

from eventd.webhook.process_connections import Connections, Held, Phase, forwarded_for, peer_of


class Book:
    """Connections with names, and who was dropped for what."""

    def __init__(self, *, most: int = 100, per_peer: int = 100, buffered: int = 1000) -> None:
        self.connections = Connections(most=most, per_peer=per_peer, buffered=buffered)
        self.dropped: list[tuple[str, str]] = []

    def enter(self, name: str, peer: str = "", phase: Phase = Phase.ARRIVING) -> Held:
        """One comes, and is as far as that."""
        held = Held(lambda why: self.dropped.append((name, why)), peer)
        self.connections.enter(held)
        held.phase = phase
        return held


def test_who_ends_goes_first_and_then_who_has_been_arriving_for_longest() -> None:
    """Who is worked on stays, however old."""
    book = Book(most=4)
    for name, phase in (
        ("a", Phase.WORKED_ON),
        ("b", Phase.ARRIVING),
        ("c", Phase.ARRIVING),
        ("d", Phase.ENDING),
    ):
        book.enter(name, phase=phase)
    for name in "efg":
        book.enter(name)
    assert [name for name, _ in book.dropped] == ["d", "b", "c"]
    assert len(book.connections) == 4


def test_a_newcomer_is_refused_where_all_others_are_worked_on() -> None:
    """And each of them goes on."""
    book = Book(most=2)
    for name in "ab":
        book.enter(name, phase=Phase.WORKED_ON)
    book.enter("c")
    assert book.dropped == [("c", "too-many-connections")]


def test_a_peer_makes_room_of_its_own() -> None:
    """Its oldest goes, not that of another; a proxy that has not said for whom it speaks is not bounded so."""
    book = Book(per_peer=2)
    book.enter("other", "192.0.2.9")
    for name in "abc":
        book.enter(name, "192.0.2.1")
    assert book.dropped == [("a", "too-many-connections-of-a-peer")]
    proxied = [book.enter(f"p{number}") for number in range(5)]
    assert len(book.dropped) == 1
    for held in proxied[:3]:
        book.connections.identify(held, "198.51.100.1")
    assert [name for name, _ in book.dropped] == ["a", "p0"]


def test_the_largest_body_that_arrives_makes_room() -> None:
    """Bodies of all connections together are bounded: memory is."""
    book = Book(buffered=1000)
    small, large, whole = (
        book.enter(name, f"192.0.2.{n}") for n, name in enumerate(("small", "large", "whole"))
    )
    book.connections.receive(whole, 900)
    whole.phase = Phase.WORKED_ON
    book.connections.receive(large, 700)
    book.connections.receive(small, 300)
    assert book.dropped == []
    book.connections.receive(small, 1)
    assert book.dropped == [("large", "too-many-bytes")]


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("", "unknown"),
        ("nonsense", "unknown"),
    ],
)
def test_for_whom_an_address_counts(address: str, peer: str) -> None:
    """An IPv6 peer has a whole network of addresses; what is no address is one peer."""
    assert peer_of(address) == peer


@pytest.mark.parametrize(
    ("address", "lines", "client"),
    [
        ("127.0.0.1", (), "127.0.0.1"),
        ("127.0.0.1", ("192.0.2.1",), "192.0.2.1"),
        ("::ffff:127.0.0.1", ("192.0.2.1",), "192.0.2.1"),
        ("127.0.0.1", ("203.0.113.5, 192.0.2.1",), "192.0.2.1"),
        ("127.0.0.1", ("203.0.113.5", "192.0.2.1"), "192.0.2.1"),
        ("127.0.0.1", ("203.0.113.5, 192.0.2.1, 10.1.2.3",), "192.0.2.1"),
        ("127.0.0.1", ("10.1.2.3",), "10.1.2.3"),
        ("127.0.0.1", ("192.0.2.1, x",), "unknown"),
        ("127.0.0.1", ("192.0.2.1,",), "127.0.0.1"),
        ("198.51.100.1", ("192.0.2.1",), "198.51.100.1"),
    ],
)
def test_a_proxy_is_believed_as_far_as_it_is_trusted(
    address: str, lines: tuple[str, ...], client: str
) -> None:
    """From the end of what was forwarded: the beginning is whatever the client wrote."""
    proxies = [ipaddress.ip_network("127.0.0.1"), ipaddress.ip_network("10.0.0.0/8")]
    assert forwarded_for(address, lines, proxies) == client
