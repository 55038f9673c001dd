"""Whether a person can be asked: one who sees what it is about, and can answer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eventd.cli.terminal import Terminal


def somebody(arguments: Any, terminal: Terminal) -> bool:
    """Return whether there is somebody to ask; if not, say so: a script says --yes."""
    if arguments.json or not (sys.stdin.isatty() and terminal.live):
        terminal.say("eventctl: nobody can be asked here")
        terminal.say("hint: --yes")
        return False
    return True
