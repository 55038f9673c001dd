"""Reads the journal: one journalctl that follows it, and short ones that read its last entries.

Owns the command lines and the parsing of an entry. It knows the journal's own fields only; `eventd.health.source` knows
podman's. An entry of another uid can hold anything, including repeated fields of any length: a field that is not one
text is left out.

Facts (journalctl(1), systemd.journal-fields(7)): journald sets the fields that begin with an underscore, so they cannot
be forged. A follower that starts after a cursor gets everything behind it, however late it starts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from eventd.platform.processes.line_process import LineProcess
from eventd.platform.processes.line_streams import LongLine
from eventd.platform.processes.process import run

_LINE_LIMIT = 64 * 1024
_OUTPUT_LIMIT = 4 * 1024 * 1024
_QUIET = ("--quiet", "--no-pager", "--output=json")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the journal."""

    cursor: str
    boot: str
    """`_BOOT_ID` in hexadecimal."""
    monotonic: int
    """Microseconds of CLOCK_MONOTONIC, as journald took it."""
    uid: int
    """`_UID` of the process that wrote it; -1 if it has none, as the kernel's entries."""
    fields: Mapping[str, str]
    """The requested fields that are texts."""
    wall: float = 0.0
    """Seconds since the epoch, as journald took it."""


class JournalFollow:
    """Reads and follows the journal. `timeout`: seconds for one read."""

    def __init__(self, *, command: str = "journalctl", timeout: float = 10.0) -> None:
        self._command = command
        self._timeout = timeout

    async def newest(self) -> Entry | None:
        """Return the newest entry of all, for its cursor and boot; None if the journal is empty.

        Raises DeadlineError, PermanentError(reason="journal-unreadable" | "command-missing" | …).
        """
        found = await self.last((), lines=1, fields=())
        return found[-1] if found else None

    async def last(self, matches: Sequence[str], *, lines: int, fields: Sequence[str]) -> list[Entry]:
        """Return the last entries that match (`FIELD=value`), oldest first. Raises as `newest`."""
        argv = [self._command, *_QUIET, _fields(fields), f"--lines={lines}", *matches]
        done = await run(argv, timeout=self._timeout, output_limit=_OUTPUT_LIMIT)
        done.require(reason="journal-unreadable")
        return [entry for line in done.stdout.splitlines() if (entry := read_entry(line)) is not None]

    def follow(
        self,
        matches: Sequence[str],
        *,
        fields: Sequence[str],
        after: str,
        entry: Callable[[Entry], None],
        ended: Callable[[str], None],
    ) -> LineProcess:
        """Call `entry` for each entry after the cursor `after` (empty: from the first one on) until stopped.

        Raises PermanentError(reason="command-missing" | …), TemporaryError(reason="no-resources").
        """

        def on_line(line: bytes) -> None:
            read = read_entry(line)
            if read is not None:
                entry(read)

        # --merge because --follow alone implies --boot. In a container, under ProtectKernelTunables=, journalctl finds
        # the boot id of the machine around it. Callers match _BOOT_ID= instead.
        return LineProcess(
            [
                *(self._command, *_QUIET, _fields(fields), "--follow", "--no-tail", "--merge"),
                *([f"--after-cursor={after}"] if after else []),
                *matches,
            ],
            line=on_line,
            ended=ended,
            limit=_LINE_LIMIT,
            long=LongLine.SKIP,
        )


def _fields(names: Sequence[str]) -> str:
    """Return the option. Every entry has the cursor and both times anyway."""
    return f"--output-fields={','.join(('_BOOT_ID', '_UID', *names))}"


def read_entry(line: bytes) -> Entry | None:
    """Return the entry in a line of `--output=json`; None if the line is invalid."""
    try:
        found = json.loads(line)
        if not isinstance(found, dict):
            return None
        texts = {name: value for name, value in found.items() if isinstance(value, str)}
        return Entry(
            cursor=texts["__CURSOR"],
            boot=texts.get("_BOOT_ID", ""),
            monotonic=int(texts["__MONOTONIC_TIMESTAMP"]),
            uid=int(texts.get("_UID", "-1")),
            fields=texts,
            wall=int(texts.get("__REALTIME_TIMESTAMP", "0")) / 1e6,
        )
    except (ValueError, KeyError, RecursionError):
        return None
