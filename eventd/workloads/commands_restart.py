"""`eventctl restart WORKLOAD [--wait]`: restart the units of a workload, and verify them."""

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
    client, path = Client(arguments.socket), at("restart", arguments.workload)
    if arguments.wait:
        return watch(client, path, {"wait": True}, arguments, terminal)
    answer: Json = client.post(path, {"wait": False})
    if arguments.json:
        terminal.json(answer)
    else:
        terminal.line(f"queued; `eventctl status {clean(arguments.workload)}` shows the outcome")
    return codes.AS_WANTED
