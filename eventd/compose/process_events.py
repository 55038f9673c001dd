"""Parses lines of podman's event log, from the journal or from `podman events`. Pure.

An event is only a hint that something happened: the current state is read from podman itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from eventd.compose.process_containers import PROJECT_LABEL, Container

FOLLOWED: Final = ("health_status", "start", "died", "remove", "pause", "unpause", "rename")


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a container."""

    id: str
    what: str
    """podman's event: health_status, died, start."""
    health: str
    project: str


def follow_command(logger: str, *, project: str, uid: int, since: float) -> list[str] | None:
    """Return the command that follows the events from `since` (epoch seconds) on, one JSON object per line.

    journalctl needs 9 MB for it (2.4 MB of its own), `podman events` 47 MB (10 MB); both read the same journal if that
    is podman's event logger. None for the logger `none`, which has no events.
    """
    match logger:
        case "journald":
            argv = [
                "journalctl",
                "--quiet",
                "--follow",
                "--no-tail",
                f"--since=@{since:.6f}",
                "--output=json",
            ]
            argv.append("--output-fields=PODMAN_EVENT,PODMAN_ID,PODMAN_HEALTH_STATUS,PODMAN_LABELS")
            return [*argv, f"_UID={uid}", *(f"PODMAN_EVENT={what}" for what in FOLLOWED)]
        case "file":
            argv = ["podman", "events", "--format=json", f"--since={since:.6f}", "--filter=type=container"]
            argv.append(f"--filter=label={PROJECT_LABEL}={project}")
            return [*argv, *(f"--filter=event={what}" for what in FOLLOWED)]
        case _:
            return None


def parse(line: str) -> Event | None:
    """Parse a line of either program; None if it is not an event."""
    try:
        document = json.loads(line)
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    if "PODMAN_ID" in document:
        return Event(
            id=_text(document, "PODMAN_ID"),
            what=_text(document, "PODMAN_EVENT"),
            health=_text(document, "PODMAN_HEALTH_STATUS"),
            project=_project(_text(document, "PODMAN_LABELS")),
        )
    if "ID" in document:
        labels = document.get("Attributes")
        return Event(
            id=_text(document, "ID"),
            what=_text(document, "Status"),
            health=_text(document, "health_status"),
            project=_text(labels, PROJECT_LABEL) if isinstance(labels, dict) else "",
        )
    return None


def _text(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    # journalctl prints an array for a field that occurs twice or is not text.
    return value if isinstance(value, str) else ""


def _project(labels: str) -> str:
    try:
        found = json.loads(labels) if labels else {}
    except ValueError:
        return ""
    return _text(found, PROJECT_LABEL) if isinstance(found, dict) else ""


def matters(event: Event, project: str, stack: tuple[Container, ...]) -> bool:
    """Return whether the state has to be read again after this event. A repeated health result does not matter."""
    known = next((container for container in stack if container.id == event.id), None)
    if known is None:
        return event.project == project
    return event.what != "health_status" or event.health != known.health
