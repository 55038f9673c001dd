"""`eventctl retained [NAME]`: accounts and data of removed workloads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventd.cli import codes, show
from eventd.cli.text import ago, clean, count, size_text
from eventd.client import Client, at

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal


def run(arguments: Any, terminal: Terminal) -> int:
    """List the retained accounts, or measure one."""
    client = Client(arguments.socket)
    if arguments.name:
        row: Json = client.get(at("retained", arguments.name))
        if arguments.json:
            terminal.json(row)
        else:
            _one(terminal, row)
        return codes.AS_WANTED
    answer: Json = client.get(at("retained"))
    rows = show.items(answer, "retained")
    if arguments.json:
        terminal.json(answer)
    elif not rows:
        terminal.line("nothing is retained")
    else:
        header = ("WORKLOAD", "LEFT", "UID", "HOME", "DATA", "DELETION")
        terminal.table(
            header,
            [
                [
                    clean(each.get("name", "")),
                    ago(each.get("since"), terminal.now),
                    clean(each.get("uid", "")),
                    clean(each.get("home", "")),
                    clean(each.get("data", "")),
                    _deletion(each),
                ]
                for each in rows
            ],
        )
    return codes.AS_WANTED


def _one(terminal: Terminal, row: Json) -> None:
    terminal.line(f"{clean(row.get('name', ''))} left the repository {ago(row.get('since'), terminal.now)}")
    terminal.line(f"  account:  uid {clean(row.get('uid', ''))}, {clean(row.get('ownership', ''))} by eventd")
    terminal.line(f"  home:     {clean(row.get('home', ''))}")
    if "bytes" in row:
        more = "" if row.get("complete") else "more than "
        terminal.line(
            f"  contains: {more}{size_text(row['bytes'])} in {more}{count(int(row.get('files', 0)), 'file')}"
        )
        names = ", ".join(clean(each) for each in show.items(row, "top"))
        terminal.paragraph(f"in it:    {names or 'nothing'}", "  ")
    said = f" ({clean(row['said_by'])[:12]})" if row.get("said_by") else ""
    terminal.line(f"  data:     {clean(row.get('data', ''))}{said}")
    if _deletion(row):
        terminal.line(f"  deletion: {_deletion(row)}")
    if row.get("approval"):
        terminal.line(f"  approve:  eventctl approvals {clean(row['approval'])}")
    elif row.get("data") != "delete":
        terminal.line(f"  delete:   eventctl remove {clean(row.get('name', ''))} --data delete")


def _deletion(row: Json) -> str:
    kind = clean(row.get("deletion", ""))
    return f"{kind} ({clean(row['approval'])})" if row.get("approval") else kind
