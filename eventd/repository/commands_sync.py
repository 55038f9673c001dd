"""`eventctl sync [--wait]`: ask for a run, and watch it."""

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
    """Ask for a run; with --wait the exit code is the run's."""
    client = Client(arguments.socket)
    body = {
        "wait": arguments.wait,
        "fetch": not arguments.no_fetch,
        "allow_rewrite": arguments.allow_rewrite,
    }
    if not arguments.wait:
        answer: Json = client.post(at("sync"), body)
        if arguments.json:
            terminal.json(answer)
        elif answer.get("joined") is not None:
            terminal.line(f"joined run {clean(answer['joined'])}; `eventctl status` shows the outcome")
        else:
            terminal.line("queued; `eventctl status` shows the outcome")
        return codes.AS_WANTED
    return watch(client, at("sync"), body, arguments, terminal)
