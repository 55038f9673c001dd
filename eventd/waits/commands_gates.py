"""`eventctl gates`: who waits for whom. Shows the daemon's gates, or with `--units DIR` checks plain unit files.

Both give the same document (`eventd.waits.model_document`), shown as text, JSON or a picture.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventd.cli import codes, show
from eventd.cli.text import ago, clean, count
from eventd.client import Client, at
from eventd.kernel.model.errors import PermanentError
from eventd.waits.model_declared import NAME, NOTHING
from eventd.waits.model_draft import at as at_place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal
    from eventd.kernel.model.diagnostics import Diagnostic

_LISTED_KINDS = ("wait", "gate", "served")
MOST_SCRIPTS = 20
"""How many start scripts are listed."""


def run(arguments: Any, terminal: Terminal) -> int:
    """Show the daemon's gates; with `--units`, check folders of units."""
    if arguments.units:
        return _lint(arguments, terminal)
    answer: Json = Client(arguments.socket).get(at("gates"))
    picture = _picture(arguments, terminal, answer, "Who waits for whom")
    if arguments.json:
        terminal.json(answer)
    elif not picture:
        _gates(terminal, answer)
        _edges(terminal, answer)
        _cycles(terminal, answer)
        _notes(terminal, answer)
    if show.items(answer, "cycles"):
        return codes.NOT_CONVERGED
    held = any(gate.get("holds") is not True for gate in show.items(answer, "gates"))
    return codes.HELD if held else codes.AS_WANTED


def _lint(arguments: Any, terminal: Terminal) -> int:
    """Check folders of units. Return USAGE if they cannot be read, or their waits.toml has a mistake."""
    from eventd.cli.entry import fail  # noqa: PLC0415  it imports the commands

    try:
        answer, picture, mistakes = _read(arguments.units)
        drawn = _picture(arguments, terminal, picture, " ".join(arguments.units))
    except PermanentError as error:
        fail(error, arguments, terminal)
        return codes.USAGE  # not 1, which means circular
    if arguments.json:
        terminal.json(answer)
    elif not drawn:
        _findings(terminal, answer)
        _cycles(terminal, answer)
        _notes(terminal, answer)
        _undeclared(terminal, answer)
        terminal.line(_summary(answer, incomplete=mistakes))
    if mistakes:
        return codes.USAGE
    return codes.NOT_CONVERGED if show.items(answer, "cycles") else codes.AS_WANTED


def _read(folders: Sequence[str]) -> tuple[Json, Json, bool]:
    """Return the answer, the part of it for a picture, and whether waits.toml has a mistake."""
    from eventd.waits.adapter_unit_folder import read_scripts, read_units, read_waits  # noqa: PLC0415
    from eventd.waits.model_build import folder_graph  # noqa: PLC0415
    from eventd.waits.model_cycles import cycles  # noqa: PLC0415
    from eventd.waits.model_declared import check_names, parse_nothing, parse_waits  # noqa: PLC0415
    from eventd.waits.model_document import document, relevant  # noqa: PLC0415
    from eventd.waits.model_folder import read_catalogue  # noqa: PLC0415
    from eventd.waits.model_scripts import found_waits, named, undeclared  # noqa: PLC0415

    files = read_waits(folders)
    read = [parse_waits(content, path) for path, content in files]
    nothing = [place for path, content in files for place in parse_nothing(content, path)]
    waits = [wait for found, _ in read for wait in found]
    mistakes: list[Diagnostic] = [mistake for _, found in read for mistake in found]
    mentioned = [place.text for wait in waits for place in (wait.unit, *wait.served_by)]
    catalogue, syntax = read_catalogue(read_units(folders), mentioned)
    unknown = check_names(waits, catalogue.names(), nothing)
    wrong = {(finding.file, finding.line) for finding in unknown}
    good = [
        wait
        for wait in waits
        if not wrong & {(place.file, place.line) for place in (wait.unit, *wait.served_by)}
    ]
    mistakes += unknown
    specs = tuple(catalogue.specs.values())
    declared = frozenset([*(wait.unit.text for wait in waits), *(place.text for place in nothing)])
    scripts = undeclared(specs, declared, read_scripts(named(specs), folders))
    graph = folder_graph(catalogue, [*good, *found_waits(scripts)])
    found = cycles(graph)
    answer: Json = {
        "folders": list(folders),
        "units": sum(1 for spec in catalogue.specs.values() if spec.file),
        "waits": len(waits),
        "undeclared": [
            {
                "unit": each.unit,
                "stage": str(each.command.stage),
                "command": each.command.text,
                "file": each.command.file,
                "line": each.command.line,
                "script": each.script,
                "read": each.read,
                "signs": [
                    {
                        "what": sign.what,
                        "file": sign.place.file,
                        "line": sign.place.line,
                        "text": sign.place.text,
                    }
                    for sign in each.signs
                ],
            }
            for each in scripts
        ],
        "diagnostics": [asdict(each) for each in (*mistakes, *syntax)],
        **document(graph, found),
    }
    return answer, {**document(relevant(graph, found), found)}, bool(mistakes)


