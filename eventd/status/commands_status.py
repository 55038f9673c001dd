"""`eventctl status [WORKLOAD]`: the state of the host; what is not as desired comes first, in full."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventd.cli import codes, show
from eventd.cli.text import ago, clean, count, lasting, short
from eventd.client import Client, at

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal

_QUIET = ("converged", "removed")


def run(arguments: Any, terminal: Terminal) -> int:
    """Show the status; the exit code follows the state."""
    client = Client(arguments.socket)
    name = arguments.workload
    answer: Json = client.get(at("status", name) if name else at("status"))
    code = codes.of_state(str(answer.get("state", "")))
    if arguments.json:
        terminal.json(answer)
    elif name:
        workload(terminal, answer)
    else:
        host(terminal, answer)
    return code


def host(terminal: Terminal, status: Json) -> None:
    """Write the whole host."""
    _headline(terminal, status)
    workloads = sorted(show.items(status, "workloads"), key=show.urgency)
    loud = [each for each in workloads if each.get("state") not in _QUIET or _own_suspension(status, each)]
    for each in loud:
        terminal.line()
        _trouble(terminal, each)
    quiet = [each for each in workloads if each not in loud]
    if quiet:
        terminal.line()
        rows = [
            [
                clean(each.get("name", "")),
                clean(each.get("state", "")),
                ago(each.get("since"), terminal.now),
                short(each.get("commit")),
                _units(each),
                count(len(show.items(each, "diagnostics")), "warning") if each.get("diagnostics") else "",
            ]
            for each in quiet
        ]
        terminal.table(("WORKLOAD", "STATE", "SINCE", "COMMIT", "UNITS", ""), rows)
    if not workloads:
        terminal.line()
        terminal.line("no workloads")


def _own_suspension(status: Json, workload: Json) -> bool:
    """Return whether a workload has its own suspension: that of the host is shown once."""
    return bool(workload.get("suspended")) and workload.get("suspended") != status.get("suspended")


def _headline(terminal: Terminal, status: Json) -> None:
    state = clean(status.get("state", ""))
    text = f"{terminal.paint(clean(status.get('host', '')), 'bold')}: {terminal.state(state)}"
    if since := lasting(status.get("since"), terminal.now):
        text += f" {since}"
    if status.get("commit"):
        text += f", at {short(status['commit'])}"
    terminal.line(text)
    if status.get("repository"):
        terminal.line(f"{clean(status['repository'])}, branch {clean(status.get('branch', ''))}")
    if stopped := status.get("suspended"):
        since, why = lasting(stopped.get("since"), terminal.now), clean(stopped.get("why", ""))
        by = clean(stopped.get("by", ""))
        terminal.paragraph(f"suspended {since} by {by}{f': {why}' if why else ''}", style="yellow")
    failure = status.get("fetch_failure")
    if failure:
        since = lasting(failure.get("since"), terminal.now)
        show.problem(terminal, failure, lead=f"cannot fetch {since}: ", style="red")
    for each in show.items(status, "state_losses"):
        show.loss(terminal, each)
    _updates(terminal, status)
    if status.get("recovery"):
        show.recovery(terminal, status["recovery"])
    if status.get("load_error"):
        show.problem(terminal, status["load_error"], lead="cannot use the repository: ", style="red")
    for each in show.items(status, "troubles"):
        show.problem(terminal, each, lead=f"{clean(each.get('name', ''))}: ", style="red")
    if status.get("run"):
        terminal.line(f"now: {show.run_line(terminal, status['run'])}")
    if status.get("last_run"):
        last = f"last {show.run_line(terminal, status['last_run'])}"
        terminal.line(last)
        if status["last_run"].get("error"):
            terminal.paragraph(clean(status["last_run"]["error"]), "  ", style="red")
    show.diagnostics(terminal, show.items(status, "diagnostics"))


def _updates(terminal: Terminal, status: Json) -> None:
    """Write which updates failed: the previous image runs, so nothing else shows it."""
    told = status.get("updates") or {}
    failed = show.items(told, "failed")
    if not failed:
        return
    of = count(int(told.get("workloads") or 0), "workload")
    terminal.paragraph(f"updates: the last one failed for {len(failed)} of {of}", style="red")
    for each in failed:
        name, when = clean(each.get("workload", "")), ago(each.get("at"), terminal.now)
        said = f"{clean(each.get('reason', ''))}: {clean(each.get('message', ''))}"
        terminal.paragraph(f"{name}, {when}: {said}", "  ")
    terminal.line("  hint: eventctl images shows what runs; this is shown until an update succeeds")


def _trouble(terminal: Terminal, status: Json) -> None:
    """Write a workload that is not as desired: what, since when, why, what to do, and the evidence."""
    state = clean(status.get("state", ""))
    text = f"{terminal.paint(clean(status.get('name', '')), 'bold')}: {terminal.state(state)}"
    if since := lasting(status.get("since"), terminal.now):
        text += f" {since}"
    text += _revisions(status)
    terminal.line(text)
    if status.get("step"):
        terminal.line(f"  now: {clean(status['step'])}")
    if not show.items(status, "diagnostics"):  # they are the reason, each with its own hint
        show.problem(terminal, status, "  ")
    if stopped := status.get("suspended"):
        since, why = lasting(stopped.get("since"), terminal.now), clean(stopped.get("why", ""))
        by = clean(stopped.get("by", ""))
        terminal.paragraph(f"suspended {since} by {by}{f': {why}' if why else ''}", "  ", style="yellow")
    waits = [clean(each) for each in show.items(status, "waits_for")]
    if waits:
        terminal.paragraph("waits for " + ", ".join(waits), "  ")
    if said := show.attempts(terminal, status):
        terminal.line(f"  {said}")
    show.diagnostics(terminal, show.items(status, "diagnostics"), "  ")
    _unit_table(terminal, [unit for unit in show.items(status, "units") if not _as_wanted(unit)])
    name = clean(status.get("name", ""))
    show.journal(terminal, show.items(status, "log"), "  ", brief=f"eventctl status {name}")


def _revisions(status: Json) -> str:
    have, want = short(status.get("commit")), short(status.get("wanted_commit"))
    if want and have != want:
        return f", at {have}, wanted {want}" if have else f", wanted {want}"
    return f", at {have}" if have else ""


def workload(terminal: Terminal, status: Json) -> None:
    """Write one workload in full."""
    _trouble(terminal, {**status, "units": [], "log": []})
    last = status.get("last_update") or {}
    if last and not last.get("ok"):
        said = f"{clean(last.get('reason', ''))}: {clean(last.get('message', ''))}"
        terminal.paragraph(
            f"the last update failed {ago(last.get('at'), terminal.now)}: {said}", "  ", style="red"
        )
    if status.get("uid") is not None:
        terminal.line(f"  uid {status['uid']}")
    _unit_table(terminal, show.items(status, "units"))
    show.journal(terminal, show.items(status, "log"), "  ")


def _as_wanted(unit: Json) -> bool:
    """Return whether a unit is as desired and needs no line; `wanted` is a role (UnitRole) or a state."""
    wanted, active = unit.get("wanted"), unit.get("active")
    if active == "failed" or "auto-restart" in str(unit.get("sub")):  # in any of its four states
        return False
    return active in ("active", "reloading", "refreshing") or wanted not in ("running", "active")


def _units(status: Json) -> str:
    """Return how many units of a workload are as desired: `2/2`."""
    units = show.items(status, "units")
    return f"{sum(_as_wanted(unit) for unit in units)}/{len(units)}" if units else ""


def _unit_table(terminal: Terminal, units: list[Json]) -> None:
    rows = []
    for unit in units:
        active, sub = clean(unit.get("active", "")), clean(unit.get("sub", ""))
        result = clean(unit.get("result", ""))
        restarts = unit.get("restarts") or 0
        rows.append(
            [
                clean(unit.get("name", "")),
                clean(unit.get("wanted", "")),
                f"{active} ({sub})" if sub and sub != active else active,
                ago(unit.get("since"), terminal.now),
                result if result != "success" else "",
                str(restarts) if restarts else "",
                clean(unit.get("invocation", ""))[:12],
            ]
        )
    header = ("UNIT", "WANTED", "IS", "SINCE", "RESULT", "RESTARTS", "INVOCATION")
    terminal.table(header, rows, indent="  ")
