"""`eventctl suspend [WORKLOAD] [--reason TEXT]`: leave a workload, or the host, as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventd.cli import codes
from eventd.cli.text import clean
from eventd.client import Client, at

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal


def run(arguments: Any, terminal: Terminal) -> int:
    """Ask for it."""
    name = arguments.workload
    path = at("suspend", name) if name else at("suspend")
    answer: Json = Client(arguments.socket).post(path, {"reason": arguments.reason})
    if arguments.json:
        terminal.json(answer)
    else:
        again = f"eventctl resume {clean(name)}".strip()
        terminal.line(f"{clean(name) or 'this host'} is left as it is from now on; `{again}` ends that")
    return codes.AS_WANTED
