"""`eventctl approvals [ID]`: requests for a signature, and how to sign them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventd.cli import codes, show
from eventd.cli.text import ago, clean, duration
from eventd.client import Client, at
from eventd.kernel.model.errors import PermanentError

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal

WAITING = ("requested",)


def run(arguments: Any, terminal: Terminal) -> int:
    """List the requests, show one, or export its document."""
    client = Client(arguments.socket)
    if arguments.id:
        row: Json = client.get(at("approvals", arguments.id))
        if arguments.export:
            export(row, arguments.export, terminal)
        elif arguments.json:
            terminal.json(row)
        else:
            one(terminal, row)
            _how(terminal, row)
        return codes.HELD if row.get("state") in WAITING else codes.AS_WANTED
    if arguments.export:
        raise PermanentError("--export needs an ID", reason="usage", hint="eventctl approvals lists them")
    answer: Json = client.get(at("approvals"), {"all": 1} if arguments.all else None)
    rows = show.items(answer, "approvals")
    if arguments.json:
        terminal.json(answer)
    else:
        _list(terminal, rows, show.items(answer, "refused"), everything=arguments.all)
    return codes.HELD if any(row.get("state") in WAITING for row in rows) else codes.AS_WANTED


def export(row: Json, path: str, terminal: Terminal) -> None:
    """Write the document to sign, byte for byte; `-`: to stdout."""
    document = str(row.get("document", ""))
    if path == "-":
        terminal.out.write(document)
        return
    try:
        Path(path).write_text(document, encoding="utf-8", newline="")
    except OSError as error:
        raise PermanentError(f"cannot write {path}: {error.strerror}", reason="unwritable") from error
    identity = clean(row.get("id", ""))
    terminal.notice(f"sign it:    ssh-keygen -Y sign -n {namespace(row)} -f ~/.ssh/id_ed25519 {path}")
    terminal.notice(f"submit it:  eventctl approve {identity} --signature {path}.sig")


def namespace(row: Json) -> str:
    """Return the namespace for signatures (ssh-keygen -n)."""
    from eventd.approvals.model import NAMESPACE  # noqa: PLC0415

    return clean(row.get("namespace", "")) or NAMESPACE


def one(terminal: Terminal, row: Json) -> None:
    """Write a request in full: what is signed, for people."""
    state = clean(row.get("state", ""))
    terminal.line(f"{clean(row.get('id', ''))}: {terminal.paint(state, _colour(state))}")
    terminal.paragraph(f"why:       {clean(row.get('why', ''))}", "  ")
    for each in show.items(row, "plan"):
        lead = f"{clean(each.get('action', ''))} {clean(each.get('target', ''))}"
        terminal.paragraph(f"plan:      {lead}: {clean(each.get('does', ''))}", "  ")
    for each in show.items(row, "resources"):
        terminal.paragraph(f"resource:  {clean(each)}", "  ", style="bold")
    terminal.line(f"  digest:    {clean(row.get('digest', ''))}")
    terminal.line(f"  asked for: {ago(row.get('created'), terminal.now)}")
    terminal.line(f"  expires:   {_until(row.get('expires'), terminal)}")
    if row.get("signer"):
        terminal.line(f"  signed by: {clean(row['signer'])}, from {clean(row.get('origin', ''))}")
    elif row.get("origin"):
        terminal.line(f"  said by:   {clean(row['origin'])}")
    if row.get("run"):
        terminal.line(f"  used in:   run {clean(row['run'])}")


def _how(terminal: Terminal, row: Json) -> None:
    if row.get("state") not in WAITING:
        return
    identity = clean(row.get("id", ""))
    terminal.line()
    terminal.line(f"  approve:   eventctl approve {identity} --key ~/.ssh/id_ed25519")
    terminal.line(f"  elsewhere: eventctl approvals {identity} --export {identity}.json")
    terminal.line(f"  refuse:    eventctl reject {identity}")


def _list(terminal: Terminal, rows: list[Json], refused: list[Json], *, everything: bool) -> None:
    for row in rows:
        one(terminal, row)
        _how(terminal, row)
        terminal.line()
    if not rows:
        terminal.line("nothing waits for an approval" if not everything else "there have been no requests")
    if refused:
        terminal.line(terminal.paint("refused signatures", "bold"))
    for each in refused:
        times = f" ({clean(each['times'])} times)" if each.get("times", 1) != 1 else ""
        said = f"{clean(each.get('reason', ''))}: {clean(each.get('message', ''))}"
        lead = f"{ago(each.get('at'), terminal.now)}, {clean(each.get('request', ''))}"
        terminal.paragraph(f"{lead}, from {clean(each.get('origin', ''))}: {said}{times}", "  ")


def _until(value: object, terminal: Terminal) -> str:
    if not isinstance(value, (int, float)):
        return ""
    left = value - terminal.now
    return f"in {duration(left)}" if left > 0 else f"{duration(-left)} ago"


def _colour(state: str) -> str:
    return {"requested": "yellow", "approved": "green", "done": "green", "spent": "cyan"}.get(state, "dim")


def confirmed(arguments: Any, terminal: Terminal, question: str) -> bool:
    """Ask for confirmation; without a terminal the answer is no, and a script passes --yes."""
    if not terminal.can_ask(as_json=arguments.json):
        return False
    terminal.err.write(f"{question} [y/N] ")
    terminal.err.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
