"""Scope: how much of the loop's time callers may take, and a socket that is not listened to beyond that."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import anyio.to_thread
import pytest

from eventd.api import listener
from eventd.api.access import Peer
from eventd.api.listener import Listener
from eventd.api.pace import LONGEST, Pace, metered


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_a_share_is_given_back_with_time() -> None:
    """What is taken beyond the burst is owed, and paid off at the share's speed."""
    clock = Clock()
    pace = Pace(0.25, 0.1, clock)
    pace.spend(0.1)
    assert pace.owed() == 0
    pace.spend(0.05)
    assert pace.owed() == pytest.approx(0.2)
    clock.now += 0.1
    assert pace.owed() == pytest.approx(0.1)
    clock.now += 1000
    pace.spend(0.1)
    assert pace.owed() == 0, "more than the burst is not saved up"
    pace.spend(1000)
    assert pace.owed() == pytest.approx(LONGEST / 0.25), "nor is more than this held against it"


async def test_steps_are_counted_and_waiting_is_not() -> None:
    """A handler that waits has taken no time; one that computes has."""
    pace = Pace(0.5, 10.0, Clock())

    async def work() -> str:
        await asyncio.sleep(0.5)
        end = time.perf_counter() + 0.05
        while time.perf_counter() < end:
            pass
        return "done"

    assert await metered(work(), pace) == "done"
    pace.spend(10.0 - 0.5)
    assert pace.owed() == 0, "the waiting was not counted"
    pace.spend(0.45)
    assert pace.owed() > 0, "the computing was"


async def test_a_metered_handler_is_cancelled_as_any_other() -> None:
    """Its own `finally` and `except` run, and what it raises comes out."""
    seen = []

    async def work() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            seen.append("cancelled")
            await asyncio.sleep(0)
            raise
        finally:
            seen.append("finally")

    task = asyncio.create_task(_awaited(work()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cancelled", "finally"]

    async def broken() -> None:
        raise LookupError("x")

    with pytest.raises(LookupError):
        await metered(broken(), Pace(0.5, 1.0))


async def _awaited(work: object) -> None:
    await metered(work, Pace(0.5, 1.0))  # type: ignore[arg-type]  a coroutine of any kind


def bound(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    return sock


def connected(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(30)
    sock.connect(str(path))
    return sock


class Echo(asyncio.Protocol):
    """Says what it hears."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


async def test_a_full_queue_of_one_socket_is_nobody_elses(tmp_path: Path) -> None:
    """Everybody's socket has used up its time and its queue is full: root's is served all the same."""
    spent = Pace(0.001, 0.001)
    spent.spend(LONGEST)
    seen: list[Peer] = []

    def enter(who: Peer) -> asyncio.Protocol:
        seen.append(who)
        return Echo()

    everybodys = Listener(bound(tmp_path / "all"), enter, spent)
    roots = Listener(bound(tmp_path / "root"), enter)
    with ExitStack() as stack:
        for _ in range(4 * (listener.BACKLOG + listener.BATCH)):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.setblocking(False)
            with suppress(BlockingIOError):
                sock.connect(str(tmp_path / "all"))
            await asyncio.sleep(0)
        assert len(seen) <= listener.BATCH
        before = len(seen)
        for number in range(20):
            sock = stack.enter_context(await anyio.to_thread.run_sync(connected, tmp_path / "root"))
            await anyio.to_thread.run_sync(sock.sendall, bytes([number]))
            assert await anyio.to_thread.run_sync(sock.recv, 10) == bytes([number])
        assert len(seen) == before + 20
    everybodys.close()
    roots.close()


async def test_who_is_not_let_in_is_told_and_costs_no_protocol(tmp_path: Path) -> None:
    """The answer is there before anything was asked, and the kernel has said who it is."""
    seen: list[Peer] = []

    def enter(who: Peer) -> bytes:
        seen.append(who)
        return b"no"

    listening = Listener(bound(tmp_path / "sock"), enter)
    sock = await anyio.to_thread.run_sync(connected, tmp_path / "sock")
    with sock:
        assert await anyio.to_thread.run_sync(sock.recv, 10) == b"no"
        assert await anyio.to_thread.run_sync(sock.recv, 10) == b""
    assert [who.pid for who in seen] == [os.getpid()]
    listening.close()
