"""`eventctl reject ID`: reject a request, so that nothing is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventd.cli import codes
from eventd.cli.text import clean
from eventd.client import Client, at

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal


def run(arguments: Any, terminal: Terminal) -> int:
    """Reject the request, or withdraw the rejection."""
    done: Json = Client(arguments.socket).post(
        at("approvals", arguments.id, "reject"), {"undo": bool(arguments.undo)}
    )
    if arguments.json:
        terminal.json(done)
        return codes.AS_WANTED
    identity = clean(done.get("id", ""))
    if arguments.undo:
        terminal.line("the request is open again, under a new id: eventctl approvals")
    else:
        terminal.line(f"{identity} is rejected; nothing is changed")
        terminal.line(f"to open it again: eventctl reject {identity} --undo")
    return codes.AS_WANTED
