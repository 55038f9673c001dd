"""Print findings, runs and journal lines for people; shared by the commands.

Takes the API's JSON unchecked: a field that is missing (another version of the daemon) counts as empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventd.cli.text import ago, clean, clean_lines, count, cut, duration, short

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from eventd.cli.terminal import Terminal

Json = dict[str, Any]
BRIEF = 8
"""Journal lines to show where another command shows all."""
_TELLING = ("request", "webhook", "git", "udev", "logind")
"""Origins of triggers, most telling first."""
URGENCY = (
    "failed",
    "refused",
    "rolled-back",
    "held",
    "verifying",
    "applying",
    "pending",
    "at-risk",
    "converged",
    "removed",
)
"""States of workloads in the order in which a person wants to see them."""


def items(value: Mapping[str, Any], key: str) -> list[Any]:
    """Return a list from an answer, empty if it is missing."""
    found = value.get(key)
    return found if isinstance(found, list) else []


def diagnostic(terminal: Terminal, value: Json) -> str:
    """Return `file:line: severity: [key] message`, the format of compilers."""
    place = clean(value.get("file", ""))
    if value.get("line"):
        place += f":{value['line']}"
    severity = clean(value.get("severity", "error"))
    key = f"[{clean(value['key'])}] " if value.get("key") else ""
    said = terminal.paint(severity, "red" if severity == "error" else "yellow")
    return f"{place + ': ' if place else ''}{said}: {key}{clean(value.get('message', ''))}"


def diagnostics(terminal: Terminal, values: Iterable[Json], indent: str = "") -> None:
    """Write findings, each with its remedy below it."""
    for value in values:
        terminal.line(indent + diagnostic(terminal, value))
        hint(terminal, value.get("hint", ""), indent + "  ")


def hint(terminal: Terminal, text: object, indent: str) -> None:
    """Write what to do, if there is a hint."""
    if text:
        terminal.paragraph(f"hint: {clean(text)}", indent, style="cyan")


def problem(terminal: Terminal, value: Json, indent: str = "", *, lead: str = "", style: str = "") -> None:
    """Write `reason: message` and the hint; nothing if there are none."""
    said = [clean(value[key]) for key in ("reason", "message") if value.get(key)]
    if said:
        terminal.paragraph(lead + ": ".join(said), indent, style=style)
    hint(terminal, value.get("hint"), indent + ("  " if lead else ""))


def attempts(terminal: Terminal, value: Json) -> str:
    """Return `attempt 3 failed, next try in 30 s`, as much of it as is known; empty if nothing is."""
    said = [f"attempt {value['attempts']} failed"] if value.get("attempts") else []
    if retry := ago(value.get("retry_at"), terminal.now):
        overdue = retry.endswith(" ago")
        said.append(f"next try {retry.removesuffix(' ago')} overdue" if overdue else f"next try {retry}")
    return ", ".join(said)


def journal(terminal: Terminal, lines: Iterable[object], indent: str, *, brief: str = "") -> None:
    """Write journal lines, whole as evidence; with `brief`, the last ones and the command for the rest."""
    texts = [f"{indent}| {text}" for entry in lines for text in clean_lines(entry).split("\n")]
    if brief:
        earlier = len(texts) - BRIEF
        texts = [text if terminal.columns is None else cut(text, terminal.columns) for text in texts[-BRIEF:]]
        if earlier > 0:
            texts.insert(0, f"{indent}| ({count(earlier, 'earlier line')}: {brief})")
    terminal.lines(terminal.paint(text, "dim") for text in texts)


def trigger(value: Json) -> str:
    """Return what triggered a run, as `webhook pushed main`."""
    return " ".join(clean(value.get(key, "")) for key in ("origin", "kind", "subject")).strip()


def triggers(run: Json, most: int = 2) -> str:
    """Return the most telling triggers of a run; equal ones are counted once.

    A run also sees events that eventd caused itself (files that changed, units that were loaded). Requests and
    changes of the repository are named first.
    """
    found = sorted(items(run, "triggers"), key=lambda each: _rank(_TELLING, each.get("origin")))
    names = [cut(name, 60) for name in dict.fromkeys(trigger(each) for each in found)]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def loss(terminal: Terminal, value: Json) -> None:
    """Write one loss of the state file: what happened, where the damaged file is, and what is still managed."""
    known = "acknowledged" if value.get("acknowledged") else "not acknowledged: eventctl state --acknowledge"
    terminal.paragraph(
        f"state file set aside {ago(value.get('at'), terminal.now)} ({known}): {clean(value.get('why', ''))}",
        "",
        style="" if value.get("acknowledged") else "red",
    )
    if value.get("kept"):
        terminal.line(f"  kept as {clean(value['kept'])}")
    if items(value, "restored"):
        terminal.paragraph(
            "still managed: " + ", ".join(clean(each) for each in items(value, "restored")), "  "
        )
    if items(value, "unproven"):
        names = ", ".join(clean(each) for each in items(value, "unproven"))
        terminal.paragraph(f"left alone, no longer proven to be eventd's (eventctl adopt): {names}", "  ")


def recovery(terminal: Terminal, value: Json) -> None:
    """Write in one line which steps the last start found unfinished."""
    runs = ", ".join(clean(each) for each in items(value, "runs"))
    tally: dict[str, int] = {}
    for each in items(value, "steps"):
        ended = clean(each.get("ended", ""))
        tally[ended] = tally.get(ended, 0) + 1
    steps = ", ".join(f"{number} {ended}" for ended, number in tally.items())
    text = f"the previous daemon process left {count(value.get('found', 0), 'step')} unfinished"
    text += f" in run {runs}" if runs else ""
    text += f": {steps}" if steps else ""
    if value.get("pending"):
        text += f"; {value['pending']} cannot be settled yet"
    terminal.line(text)


def recovered(terminal: Terminal, steps: Iterable[Json]) -> None:
    """Write how each unfinished step was settled."""
    rows = [[clean(each.get(key, "")) for key in ("workload", "verb", "ended", "note")] for each in steps]
    if rows:
        terminal.table(("WORKLOAD", "STEP", "ENDED", ""), rows, indent="  ")


def took(run: Json, now: float) -> str:
    """Return how long a run took, or has been running for."""
    started, ended = run.get("started"), run.get("ended")
    if not isinstance(started, int | float):
        return ""
    return duration((ended if isinstance(ended, int | float) else now) - started)


def outcome(run: Json) -> str:
    """Return the results of a run's workloads, as `3 ok, 1 failed`."""
    tally: dict[str, int] = {}
    for each in items(run, "workloads"):
        result = clean(each.get("result", ""))
        tally[result] = tally.get(result, 0) + 1
    return ", ".join(f"{number} {result}" for result, number in tally.items())


