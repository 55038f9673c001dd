"""`eventctl explain [REASON]`: what a reason means, and what to do about it. Needs no daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventd.cli import codes
from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.names import did_you_mean
from eventd.status.adapter_reasons import find, plain, table

if TYPE_CHECKING:
    from eventd.cli.terminal import Terminal
    from eventd.status.adapter_reasons import Reason


def run(arguments: Any, terminal: Terminal) -> int:
    """Explain one reason, or list all."""
    if not arguments.reason:
        _all(arguments, terminal)
        return codes.AS_WANTED
    name = arguments.reason.strip().lower()
    found = find(name)
    if found is None:
        raise PermanentError(
            f"unknown reason {name!r}",
            reason="no-such-reason",
            hint=did_you_mean(name, [each.name for each in table()])
            or "eventctl explain lists them all; D-Bus error names are explained by their own message",
        )
    if arguments.json:
        terminal.json(_document(found, name))
        return codes.AS_WANTED
    terminal.line(f"{terminal.paint(name, 'bold')}: {plain(found.meaning)}")
    terminal.line(f"what to do: {plain(found.way_out)}")
    return codes.AS_WANTED


def _all(arguments: Any, terminal: Terminal) -> None:
    if arguments.json:
        terminal.json({"reasons": [_document(each, each.name) for each in table()]})
        return
    group = ""
    for each in table():
        if each.group != group:
            group = each.group
            terminal.line(terminal.paint(group, "bold"))
        terminal.line(f"  {each.name:<26} {plain(each.meaning)}")


def _document(found: Reason, name: str) -> dict[str, str]:
    return {
        "reason": name,
        "group": found.group,
        "meaning": plain(found.meaning),
        "way_out": plain(found.way_out),
    }
