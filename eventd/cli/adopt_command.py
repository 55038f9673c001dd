"""`eventctl adopt NAME`: say what it means to hand an account over to eventd, ask, and do it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from eventd.cli import codes
from eventd.cli.follow import watch
from eventd.cli.text import clean
from eventd.client import Client, at
from eventd.core.errors import PermanentError

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal


def run(arguments: Any, terminal: Terminal) -> int:
    """Show, ask and hand over; the exit code is the run's. Without --yes, and without anybody to ask: only show."""
    client, path = Client(arguments.socket), at("adopt", arguments.name)
    found: Json = client.get(path)
    against = [each for each in found["obstacles"] if not (each.get("by_login") and arguments.with_login)]
    if not arguments.json:
        _show(found, terminal)
    if against:
        if arguments.json:
            terminal.json(found)
        for each in against:
            terminal.say(f"eventctl: {clean(each['message'])}")
            terminal.say(f"hint: {clean(each['hint'])}")
        return codes.NOT_CONVERGED
    if not arguments.yes:
        if arguments.json or not (sys.stdin.isatty() and terminal.live):
            if arguments.json:
                terminal.json(found)
            raise PermanentError(
                "nothing is done: nobody can be asked here", reason="not-confirmed", hint="--yes"
            )
        if input(f"Hand the account {found['name']} over to eventd? [y/N] ").strip().lower() not in (
            "y",
            "yes",
        ):
            terminal.line("nothing is done")
            return codes.NOT_CONVERGED
    body = {"with_login": arguments.with_login, "wait": True}
    return watch(client, path, body, arguments, terminal)


def _show(found: Json, terminal: Terminal) -> None:
    terminal.line(
        f"{clean(found['name'])}: uid {clean(found['uid'])}, home {clean(found['home'])}, shell {clean(found['shell'])}"
    )
    terminal.line("")
    for each in found["means"]:
        terminal.line(f"- {clean(each)}")
    terminal.line("")
