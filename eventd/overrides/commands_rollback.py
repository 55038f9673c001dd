"""`eventctl rollback WORKLOAD [--to COMMIT] [--wait]`: run an earlier revision of a workload."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventd.cli import codes
from eventd.cli.follow import watch
from eventd.cli.text import clean, short
from eventd.client import Client, at

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal


def run(arguments: Any, terminal: Terminal) -> int:
    """Send the request; with --wait the exit code is the run's."""
    client, path = Client(arguments.socket), at("rollback", arguments.workload)
    if arguments.wait:
        return watch(client, path, {"to": arguments.to, "wait": True}, arguments, terminal)
    answer: Json = client.post(path, {"to": arguments.to, "wait": False})
    if arguments.json:
        terminal.json(answer)
    else:
        name, order = clean(arguments.workload), answer.get("rollback") or {}
        terminal.line(
            f"{name} is rolled back to {short(order.get('to'))}; `eventctl status {name}` shows the outcome"
        )
    return codes.AS_WANTED
