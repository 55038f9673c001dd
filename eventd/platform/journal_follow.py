"""The journal as it grows: one journalctl that follows, and short ones that look back.

Owns the command lines and what an entry is. It understands no field but the journal's own;
`eventd.health.source` knows podman's. Entries of other uids can be anything, fields with the same name several
times or of any length included: what is not one short text is left out.

Facts (journalctl(1), systemd.journal-fields(7)): fields that begin with an underscore are set by journald and
cannot be forged; a follower that starts after a cursor gets everything behind it, however late it starts.
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
    """`_UID`: of the process that wrote it; -1 for none, as the kernel's."""
    fields: Mapping[str, str]
    """What was asked for and is a text."""
    wall: float = 0.0
    """Seconds since the epoch, as journald took it."""


class JournalFollow:
    """Looks back and follows. `timeout`: seconds for one look back."""

    def __init__(self, *, command: str = "journalctl", timeout: float = 10.0) -> None:
        self._command = command
        self._timeout = timeout

    async def tail(self) -> Entry | None:
        """Return the newest entry of all, for its cursor and boot; None if the journal is empty.

        Raises DeadlineError, PermanentError(reason="journal-unreadable" | "command-missing" | …).
        """
        found = await self.last((), lines=1, fields=())
        return found[-1] if found else None

    async def last(self, matches: Sequence[str], *, lines: int, fields: Sequence[str]) -> list[Entry]:
        """Return the last entries that match (`FIELD=value`), oldest first. Raises as `tail`."""
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

        # --merge because --follow alone means --boot as well, and the boot id that journalctl finds under
        # ProtectKernelTunables= is, in a container, that of the machine around it. Callers match _BOOT_ID=.
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
    """Return the option. The cursor and both times come with every entry."""
    return f"--output-fields={','.join(('_BOOT_ID', '_UID', *names))}"


def read_entry(line: bytes) -> Entry | None:
    """Return the entry of a line of `--output=json`; None if it is none."""
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
