"""`eventctl logs WORKLOAD`: the log of its units and containers, in order of time.

One query of the journal by uid, so there is nothing to merge. Reads backwards until there are enough lines; `--follow`
continues from the newest entry. Nothing runs as the account.
"""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from eventd.cli import codes
from eventd.cli.text import clean
from eventd.containers import commands_as_account as as_account
from eventd.containers import commands_log_lines as log_lines
from eventd.kernel.model.errors import DeadlineError, PermanentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventd.cli.terminal import Terminal
    from eventd.containers.commands_log_lines import Entry, Line

DEFAULT = 100
"""How many lines without `-n` and `--since`."""
_SILENCE = 60.0
"""Seconds that journalctl may search without output."""
_AGO = re.compile(r"\d+ ?(s|m|min|h|d|w|sec|hour|hours|day|days|week|weeks|minutes?|seconds?)")
_LINE = 64 * 1024 * 1024
"""The longest entry in bytes; journald accepts none of this size."""


def run(arguments: Any, terminal: Terminal) -> int:
    """Print the latest lines and, with --follow, new ones."""
    who = as_account.account(arguments.workload, "logs")
    began = time.time()
    limit = arguments.limit or (None if arguments.since else DEFAULT)
    kept: deque[Line] = deque()
    newest = ""
    for entry in _entries(_query(who.uid, ["--reverse", *_since(arguments.since)]), _SILENCE):
        newest = newest or log_lines.cursor(entry)
        line = log_lines.read(entry)
        if line is None or (line.noise and not arguments.all):
            continue
        kept.appendleft(line)
        if limit is not None and len(kept) >= limit:
            break
    show = _Show(arguments, terminal)
    for line in kept:
        show.line(line)
    terminal.out.flush()
    if not arguments.follow:
        if not kept and not arguments.json:
            terminal.notice(
                f"nothing logged by {who.name}"
                + ("" if arguments.all else "; --all includes lines of podman itself")
            )
            if os.geteuid() != 0:  # journald has one file per user only if the journal is persistent
                terminal.notice(
                    f"hint: an account may not be able to read all of its journal; try: sudo eventctl logs {who.name}"
                )
        return codes.AS_WANTED
    start = [f"--after-cursor={newest}"] if newest else [f"--since=@{began:.0f}"]
    for entry in _entries(_query(who.uid, ["--follow", "--no-tail", *start]), None):
        line = log_lines.read(entry)
        if line is not None and (arguments.all or not line.noise):
            show.line(line)
            terminal.out.flush()
    raise PermanentError("journalctl ended", reason="journal-ended", hint="journalctl --verify")


class _Show:
    """Prints lines according to the options."""

    def __init__(self, arguments: Any, terminal: Terminal) -> None:
        self._json = arguments.json
        self._raw = arguments.raw
        self._terminal = terminal

    def line(self, line: Line) -> None:
        """Print one message, each of its lines with the time and the source."""
        if self._json:
            stamp = datetime.fromtimestamp(line.time, UTC).isoformat(timespec="microseconds")
            self._terminal.ndjson(
                {
                    "time": stamp.replace("+00:00", "Z"),
                    "unit": line.unit,
                    "container": line.container,
                    "priority": line.priority,
                    "message": line.text,
                }
            )
            return
        when = datetime.fromtimestamp(line.time).astimezone().strftime("%b %d %H:%M:%S")
        source = self._terminal.paint(clean(line.source), "cyan")
        style = "red" if line.priority <= 3 else "yellow" if line.priority == 4 else ""
        for text in line.text.split("\n"):
            shown = text if self._raw else self._terminal.paint(clean(text), style)
            self._terminal.line(f"{self._terminal.paint(when, 'dim')} {source}: {shown}")


def _query(uid: int, options: list[str]) -> list[str]:
    fields = ",".join(log_lines.FIELDS)
    base = ["journalctl", "--no-pager", "--quiet", "--all", "--output=json", f"--output-fields={fields}"]
    return [*base, *options, f"_UID={uid}", "+", f"_SYSTEMD_OWNER_UID={uid}"]


def _since(text: str) -> list[str]:
    """Return the option for a time in the syntax of systemd.time(7); `10m` means that long ago."""
    return [f"--since=-{text}" if _AGO.fullmatch(text) else f"--since={text}"] if text else []


def _entries(argv: list[str], silence: float | None) -> Iterator[Entry]:
    """Yield the entries that journalctl prints. It is terminated when the iterator is closed.

    Raises DeadlineError after `silence` seconds without output, PermanentError(reason="journal-unreadable").
    """
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        try:
            rest = b""
            while chunk := _chunk(process.stdout.fileno(), silence):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from map(_entry, lines)
                if len(rest) > _LINE:
                    raise PermanentError("a journal entry is too long", reason="journal-unreadable")
            said = process.stderr.read(4096).decode("utf-8", "replace").strip()
            if process.wait(timeout=10):
                first = said.splitlines()[0] if said else f"exit status {process.returncode}"
                usage = "Failed to parse timestamp" in said
                raise PermanentError(
                    f"journalctl: {first}",
                    reason="usage" if usage else "journal-unreadable",
                    hint="--since 10m, --since today, --since '2026-01-31 12:00' (systemd.time(7))"
                    if usage
                    else "run it as root: sudo eventctl logs",
                )
        finally:
            process.kill()


def _chunk(fd: int, silence: float | None) -> bytes:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    if not poll.poll(None if silence is None else silence * 1000):
        raise DeadlineError(
            f"no output of journalctl for {silence:g} s",
            hint="narrow the search with --since; journalctl --disk-usage shows the size of the journal",
        )
    return os.read(fd, 1 << 20)


def _entry(line: bytes) -> Entry:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}
