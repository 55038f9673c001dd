"""Turns journal entries of an account into log lines of its workload. Pure functions.

An entry is what `journalctl --output=json` prints. Lines of the workload's containers and units are kept, and those of
the manager about them; other lines of podman, conmon and the manager are noise. The account controls the fields that
decide this (systemd.journal-fields(7): only those with `_` are trusted), but it can hide its own lines only, since the
entries are selected by uid. Next: `eventd.containers.commands_logs` prints them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

Entry = dict[str, Any]

FIELDS = (
    "__CURSOR",
    "__REALTIME_TIMESTAMP",
    "MESSAGE",
    "MESSAGE_ID",
    "PRIORITY",
    "SYSLOG_IDENTIFIER",
    "CONTAINER_NAME",
    "PODMAN_EVENT",
    "PODMAN_NAME",
    "PODMAN_HEALTH_STATUS",
    "USER_UNIT",
    "_SYSTEMD_USER_UNIT",
    "_COMM",
)
"""The fields that `read` uses."""
OWN_UNIT = "eventctl-"
"""The prefixes of the transient units of `eventctl exec`, `shell` and `ps`."""

_PODMAN_UNIT = re.compile(
    # health checks: CONTAINER.service, CONTAINER-SUFFIX.timer
    r"[0-9a-f]{64}(-[0-9a-f]+)?\.(service|timer)"
    r"|podman(-user-wait-network-online|-auto-update)?\.(service|socket|timer)"
    rf"|eventd-podman-pause\.service|eventd-audit-\w+\.path|{OWN_UNIT}.*"
    r"|dbus(-broker)?\.(service|socket)|run-[pru][0-9].*"
)
_MANAGER_KIND = (".slice", ".scope", ".target", ".mount", ".device")
_CONSUMED = "ae8f7b866b0347b9af31fe1c80b127c0"
"""MESSAGE_ID of "Consumed … CPU time" (systemd/sd-messages.h)."""
_CONTAINER_ID = re.compile(r"[0-9a-f]{64}")
_CONMON = re.compile(r"conmon [0-9a-f]+ <n?(warn|info|debug|trace)>: ")
_HELPERS = frozenset({"(systemd)", "(sd-pam)", "dbus-daemon", "dbus-broker", "dbus-broker-lau", "netavark"})


@dataclass(frozen=True, slots=True)
class Line:
    """One message of a workload. `text` is as logged, and may have several lines."""

    time: float
    """Seconds since the epoch."""
    source: str
    """The container (`web`) or unit (`web.service`) that logged it."""
    unit: str
    container: str
    text: str
    priority: int
    """The priority, 0 to 7, as in syslog(3)."""
    noise: bool
    """A line of podman or of the manager about itself."""


def read(entry: Entry) -> Line | None:
    """Return the line of an entry, None if it has none."""
    text = _text(entry.get("MESSAGE"))
    if text is None:
        return None
    container = _word(entry, "CONTAINER_NAME").removeprefix("systemd-")
    unit = _word(entry, "USER_UNIT") or _word(entry, "_SYSTEMD_USER_UNIT")
    noise = not container and _is_noise(entry, unit, text)
    if (
        _word(entry, "PODMAN_EVENT") == "health_status"
        and _word(entry, "PODMAN_HEALTH_STATUS") == "unhealthy"
    ):
        container, text, noise = _word(entry, "PODMAN_NAME").removeprefix("systemd-"), "unhealthy", False
    if unit.startswith("libpod-"):  # podman's scope around a container that has no unit of its own
        unit = ""
    priority = _word(entry, "PRIORITY")
    return Line(
        time=_number(entry.get("__REALTIME_TIMESTAMP")) / 1e6,
        source=container or unit or _word(entry, "SYSLOG_IDENTIFIER") or "-",
        unit=unit,
        container=container,
        text=text.rstrip("\n"),
        priority=int(priority) if priority in {*"01234567"} else 6,
        noise=noise,
    )


def cursor(entry: Entry) -> str:
    """Return the entry's cursor."""
    return _word(entry, "__CURSOR")


def _is_noise(entry: Entry, unit: str, text: str) -> bool:
    command = _word(entry, "_COMM")
    identifier = _word(entry, "SYSLOG_IDENTIFIER")
    return bool(
        "PODMAN_EVENT" in entry
        or (unit and (_PODMAN_UNIT.fullmatch(unit) or unit.endswith(_MANAGER_KIND)))
        or (not unit and command in {"systemd", ""})
        or command in _HELPERS
        or _word(entry, "MESSAGE_ID") == _CONSUMED
        or (identifier == "conmon" and _CONMON.match(text))
        or _CONTAINER_ID.fullmatch(text.strip())  # `podman run --detach` prints it
    )


def _text(message: object) -> str | None:
    """Return a message as text. journalctl prints non-printable or non-UTF-8 messages as a list of bytes."""
    match message:
        case str():
            return message
        case [int(), *_]:
            numbers = [each for each in message if isinstance(each, int) and 0 <= each < 256]
            return bytes(numbers).decode("utf-8", "backslashreplace")
        case [str() as first, *_]:  # a field with several values
            return first
        case _:
            return None


def _word(entry: Entry, field: str) -> str:
    return _text(entry.get(field)) or ""


def _number(value: object) -> int:
    return int(value) if isinstance(value, str) and value.isdecimal() else 0
