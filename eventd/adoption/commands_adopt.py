"""`eventctl adopt NAME`: explain what adopting an account means, ask, and do it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventd.cli import codes
from eventd.cli.follow import watch
from eventd.cli.text import clean
from eventd.client import Client, at

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal


MOVING = 300.0
"""Seconds for stopping units and moving their files aside."""


def run(arguments: Any, terminal: Terminal) -> int:
    """Show, ask and adopt; the exit code is the run's. Without --yes and without a terminal, only show."""
    client, path = Client(arguments.socket), at("adopt", arguments.name)
    found: Json = client.get(path)
    against = [each for each in found["obstacles"] if not (each.get("by_login") and arguments.with_login)]
    if not arguments.json:
        _show(found, terminal, refused=any(not each.get("by_login") for each in against))
    elif against or not arguments.yes:
        terminal.json(found)
    for each in against:
        terminal.notice(f"eventctl: {clean(each['message'])}")
        terminal.notice(f"hint: {clean(each['hint'])}")
    if against or not (arguments.yes or _agreed(found, arguments, terminal)):
        terminal.notice("nothing was done")
        return codes.NOT_CONVERGED
    if arguments.move_aside:
        _move_aside(path, arguments, terminal)
    body = {"with_login": arguments.with_login, "wait": True}
    return watch(client, path, body, arguments, terminal)


def _move_aside(path: str, arguments: Any, terminal: Terminal) -> None:
    """Move the account's own files aside and print where they are. Takes as long as their units take to stop."""
    moved: Json = Client(arguments.socket, timeout=MOVING).post(
        f"{path}/aside", {"with_login": arguments.with_login}
    )
    if moved["moved"] and not arguments.json:
        stopped = ", ".join(clean(each) for each in moved["stopped"]) or "nothing"
        terminal.line(f"stopped: {stopped}; moved {len(moved['moved'])} files into {clean(moved['aside'])}")


def _agreed(found: Json, arguments: Any, terminal: Terminal) -> bool:
    """Ask for confirmation if standard input is a terminal."""
    if not terminal.can_ask(as_json=arguments.json):
        return False
    said = input(f"Hand the account {clean(found['name'])} over to eventd? [y/N] ")
    return said.strip().lower() in ("y", "yes")


def _show(found: Json, terminal: Terminal, *, refused: bool) -> None:
    """Print the account and, if it can be adopted, what that means."""
    terminal.line(
        f"{clean(found['name'])}: uid {clean(found['uid'])}, home {clean(found['home'])}, shell {clean(found['shell'])}"
    )
    terminal.line("")
    if refused:
        return
    for each in found["means"]:
        terminal.line(f"- {clean(each)}")
    terminal.line("")
    if found.get("findings"):
        terminal.line("It already has:")
        for each in found["findings"]:
            terminal.line(f"- {clean(each)}")
        terminal.line("")
