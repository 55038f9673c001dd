"""`eventctl disown NAME|--all`: eventd gives an account back, and it keeps running without eventd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventd.cli import codes, show
from eventd.cli.text import clean
from eventd.client import Client, at
from eventd.kernel.model.errors import PermanentError

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal

WAIT = 90.0
"""Seconds. The daemon first waits for the current run to end."""


def run(arguments: Any, terminal: Terminal) -> int:
    """Give back one account, or all of them one by one; stop at the first failure."""
    if bool(arguments.name) == arguments.all:
        raise PermanentError(
            "disown: which account?", reason="usage", hint="eventctl disown NAME, or disown --all"
        )
    client = Client(arguments.socket, timeout=WAIT)
    if not arguments.all:
        answer: Json = client.post(at("disown", arguments.name), {})
        if arguments.json:
            terminal.json(answer)
        else:
            _print_given_back(terminal, arguments.name)
        return codes.AS_WANTED
    rows: list[Json] = show.items(client.get(at("status")), "workloads")
    names = [str(row.get("name", "")) for row in rows if row.get("ownership")]
    runs = []
    for name in names:
        runs.append(client.post(at("disown", name), {}))
        if not arguments.json:
            _print_given_back(terminal, name)
    volumes = show.items(client.get(at("storage")), "volumes")
    lines = [line for volume in volumes if (line := fstab(volume))]
    if arguments.json:
        terminal.json({"disowned": names, "runs": [each.get("run") for each in runs], "fstab": lines})
        return codes.AS_WANTED
    if not names:
        terminal.line("eventd manages no account")
    if lines:
        terminal.line("eventd mounts these volumes. To mount them at boot without eventd, add to /etc/fstab:")
        terminal.lines(lines)
    return codes.AS_WANTED


def fstab(volume: Json) -> str:
    """Return the line of /etc/fstab that mounts a volume; empty if there is nothing to mount."""
    identity = volume.get("id")
    if (
        not isinstance(identity, dict)
        or volume.get("wanted") == "decommissioned"
        or volume.get("migrated_to")
    ):
        return ""
    kind, value = clean(identity.get("kind", "")), clean(identity.get("value", ""))
    what = f"/dev/disk/by-id/{value}" if kind == "by_id" else f"{kind.upper()}={value}"
    where = clean(volume.get("path", "")).replace(" ", "\\040")
    return f"{what} {where} {clean(volume.get('filesystem', '')) or 'auto'} nosuid,nodev,nofail 0 2"


def _print_given_back(terminal: Terminal, name: str) -> None:
    terminal.line(
        f"{clean(name)} was given back: its files and units stay, start at boot without eventd, and are unmanaged"
    )
