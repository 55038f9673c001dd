"""Whether there is an interactive terminal to ask for confirmation on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eventd.cli.terminal import Terminal


def can_ask(arguments: Any, terminal: Terminal) -> bool:
    """Return whether a question can be asked; print what to do if not: a script passes --yes."""
    if arguments.json or not (sys.stdin.isatty() and terminal.live):
        terminal.notice("eventctl: standard input is not a terminal; pass --yes")
        return False
    return True
