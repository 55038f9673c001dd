"""`eventctl render DIR [WORKLOAD] [--file NAME]`: the files as they would be installed."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from eventd.cli import codes, show
from eventd.cli.text import clean, clean_lines
from eventd.desired import commands_checkout
from eventd.desired.model_assembly import explain_files
from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.names import did_you_mean

if TYPE_CHECKING:
    from eventd.cli.terminal import Terminal
    from eventd.desired.model import InstallFile, Workload


def run(arguments: Any, terminal: Terminal) -> int:
    """Render and print. A refused workload has no files; its findings go to stderr."""
    checkout = commands_checkout.read(arguments)
    desired = checkout.desired
    workloads, refused = dict(desired.workloads), dict(desired.refused)
    if name := arguments.workload:
        known = {*workloads, *refused}
        if name not in known:
            hint = did_you_mean(name, known) or f"there are: {', '.join(sorted(known)) or 'none'}"
            raise PermanentError(
                f"there is no workload {name!r} for {checkout.host} in {arguments.folder}",
                reason="no-such-workload",
                hint=hint,
            )
        workloads = {key: value for key, value in workloads.items() if key == name}
        refused = {key: value for key, value in refused.items() if key == name}
    for note in checkout.notes:
        terminal.notice(f"note: {clean(note)}")
    for findings in refused.values():
        for finding in findings:
            terminal.notice(show.diagnostic(terminal, asdict(finding)))
    if refused:
        terminal.notice(f"refused: {', '.join(clean(each) for each in refused)}")
    if arguments.file and not (refused and not workloads):
        _one(arguments, terminal, list(workloads.values()))
    elif arguments.json:
        terminal.json(
            {
                "host": checkout.host,
                "workloads": [_workload(each) for each in workloads.values()],
                "refused": [
                    {"name": key, "diagnostics": [asdict(each) for each in found]}
                    for key, found in refused.items()
                ],
            }
        )
    elif not arguments.file:
        for each in workloads.values():
            terminal.line(terminal.paint(f"# === {each.name} (from {clean(each.origin)})", "bold"))
            terminal.line(clean_lines(explain_files(each)))
    return codes.NOT_CONVERGED if refused else codes.AS_WANTED


def _one(arguments: Any, terminal: Terminal, workloads: list[Workload]) -> None:
    """Write one file, byte for byte. `NAME` may include the role, as in the output of `eventctl plan`."""
    wanted = arguments.file
    found = [
        (workload, file)
        for workload in workloads
        for file in workload.files
        if wanted in (file.name, f"{file.role}:{file.name}")
    ]
    if not found:
        names = [file.name for workload in workloads for file in workload.files]
        hint = did_you_mean(wanted, names) or f"there are: {', '.join(names) or 'none'}"
        raise PermanentError(f"there is no file {wanted!r}", reason="no-such-file", hint=hint)
    if len(found) > 1:
        places = ", ".join(f"{workload.name} {file.role}:{file.name}" for workload, file in found)
        raise PermanentError(
            f"{wanted!r} matches {len(found)} files: {places}",
            reason="ambiguous",
            hint="name the workload too, or add the role, as in quadlet:NAME",
        )
    if arguments.json:
        terminal.json(_file(found[0][1]))
        return
    terminal.out.flush()
    terminal.out.buffer.write(found[0][1].content)
    terminal.out.buffer.flush()


def _workload(workload: Workload) -> dict[str, Any]:
    return {
        "name": workload.name,
        "origin": workload.origin,
        "digest": workload.digest,
        "files": [_file(file) for file in workload.files],
        "units": [asdict(unit) for unit in workload.units],
    }


def _file(file: InstallFile) -> dict[str, Any]:
    value: dict[str, Any] = {
        "role": file.role.value,
        "name": file.name,
        "origin": file.origin,
        "mode": "0755" if file.executable else "0644",
        "digest": file.digest,
    }
    try:
        value["content"] = file.content.decode()
    except UnicodeDecodeError:
        value["content_base64"] = base64.b64encode(file.content).decode()
    return value
