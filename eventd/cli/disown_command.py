"""`eventctl disown NAME`: eventd forgets that an account is its own, and leaves everything as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventd.cli import codes
from eventd.cli.text import clean
from eventd.client import Client, at

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal

WAIT = 90.0
"""Seconds: the daemon waits for the end of the run that is on."""


def run(arguments: Any, terminal: Terminal) -> int:
    """Ask for it."""
    answer: Json = Client(arguments.socket, timeout=WAIT).post(at("disown", arguments.name), {})
    if arguments.json:
        terminal.json(answer)
    else:
        terminal.line(
            f"{clean(arguments.name)} is given back: its files and units stay as they are, and are eventd's no more"
        )
    return codes.AS_WANTED
