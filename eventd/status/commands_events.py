"""`eventctl events [--follow] [--since N] [--limit N]`: the daemon's events, also across its restarts.

Sequence numbers start at 1 in each daemon process, so after a reconnection `--since` is valid only for the same
process. `Follower` therefore opens the stream first and reads the daemon's identity second: a stream to a dead daemon
ends by itself, so the identity is either that of the stream, or the stream has ended.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from eventd.cli import codes
from eventd.cli.text import clean
from eventd.client import Client, Stream, at
from eventd.kernel.model.errors import DeadlineError, DisconnectedError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal

IDLE = 300.0
"""Seconds without an event after which the stream is opened again: only a new request tells a quiet host from a
daemon that hangs."""
RETURN = 300.0
"""Seconds to wait for a daemon that went away."""


def run(arguments: Any, terminal: Terminal) -> int:
    """Print events; with --follow, until Ctrl-C or until the daemon stays away."""
    client = Client(arguments.socket)
    show = terminal.ndjson if arguments.json else _Show(terminal)
    if not arguments.follow:
        query = _query(arguments.since, arguments.limit)
        with client.stream("GET", at("events"), query=query, idle=client.timeout) as stream:
            for event in stream:
                show(event)
        return codes.AS_WANTED
    for event in Follower(client, terminal, arguments.since, arguments.limit).events():
        show(event)
    return codes.AS_WANTED


class Follower:
    """An endless stream of events. `latest`: how many of those in memory to start with, 0 for all."""

    def __init__(self, client: Client, terminal: Terminal, since: int, latest: int = 0) -> None:
        self._client = client
        self._terminal = terminal
        self._since = since
        self._latest = latest
        self._life: object = None

    def events(self) -> Generator[Json, None, None]:
        """Yield events. Raises NoDaemonError if there is no daemon, or not again within RETURN seconds."""
        first = True
        while True:
            if not first:
                from eventd.cli.wait_for_daemon import await_daemon  # noqa: PLC0415

                await_daemon(self._client.path, RETURN)
            try:
                yield from self._one(first=first)
            except DeadlineError:
                first = True  # quiet, not gone: reconnect silently
                continue
            except DisconnectedError:
                if first and self._life is None:
                    raise
            first = False
            self._terminal.notice("eventctl: the daemon went away; waiting for it")

    def _one(self, *, first: bool) -> Iterator[Json]:
        """Yield the events of one connection."""
        stream = self._open()
        try:
            life = self._identity()
            if self._life not in (None, life):
                stream.close()
                self._terminal.notice("eventctl: the daemon was restarted; showing its events from the first")
                self._since = 0
                self._life = life
                stream = self._open()
            elif not first:
                self._terminal.notice("eventctl: connected again")
            self._life = life
            for event in stream:
                self._latest = 0  # events since the last connection are not left out
                self._since = max(self._since, int(event.get("sequence", 0)))
                yield event
        finally:
            stream.close()

    def _open(self) -> Stream:
        query = _query(self._since, self._latest) | {"follow": 1}
        return self._client.stream("GET", at("events"), query=query, idle=IDLE)

    def _identity(self) -> object:
        daemon: Json = self._client.get(at("status")).get("daemon") or {}
        return daemon.get("boot_id"), daemon.get("pid"), daemon.get("started")


def _query(since: int, latest: int) -> dict[str, int]:
    return {"since": since} | ({"last": latest} if latest else {})


class _Show:
    """Writes an event on a line: sequence number, time, origin, kind, subject and attributes."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def __call__(self, event: Json) -> None:
        terminal = self._terminal
        wall = event.get("wall")
        clock = ""
        if isinstance(wall, int | float):
            clock = time.strftime("%H:%M:%S", time.localtime(wall)) + f".{int(wall % 1 * 1000):03d}"
        subject = clean(event.get("subject", ""))
        scope = clean(event.get("scope", ""))
        if scope and scope != subject:
            subject = f"{scope}:{subject}" if subject.startswith("/") else f"{scope}/{subject}"
        attributes = event.get("attributes") or {}
        rest = " ".join(f"{clean(key)}={clean(value)}" for key, value in attributes.items())
        kind = terminal.paint(f"{clean(event.get('kind', '')):<15}", "cyan")
        line = f"{clean(event.get('sequence', '')):>6}  {terminal.paint(clock, 'dim')}  "
        line += f"{clean(event.get('origin', '')):<12}  {kind}  {subject}  {terminal.paint(rest, 'dim')}"
        terminal.line(line.rstrip())
        terminal.out.flush()