def _undeclared(terminal: Terminal, answer: Json) -> None:
    """Write the start scripts whose waits are not declared. The graph does not have them."""
    scripts = show.items(answer, "undeclared")
    if not scripts:
        return
    terminal.line("start scripts whose waits are not declared:")
    for each in scripts[:MOST_SCRIPTS]:
        place = at_place(str(each["file"]), int(each["line"]))
        script = each["script"] or each["command"]
        unread = "" if each["read"] else ", which cannot be read here"
        terminal.paragraph(f"  {clean(each['unit'])}: {clean(script)}{unread} ({clean(place)})")
        for sign in each["signs"]:
            where = at_place(str(sign["file"]), int(sign["line"]))
            terminal.paragraph(f"    - asks or waits: {clean(sign['what'])} ({clean(where)})")
    if len(scripts) > MOST_SCRIPTS:
        terminal.line(f"  and {len(scripts) - MOST_SCRIPTS} more; --json has all")
    terminal.paragraph(
        f'  say what each waits for in a {NAME} beside the units: [[wait]], or {NOTHING} = ["UNIT"]'
    )
    terminal.line()


def _summary(answer: Json, *, incomplete: bool) -> str:
    """Return the last line. With undeclared scripts, "none is circular" is only true of what is known."""
    scripts, cycles = len(show.items(answer, "undeclared")), len(show.items(answer, "cycles"))
    parts = [f"{count(answer['units'], 'unit')}, {count(answer['waits'], 'wait')}"]
    if scripts:
        whose = "whose waits are not declared"
        parts[0] += f" declared, {count(scripts, 'start script')} {whose}"
    if cycles:
        parts.append(f"{cycles} circular")
    else:
        none = "none of what is known is circular" if scripts else "none is circular"
        parts.append(none + (", as far as they could be read" if incomplete else ""))
    return "; ".join(parts)


def _picture(arguments: Any, terminal: Terminal, answer: Json, title: str) -> bool:
    """Write the picture if `--svg` is given; return whether it went to standard output."""
    if not arguments.svg:
        return False
    from eventd.waits.model_svg import draw  # noqa: PLC0415

    drawn = draw(answer, title)
    if arguments.svg == "-":
        terminal.out.write(drawn)
        return True
    try:
        Path(arguments.svg).write_text(drawn, encoding="utf-8")
    except OSError as error:
        raise PermanentError(
            f"cannot write {arguments.svg}: {error.strerror or error}", reason="unwritable"
        ) from error
    return False


def _findings(terminal: Terminal, answer: Json) -> None:
    show.diagnostics(terminal, show.items(answer, "diagnostics"))


def _notes(terminal: Terminal, answer: Json) -> None:
    for note in show.items(answer, "notes"):
        terminal.paragraph(f"note: {clean(note)}")


def _gates(terminal: Terminal, answer: Json) -> None:
    """Write the gates with what is missing, those that are shut first."""
    gates = sorted(show.items(answer, "gates"), key=lambda gate: gate.get("holds") is True)
    rows = []
    for gate in gates:
        missing = "; ".join(clean(_missing(each)) for each in show.items(gate, "missing"))
        rows.append(
            [
                clean(gate.get("workload", "")),
                clean(gate.get("kind", "")),
                "open" if gate.get("holds") is True else "SHUT",
                ago(gate.get("since"), terminal.now),
                clean(gate.get("predicate", "")),
                missing,
            ]
        )
    terminal.table(("WORKLOAD", "GATE", "IS", "SINCE", "NEEDS", "MISSING"), rows)
    if not rows:
        terminal.line("no workload has a gate")


def _missing(value: object) -> object:
    """Return the sentence of something that is missing: the value itself, or a field of it."""
    if isinstance(value, dict):
        return value.get("sentence") or value.get("text", "")
    return value


def _edges(terminal: Terminal, answer: Json) -> None:
    """Write who waits for what, and who answers."""
    listed = [edge for edge in show.items(answer, "edges") if edge.get("kind") in _LISTED_KINDS]
    if listed:
        terminal.line()
    for edge in listed:
        terminal.paragraph(clean(edge.get("sentence", "")), style="red" if edge.get("circular") else "")


def _cycles(terminal: Terminal, answer: Json) -> None:
    """Write each cycle: a sentence per edge, the outcome, the changes that break it, and those that do not."""
    for cycle in show.items(answer, "cycles"):
        circular = terminal.paint("circular", "red")
        terminal.line(f"{circular}: {clean(cycle.get('headline', ''))}")
        for number, sentence in enumerate(show.items(cycle, "sentences"), 1):
            terminal.paragraph(f"  {number}. {clean(sentence)}")
        terminal.paragraph(f"  so {clean(cycle.get('outcome', ''))}")
        ways = show.items(cycle, "ways")
        good = [way for way in ways if way.get("works")]
        terminal.line(
            "  what breaks it, each tried on this graph:" if good else "  no single change breaks it"
        )
        for way in good:
            terminal.paragraph(f"    - {clean(way.get('text', ''))}", style="green")
        bad = [way for way in ways if not way.get("works")]
        if bad:
            terminal.line("  what would be circular again:")
        for way in bad:
            again = "; ".join(clean(each) for each in show.items(way, "again"))
            terminal.paragraph(f"    - {clean(way.get('text', ''))}: {again}")
        terminal.line()
