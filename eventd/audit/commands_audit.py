"""`eventctl audit [WORKLOAD]`: where units come from, and findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventd.cli import codes, show
from eventd.cli.text import clean, count
from eventd.client import Client, at

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal


def run(arguments: Any, terminal: Terminal) -> int:
    """Show the findings, then what was checked."""
    client = Client(arguments.socket)
    answer: Json = client.get(at("audit", arguments.workload) if arguments.workload else "/v1/audit")
    if arguments.json:
        terminal.json(answer)
    else:
        _show(answer, terminal)
    return codes.NOT_CONVERGED if answer.get("findings") else codes.AS_WANTED


def _show(answer: Json, terminal: Terminal) -> None:
    rows = show.items(answer, "workloads")
    for row in rows:
        for finding in show.items(row, "findings"):
            _finding(str(row.get("name", "")), finding, terminal)
    checked = [(row, unit) for row in rows for unit in show.items(row, "units")]
    terminal.table(
        ("WORKLOAD", "UNIT", "FROM", "DROP-INS", "STATE"),
        [
            [
                clean(row.get("name", "")),
                clean(unit.get("unit", "")),
                clean(unit.get("source_path") or unit.get("fragment_path") or "-"),
                str(len(unit.get("drop_ins") or ())),
                _state(unit),
            ]
            for row, unit in checked
        ],
    )
    for row in rows:
        if row.get("note"):
            terminal.paragraph(f"{clean(row.get('name', ''))}: {clean(row['note'])}")
    wrong = int(answer.get("findings") or 0)
    if checked:
        terminal.line()
    workloads = sum(bool(show.items(row, "units")) for row in rows)
    terminal.line(
        f"{count(len(checked), 'unit')} of {count(workloads, 'workload')} checked, "
        f"{count(wrong, 'finding') if wrong else 'nothing is wrong'}"
    )
    if allowed := [clean(path) for path in answer.get("allow") or ()]:
        terminal.paragraph(f"allowed by [provenance] allow: {', '.join(allowed)}")


def _finding(workload: str, finding: Json, terminal: Terminal) -> None:
    terminal.line(terminal.paint(f"{clean(workload)}: {clean(finding.get('code', ''))}", "bold"))
    terminal.paragraph(clean(finding.get("message", "")), "  ")
    for title, key in (("must be", "wanted"), ("shown by", "command"), ("to do", "fix")):
        # Not wrapped, so that commands can be copied.
        terminal.line(f"  {title}: {clean(finding.get(key, ''))}")
    terminal.line()


def _state(unit: Json) -> str:
    if not unit.get("known"):
        return "not known"
    if unit.get("stale"):
        return "to be reloaded"
    load, file_state = clean(unit.get("load", "")), clean(unit.get("file_state", ""))
    return load if not file_state or load == "masked" else f"{load}, {file_state}"
