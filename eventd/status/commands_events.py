"""`eventctl events [--follow] [--since N] [--limit N]`: what the daemon saw, also across its restarts.

Sequence numbers are counted from 1 in each life of the daemon, so after a reconnection `--since` means
something only if the daemon is still the same one. `Follower` therefore opens the stream first and asks
second who answers: a stream to a daemon that has died since then ends by itself, so the identity read
afterwards is that of the stream, or the stream is over.
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
"""Seconds without an event after which the stream is opened anew: a host may be quiet for days, a daemon that
hangs looks the same, and only asking tells them apart."""
RETURN = 300.0
"""Seconds that a daemon which went away may take to come back."""


def run(arguments: Any, terminal: Terminal) -> int:
    """Print events as they are; with --follow, until Ctrl-C or until the daemon stays away."""
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
    """Events without an end. `latest`: how many of those in memory to begin with, 0 for all."""

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
                first = True  # quiet, not gone: ask again without a word
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
                self._terminal.notice("eventctl: this is another daemon; its events from the first")
                self._since = 0
                self._life = life
                stream = self._open()
            elif not first:
                self._terminal.notice("eventctl: connected again")
            self._life = life
            for event in stream:
                self._latest = 0  # what came since the last connection is not left out
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
    """Writes an event on a line: number, time, who saw what about whom, and the rest."""

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
