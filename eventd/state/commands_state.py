"""`eventctl state`: what was recovered after a crash, what was lost with a state file, and acknowledging that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventd.cli import codes, show
from eventd.cli.text import count
from eventd.client import Client, at

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal


def run(arguments: Any, terminal: Terminal) -> int:
    """Show the state of the file, or acknowledge its losses."""
    client = Client(arguments.socket)
    if arguments.acknowledge:
        done: Json = client.post(at("state", "acknowledge"), {})
        if arguments.json:
            terminal.json(done)
        else:
            number = int(done.get("acknowledged", 0))
            terminal.line(
                f"{count(number, 'loss', 'losses')} acknowledged" if number else "nothing to acknowledge"
            )
        return codes.AS_WANTED
    answer: Json = client.get(at("state"))
    rows = show.items(answer, "losses")
    if arguments.json:
        terminal.json(answer)
    else:
        for row in rows:
            show.loss(terminal, row)
        if not rows:
            terminal.line("the state file was never lost")
        found = answer.get("recovery")
        if found:
            show.recovery(terminal, found)
            show.recovered(terminal, show.items(found, "steps"))
        else:
            terminal.line("the previous daemon process left nothing to recover")
    return codes.AS_WANTED if all(row.get("acknowledged") for row in rows) else codes.NOT_CONVERGED
