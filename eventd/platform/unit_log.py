"""The last journal lines of a unit, for the report of its failure.

Owns the `UnitLog` port: one bounded `journalctl` process, run only when a unit has failed. Nothing depends
on what it says: where the journal cannot be read the list is empty, and the reason is logged.

The matches (journalctl(1), systemd.journal-fields(7)) use fields that journald sets itself (leading
underscore), so that a workload cannot put words into another's mouth: what its processes say, and what *its
own* manager says of the unit. The output of a Quadlet container is under the unit that podman runs in.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from eventd.kernel.model.errors import EventdError
from eventd.platform.model_facts import Account
from eventd.platform.model_log_line import LogLine, LogSource
from eventd.platform.processes.process import run

_LINE_LIMIT = 500
"""Characters of a line that are kept."""
_MOST_LINES = 200
_EVENT = "PODMAN_EVENT"
"""The field of podman's own events (podman-events(1)), which say what podman did, not what went wrong."""
_RUN = "_SYSTEMD_INVOCATION_ID"
_SHARE = 3
"""Lines that are read for one that is wanted: podman logs about two events per start and end of a container."""
_OUTPUT_LIMIT = 4 * 1024 * 1024
_log = logging.getLogger(__name__)


class Journal:
    """The `UnitLog` port. `timeout`: seconds that one journalctl may take."""

    def __init__(self, *, command: str = "journalctl", timeout: float = 10.0) -> None:
        self._command = command
        self._timeout = timeout

    async def tail(
        self, account: Account | None, unit: str, *, lines: int, invocation: str = ""
    ) -> Sequence[str]:
        """Return up to `lines` last lines, oldest first, each cut to 500 characters.

        `invocation` limits them to one run of the unit. An empty list where there are none, or none can be
        read.
        """
        # Not --boot: under ProtectKernelTunables= /proc/sys is mounted afresh, and in a container, whose
        # boot id is a mount of its own in there, journalctl would ask for the boot of the machine around it.
        argv = [
            self._command,
            "--quiet",
            "--no-pager",
            "--output=json",
            f"--output-fields=MESSAGE,{_EVENT},_COMM,_TRANSPORT,SYSLOG_IDENTIFIER,{_RUN}",
            f"--lines={max(1, min(lines * _SHARE, _MOST_LINES))}",
            *matches(account, unit, invocation),
        ]
        try:
            completed = await run(argv, timeout=self._timeout, output_limit=_OUTPUT_LIMIT)
            completed.require(reason="journal-unreadable")
        except EventdError as error:
            _log.warning("no journal lines of %s: %s", unit, error, extra={"reason": error.reason})
            return ()
        return [text for line in completed.stdout.splitlines() if (text := message(line))][-lines:]


def matches(account: Account | None, unit: str, invocation: str) -> list[str]:
    """Return the match expression: what the unit's processes said, or (`+`) its manager said of it."""
    if account is None:
        said = [f"_SYSTEMD_UNIT={unit}"]
        told = ["_PID=1", f"UNIT={unit}"]
        told_invocation = "INVOCATION_ID"
    else:
        said = [f"_UID={account.uid}", f"_SYSTEMD_USER_UNIT={unit}"]
        told = [f"_UID={account.uid}", f"USER_UNIT={unit}"]
        told_invocation = "USER_INVOCATION_ID"
    if invocation:
        said.append(f"_SYSTEMD_INVOCATION_ID={invocation}")
        told.append(f"{told_invocation}={invocation}")
    return [*said, "+", *told]


def message(line: bytes) -> LogLine:
    """Return the printable text of one entry of `--output=json`; empty if it has none, or is podman's event.

    MESSAGE is a string, a list of byte values where it is not UTF-8, a list of such if the entry has
    several, or null where it is too large.
    """
    try:
        entry = json.loads(line)
    except ValueError:
        return LogLine("")
    value = entry.get("MESSAGE") if isinstance(entry, dict) and _EVENT not in entry else None
    if isinstance(value, list) and value and isinstance(value[0], str | list):
        value = value[0]
    match value:
        case str():
            text = value
        case list() if all(isinstance(byte, int) and 0 <= byte <= 255 for byte in value):
            text = bytes(value).decode("utf-8", "replace")
        case _:
            return LogLine("")
    # Also no escape sequences: these lines end up on an operator's terminal.
    text = "".join(c if c.isprintable() else " " for c in text).strip()
    text = text if len(text) <= _LINE_LIMIT else text[: _LINE_LIMIT - 1] + "…"
    return LogLine(text, speaker(entry), str(entry.get(_RUN, "")))


def speaker(entry: dict[str, object]) -> LogSource:
    """Return who said it, by the name of the process and the way it came, both of which journald sets.

    podman speaks on the unit's standard output, and the container's output comes from conmon: it cannot get there.
    """
    command, way = str(entry.get("_COMM", "")), entry.get("_TRANSPORT")
    match command.partition(".")[0], way:
        case "podman", "stdout":
            return LogSource.PODMAN
        case "eventd-compose", "stdout":
            return LogSource.COMPOSE
        case "pasta", "syslog":
            return LogSource.HELPER
        case "conmon", _:
            own = entry.get("SYSLOG_IDENTIFIER") == "conmon" and way == "syslog"
            return LogSource.HELPER if own else LogSource.CONTAINER
        case _:
            return LogSource.OTHER
