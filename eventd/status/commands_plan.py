"""`eventctl plan`: what a run would do now. Exits with 0 if there is nothing to do, as diff(1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventd.cli import codes, show
from eventd.cli.text import clean, clean_lines, count, short
from eventd.client import Client, at

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal

_FETCH = 180.0
"""Seconds to wait for the answer. The daemon has its own deadline for a fetch (repository.timeout, default 120 s)."""
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def run(arguments: Any, terminal: Terminal) -> int:
    """Show the answer of the daemon."""
    client = Client(arguments.socket, timeout=_FETCH) if arguments.fetch else Client(arguments.socket)
    answer: Json = client.get(at("plan"), {"fetch": 1} if arguments.fetch else None)
    if arguments.json:
        terminal.json(answer)
    else:
        plan(terminal, answer, diffs=not arguments.no_diff)
    return _code(answer)


def _code(answer: Json) -> int:
    """Return HELD only if every remaining action is held, and the repository has no errors."""
    broken = any(each.get("severity") == "error" for each in show.items(answer, "diagnostics"))
    if broken or show.items(answer, "refused"):
        return codes.NOT_CONVERGED
    busy = [each for each in show.items(answer, "workloads") if _told_of(each)]
    if not busy:
        return codes.AS_WANTED
    return codes.HELD if all(_verdict(each) == "hold" for each in busy) else codes.NOT_CONVERGED


def _told_of(workload: Json) -> bool:
    """Return whether a workload has actions, or something that forbids them."""
    return bool(show.items(workload, "actions") or show.items(workload, "verdicts"))


def _verdict(workload: Json) -> str:
    """Return the strictest verdict on a workload: deny, hold, or allow."""
    kinds = {_kind(each) for each in show.items(workload, "verdicts")}
    return next((kind for kind in ("deny", "hold") if kind in kinds), "allow")


def _kind(verdict: object) -> str:
    said = verdict.get("verdict", "deny") if isinstance(verdict, dict) else verdict
    return clean(said).lower()


def plan(terminal: Terminal, answer: Json, *, diffs: bool) -> None:
    """Write a plan."""
    total = 0
    for workload in show.items(answer, "workloads"):
        actions = show.items(workload, "actions")
        if not _told_of(workload):
            continue
        total += len(actions)
        name = terminal.paint(clean(workload.get("name", "")), "bold")
        terminal.line(f"{name}: {count(len(actions), 'action')}")
        rows = [[clean(each.get(key, "")) for key in ("verb", "target", "reason")] for each in actions]
        terminal.table(("ACTION", "TARGET", "REASON"), rows, indent="  ")
        for verdict in show.items(workload, "verdicts"):
            _show_verdict(terminal, verdict)
        for action in actions if diffs else ():
            diff(terminal, str(action.get("diff") or ""), "  ")
        terminal.line()
    for refused in show.items(answer, "refused"):
        terminal.line(
            f"{terminal.paint(clean(refused.get('name', '')), 'bold')}: {terminal.state('refused')}"
        )
        show.diagnostics(terminal, show.items(refused, "diagnostics"), "  ")
        terminal.line()
    show.diagnostics(terminal, show.items(answer, "diagnostics"))
    commit = f" at {short(answer['commit'])}" if answer.get("commit") else ""
    text = f"{count(total, 'action')} to do{commit}" if total else f"nothing to do{commit}"
    if show.items(answer, "refused"):
        text += f"; {count(len(show.items(answer, 'refused')), 'workload')} refused and left alone"
    terminal.line(text)


def _show_verdict(terminal: Terminal, verdict: object) -> None:
    """Write a hold or a denial; nothing for an Allow."""
    kind = _kind(verdict)
    if kind in ("", "allow"):
        return
    told = verdict if isinstance(verdict, dict) else {}
    words = [clean(told.get(key, "")) for key in ("action", "target", "reason", "message") if told.get(key)]
    waits = [clean(each) for each in show.items(told, "waits_for")]
    if waits:
        words.append("waits for " + ", ".join(waits))
    said = terminal.paint(kind, "yellow" if kind == "hold" else "red")
    terminal.line(f"  {said}: " + ": ".join(words) if words else f"  {said}")
    show.hint(terminal, told.get("hint"), "    ")


def diff(terminal: Terminal, text: str, indent: str) -> None:
    """Write a unified diff in the usual colours."""
    for line in clean_lines(text).rstrip("\n").split("\n") if text else ():
        style = "bold" if line.startswith(("---", "+++")) else _COLOURS.get(line[:1], "")
        terminal.line(indent + terminal.paint(line, style))
