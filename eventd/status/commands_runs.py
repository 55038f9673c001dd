"""`eventctl runs [ID]`: the history of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventd.cli import codes, show
from eventd.cli.text import ago, clean, count, short
from eventd.client import Client, at

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal


def run(arguments: Any, terminal: Terminal) -> int:
    """Show the runs; for one run the exit code is the run's."""
    client = Client(arguments.socket)
    if arguments.id is not None:
        one: Json = client.get(at("runs", arguments.id))
        if arguments.json:
            terminal.json(one)
        else:
            _one(terminal, one)
        return codes.of_state(str(one.get("result", "")))
    answer: Json = client.get(at("runs"), {"limit": arguments.limit})
    if arguments.json:
        terminal.json(answer)
    elif show.items(answer, "runs"):
        _list(terminal, show.items(answer, "runs"))
    else:
        terminal.line("no runs yet")
    return codes.AS_WANTED


def _list(terminal: Terminal, runs: list[Json]) -> None:
    rows = [
        [
            clean(each.get("id", "")),
            clean(each.get("result", "")),
            ago(each.get("started"), terminal.now),
            show.took(each, terminal.now),
            short(each.get("commit")),
            show.outcome(each),
            show.triggers(each),
        ]
        for each in sorted(runs, key=lambda each: each.get("id") or 0, reverse=True)
    ]
    terminal.table(("RUN", "RESULT", "STARTED", "TOOK", "COMMIT", "WORKLOADS", "BECAUSE OF"), rows)


def _one(terminal: Terminal, one: Json) -> None:
    terminal.line(show.run_line(terminal, {**one, "triggers": []}))
    for each in show.items(one, "triggers"):
        number = f" (event {clean(each['sequence'])})" if each.get("sequence") is not None else ""
        terminal.line(f"  because of {show.trigger(each)}{number}")
    if one.get("joined"):
        terminal.line(f"  {count(one['joined'], 'more request')} joined it")
    show.run_workloads(terminal, one)
    if show.items(one, "recovered"):
        terminal.line("  a crash left steps unfinished, which the next start settled:")
        show.recovered(terminal, show.items(one, "recovered"))