def run_line(terminal: Terminal, run: Json) -> str:
    """Return a run in one line."""
    result = clean(run.get("result", ""))
    when = f"started {ago(run.get('started'), terminal.now)}"
    if run.get("ended") is not None:
        when = f"{ago(run.get('ended'), terminal.now)} in {took(run, terminal.now)}"
    parts = [f"run {clean(run.get('id', ''))}: {terminal.state(result)} {when}"]
    if run.get("commit"):
        parts.append(f"at {short(run['commit'])}")
    if items(run, "triggers"):
        parts.append(f"because of {triggers(run)}")
    return ", ".join(parts)


def run_workloads(terminal: Terminal, run: Json) -> None:
    """Write the result of each workload of a run, failures first; unchanged ones are counted."""
    if run.get("error"):
        terminal.paragraph(clean(run["error"]), "  ", style="red")
    order = ("failed", "refused", "held", "superseded", "ok")
    shown = [each for each in items(run, "workloads") if each.get("result") != "unchanged"]
    shown.sort(key=lambda each: _rank(order, each.get("result")))
    rows = []
    for each in shown:
        result = clean(each.get("result", ""))
        reason, message = clean(each.get("reason", "")), clean(each.get("message", ""))
        rows.append(
            [
                clean(each.get("name", "")),
                result,
                count(each["actions"], "action") if each.get("actions") else "",
                duration(each["seconds"]) if each.get("seconds") else "",
                f"{reason}: {message}" if reason and message else reason or message,
            ]
        )
    terminal.table(("WORKLOAD", "RESULT", "ACTIONS", "TOOK", "REASON"), rows, indent="  ")
    for each in shown:
        remedy = each.get("hint") if str(each.get("hint")) not in str(each.get("message")) else ""
        if remedy or each.get("log"):
            terminal.line(f"  {clean(each.get('name', ''))}:")
            hint(terminal, remedy, "    ")
            name = clean(each.get("name", ""))
            journal(terminal, items(each, "log"), "    ", brief=f"eventctl status {name}")
    unchanged = len(items(run, "workloads")) - len(shown)
    if unchanged:
        terminal.line(f"  {count(unchanged, 'workload')} unchanged")


def _rank(order: tuple[str, ...], name: object) -> int:
    return order.index(name) if name in order else len(order)


def urgency(workload: Json) -> tuple[int, str]:
    """Sort key of a workload's status: failing ones first, then by name."""
    return _rank(URGENCY, workload.get("state")), str(workload.get("name", ""))
