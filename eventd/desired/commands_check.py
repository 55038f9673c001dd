"""`eventctl check DIR`: the findings of eventd's own checks and of the host's Quadlet generator, as FILE:LINE."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventd.accounts.commands_host_accounts import taken
from eventd.accounts.model_host_accounts import conflicts
from eventd.cli import codes, show
from eventd.cli.text import clean, count
from eventd.desired import commands_checkout
from eventd.desired.model import FileRole
from eventd.files import commands_host_files as host_files
from eventd.files.model_host_files import unreadable
from eventd.kernel.model.diagnostics import Diagnostic, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from eventd.cli.terminal import Terminal
    from eventd.desired.model import Desired, Workload

_HINT = "this host's own Quadlet generator refuses it; see podman-systemd.unit(5) of its podman version"


def run(arguments: Any, terminal: Terminal) -> int:
    """Check and print; exit with NOT_CONVERGED if anything would be refused."""
    checkout = commands_checkout.read(arguments)
    desired = checkout.desired
    complaints: dict[str, list[Diagnostic]] = {}
    if arguments.no_generator:
        generator = "skipped"
    elif not Path(checkout.generator).exists():
        generator = "not installed"
    else:
        generator = "asked"
        complaints = asyncio.run(_dry_run(desired, checkout.generator))
    everything = [*desired.diagnostics]
    for name, said in _host_findings(checkout).items():
        everything += said
        if any(each.severity is Severity.ERROR for each in said):
            complaints.setdefault(name, []).extend(said)
    for found in (*desired.refused.values(), *complaints.values()):
        everything.extend(found)
    # A finding about the host's file is repeated for each workload that it refuses; print it once.
    findings = sorted(dict.fromkeys(everything), key=lambda each: (each.file, each.line, each.code))
    errors = sum(each.severity is Severity.ERROR for each in findings)
    good = [name for name in desired.workloads if name not in complaints]
    if arguments.json:
        terminal.json(
            {
                "host": checkout.host,
                "workloads": good,
                "refused": sorted({*desired.refused, *complaints}),
                "errors": errors,
                "warnings": len(findings) - errors,
                "generator": generator,
                "notes": list(checkout.notes),
                "diagnostics": [asdict(each) for each in findings],
            }
        )
    else:
        for each in findings:
            show.diagnostics(terminal, [{**asdict(each), "file": _place(arguments.folder, each.file)}])
        for note in checkout.notes:
            terminal.notice(f"note: {clean(note)}")
        if generator == "not installed":
            terminal.notice(
                f"note: skipped podman's Quadlet generator: {checkout.generator} is not installed on this host"
            )
        summary = f"{count(errors, 'error')}, {count(len(findings) - errors, 'warning')}"
        summary += f"; {count(len(good), 'workload')} accepted for {clean(checkout.host)}"
        refused = len(desired.refused) + len(complaints)
        terminal.line(summary + (f", {refused} refused" if refused else ""))
    return codes.NOT_CONVERGED if errors else codes.AS_WANTED


def _host_findings(checkout: commands_checkout.Checkout) -> dict[str, list[Diagnostic]]:
    """Return the findings about this host, by workload; none when checking for another host."""
    settings, workloads = checkout.settings, checkout.desired.workloads
    if settings is None:
        return {}
    from eventd.configured import protection_of  # noqa: PLC0415
    from eventd_policies.accounts_protected import why_protected  # noqa: PLC0415

    rules = protection_of(settings, root=True)
    seen = taken(workloads, settings.paths.state)
    found: dict[str, list[Diagnostic]] = {}
    by_origin = {workload.origin: name for name, workload in workloads.items()}
    origins = {name: workload.origin for name, workload in workloads.items()}
    for each in conflicts(origins, seen, lambda name, uid: why_protected(rules, name, uid)):
        found.setdefault(by_origin[each.file], []).append(each)
    for name, workload in workloads.items():
        reader, places = host_files.read_host(workload)
        found.setdefault(name, []).extend(unreadable(workload, reader, places))
    return found


def _place(folder: str, file: str) -> str:
    """Return the path relative to where the command was given, so that an editor finds it."""
    return os.path.normpath(Path(folder, file))


async def _dry_run(desired: Desired, generator: str) -> dict[str, list[Diagnostic]]:
    """Return the generator's errors, by workload. Root runs it as nobody, since the files are not trusted."""
    from eventd.platform.processes.process import ServiceAccount  # noqa: PLC0415
    from eventd.unitfiles.adapter_quadlet_generator import HostQuadletGenerator  # noqa: PLC0415

    identity = ServiceAccount(65534, 65534) if os.geteuid() == 0 else None
    host = HostQuadletGenerator(generator=generator, identity=identity)
    complaints: dict[str, list[Diagnostic]] = {}
    for workload in desired.workloads.values():
        files = {file.name: file.content for file in workload.files if file.role is not FileRole.COMPANION}
        if files and (said := await host.dry_run(files)):
            complaints[workload.name] = list(_findings(workload, said))
    return complaints


def _findings(workload: Workload, said: Iterable[str]) -> Iterable[Diagnostic]:
    """Yield each error at the file that it names, if that file is from the repository."""
    for line in said:
        named = (file for file in workload.files if file.name in line and file.origin != "eventd")
        file = next(named, None)
        place = file.origin if file else workload.origin
        yield Diagnostic(Severity.ERROR, place, 0, "", line, _HINT, "generator")
