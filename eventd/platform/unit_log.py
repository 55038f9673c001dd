"""Reads the last journal lines of a unit, for the report of its failure.

Implements the `UnitLog` port with one bounded `journalctl` process, run only when a unit has failed. No decision
depends on it: if the journal cannot be read, the list is empty and the reason is logged.

The matches (journalctl(1), systemd.journal-fields(7)) use fields that journald sets itself (leading underscore), so
that a workload cannot forge another's lines. They select what the unit's processes write, and what *its own* manager
writes about the unit. The output of a Quadlet container is under the unit that podman runs in.
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
"""How many characters of a line are kept."""
_MOST_LINES = 200
_EVENT = "PODMAN_EVENT"
"""The field of podman's events (podman-events(1)), which report what podman did, not what went wrong."""
_INVOCATION = "_SYSTEMD_INVOCATION_ID"
_SHARE = 3
"""Lines read for each line wanted: podman logs about two events per start and end of a container."""
_OUTPUT_LIMIT = 4 * 1024 * 1024
_log = logging.getLogger(__name__)


class JournalReader:
    """The `UnitLog` port, on the journal. `timeout`: seconds for one journalctl."""

    def __init__(self, *, command: str = "journalctl", timeout: float = 10.0) -> None:
        self._command = command
        self._timeout = timeout

    async def tail(
        self, account: Account | None, unit: str, *, lines: int, invocation: str = ""
    ) -> Sequence[str]:
        """Return up to `lines` last lines, oldest first, each truncated to 500 characters.

        `invocation`: of this invocation of the unit only. Empty if there are none, or none can be read.
        """
        # Not --boot: a container's boot id is a mount in /proc/sys. ProtectKernelTunables= mounts /proc/sys again, and
        # journalctl would ask for the boot of the machine around the container.
        argv = [
            self._command,
            "--quiet",
            "--no-pager",
            "--output=json",
            f"--output-fields=MESSAGE,{_EVENT},_COMM,_TRANSPORT,SYSLOG_IDENTIFIER,{_INVOCATION}",
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
    """Return the match expression: lines of the unit's processes, or (`+`) of its manager about it."""
    if account is None:
        from_unit = [f"_SYSTEMD_UNIT={unit}"]
        from_manager = ["_PID=1", f"UNIT={unit}"]
        manager_field = "INVOCATION_ID"
    else:
        from_unit = [f"_UID={account.uid}", f"_SYSTEMD_USER_UNIT={unit}"]
        from_manager = [f"_UID={account.uid}", f"USER_UNIT={unit}"]
        manager_field = "USER_INVOCATION_ID"
    if invocation:
        from_unit.append(f"{_INVOCATION}={invocation}")
        from_manager.append(f"{manager_field}={invocation}")
    return [*from_unit, "+", *from_manager]


def message(line: bytes) -> LogLine:
    """Return the printable text of one entry of `--output=json`; empty if it has none, or is a podman event.

    MESSAGE is a string; a list of bytes if it is not UTF-8; a list of these if the entry has several; null if it is too
    large.
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
    # No escape sequences: these lines are shown on an operator's terminal.
    text = "".join(c if c.isprintable() else " " for c in text).strip()
    text = text if len(text) <= _LINE_LIMIT else text[: _LINE_LIMIT - 1] + "…"
    return LogLine(text, log_source(entry), str(entry.get(_INVOCATION, "")))


def log_source(entry: dict[str, object]) -> LogSource:
    """Return what wrote an entry, by its process name and transport, both of which journald sets.

    podman writes to the unit's standard output. A container cannot: its output comes through conmon.
    """
    command, transport = str(entry.get("_COMM", "")), entry.get("_TRANSPORT")
    match command.partition(".")[0], transport:
        case "podman", "stdout":
            return LogSource.PODMAN
        case "eventd-compose", "stdout":
            return LogSource.COMPOSE
        case "pasta", "syslog":
            return LogSource.HELPER
        case "conmon", _:
            own = entry.get("SYSLOG_IDENTIFIER") == "conmon" and transport == "syslog"
            return LogSource.HELPER if own else LogSource.CONTAINER
        case _:
            return LogSource.OTHER
