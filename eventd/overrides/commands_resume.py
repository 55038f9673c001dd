"""`eventctl resume [WORKLOAD] [--wait]`: end a suspension or a rollback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventd.cli import codes
from eventd.cli.follow import watch
from eventd.cli.text import clean
from eventd.client import Client, at

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal


def run(arguments: Any, terminal: Terminal) -> int:
    """Send the request; with --wait the exit code is the run's."""
    name = arguments.workload
    client, path = Client(arguments.socket), at("resume", name) if name else at("resume")
    if arguments.wait:
        return watch(client, path, {"wait": True}, arguments, terminal)
    answer: Json = client.post(path, {"wait": False})
    if arguments.json:
        terminal.json(answer)
    else:
        what = [
            word for key, word in (("suspended", "suspended"), ("rollback", "rolled back")) if answer.get(key)
        ]
        status = f"eventctl status {clean(name)}".strip()
        terminal.line(
            f"{clean(name) or 'this host'} is no longer {' or '.join(what)}; `{status}` shows the outcome"
        )
    return codes.AS_WANTED
