"""`eventctl remove NAME --data delete|keep`: delete or keep the data of a removed workload."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventd.cli import codes
from eventd.cli.text import clean
from eventd.client import Client, at

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal


def run(arguments: Any, terminal: Terminal) -> int:
    """Send the request; nothing is deleted without a signature."""
    answer: Json = Client(arguments.socket).post(at("retained", arguments.name), {"data": arguments.data})
    if arguments.json:
        terminal.json(answer)
    elif arguments.data == "delete":
        terminal.line("the deletion is held until an operator signs it: eventctl approvals")
    else:
        terminal.line(f"account and data of {clean(arguments.name)} are kept")
    return codes.AS_WANTED
