"""`eventctl doctor`: checks of this host, and the daemon's own if it runs; problems come first."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from eventd.cli import codes, show
from eventd.cli.text import clean, count, wrap
from eventd.client import Client, at
from eventd.desired.commands_checkout import CONFIG
from eventd.doctor import commands_checks as doctor
from eventd.doctor.adapter_host import HostProbe
from eventd.kernel.model.errors import EventdError

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal


def run(arguments: Any, terminal: Terminal) -> int:
    """Run the checks and show them; AS_WANTED only if every check is fine."""
    checks: list[Json] = [asdict(each) for each in doctor.examine(HostProbe(), arguments.config or CONFIG)]
    checks += _daemon(Client(arguments.socket, timeout=10.0))
    bad = [each for each in checks if not each.get("ok")]
    if arguments.json:
        terminal.json({"checks": checks})
    else:
        for each in sorted(checks, key=lambda each: bool(each.get("ok"))):
            _show(terminal, each, max(len(clean(other.get("name", ""))) for other in checks))
        terminal.line()
        good = len(checks) - len(bad)
        terminal.line(f"{count(len(bad), 'problem')}, {good} fine" if bad else f"all {good} checks are fine")
    return codes.NOT_CONVERGED if bad else codes.AS_WANTED


def _daemon(client: Client) -> list[Json]:
    """Return the daemon's checks, or one that says it does not answer."""
    try:
        answer: Json = client.get(at("doctor"))
    except EventdError as error:
        hint = error.hint
        if error.reason == "no-daemon":
            hint = "systemctl enable --now eventd; if it exits: journalctl -u eventd -n 50"
        return [{"name": "daemon", "ok": False, "message": error.message, "hint": hint}]
    reached = {"name": "daemon", "ok": True, "message": f"answers at {client.path}", "hint": ""}
    return [reached, *show.items(answer, "checks")]


def _show(terminal: Terminal, check: Json, wide: int) -> None:
    mark = terminal.paint("ok ", "green") if check.get("ok") else terminal.paint("BAD", "red")
    indent = " " * (wide + 6)
    columns = terminal.columns
    first, *more = [
        line
        for text in str(check.get("message", "")).split("\n")
        for line in wrap(clean(text), "", columns=None if columns is None else max(20, columns - len(indent)))
    ]
    terminal.line(f"{mark} {clean(check.get('name', '')):<{wide}}  {first}")
    terminal.lines(indent + line for line in more)
    show.hint(terminal, check.get("hint"), indent)
