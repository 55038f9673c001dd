"""`eventctl barrier`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventd.cli import codes
from eventd.client import Client

if TYPE_CHECKING:
    from eventd.cli.terminal import Terminal


def run(arguments: Any, terminal: Terminal) -> int:
    """Ask and show."""
    state = Client(arguments.socket).get("/v1/barrier")
    terminal.out.write(f"{state['level']} m, {'closed' if state['closed'] else 'open'}\n")
    return codes.AS_WANTED
