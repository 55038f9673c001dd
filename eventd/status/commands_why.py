"""`eventctl why WORKLOAD`: a sentence, and the facts behind it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from eventd.cli import codes, show
from eventd.cli.text import clean
from eventd.client import Client, at

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal


def run(arguments: Any, terminal: Terminal) -> int:
    """Show the answer; facts that are not met come first."""
    answer: Json = Client(arguments.socket).get(at("why", arguments.workload))
    if arguments.json:
        terminal.json(answer)
    else:
        terminal.paragraph(clean(answer.get("sentence", "")))
        show.hint(terminal, answer.get("hint"), "")
        if said := show.attempts(terminal, answer):
            terminal.line(said)
        facts = sorted(show.items(answer, "facts"), key=lambda fact: fact.get("holds") is True)
        marks = {True: "yes", False: "NO"}
        rows = [
            [
                marks.get(fact.get("holds"), ""),
                clean(fact.get("fact", "")),
                _value(fact.get("value")),
                _value(fact.get("wanted")),
            ]
            for fact in facts
        ]
        if rows:
            terminal.line()
        terminal.table(("HOLDS", "FACT", "IS", "WANTED"), rows)
    return codes.of_state(str(answer.get("state", "")))


def _value(value: object) -> str:
    match value:
        case None:
            return "unknown"
        case bool():
            return "yes" if value else "no"
        case dict() | list():
            return clean(json.dumps(value))
        case _:
            return clean(value)
