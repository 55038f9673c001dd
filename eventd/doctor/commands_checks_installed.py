"""Checks of `eventctl doctor` about what is installed and deployed: programs of units, homes, and free space."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from eventd.accounts import model_sandbox as sandbox
from eventd.cli.text import size_text
from eventd.doctor.commands_subject import Check, Subject, bad, good
from eventd.unitfiles import model_programs as of_unit
from eventd.unitfiles.model_programs import LINK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventd.doctor.adapter_host import Space

_FOLDERS = (
    *("/usr/lib/systemd/system", "/etc/systemd/system", "/run/systemd/system"),
    *("/usr/lib/systemd/user", "/etc/systemd/user"),
)
_UNITS = "/etc/eventd/units"
"""Units of workloads, in a folder per uid."""
_SYSTEM = ("/usr/", "/bin/", "/sbin/", "/opt/", "/lib/")
"""Where root looks for a program named by a workload's unit: not in its home."""
LEAST_SHARE, LEAST = 0.05, 1 << 30
"""A file system is short of space with less than 5 % and less than 1 GiB free."""
LEAST_INODES = 10_000


def programs(it: Subject) -> Check:
    """Every program that an installed unit runs exists: of eventd's own units and of workloads' units."""
    missing: dict[str, set[str]] = {}
    seen = 0
    for path in _unit_files(it):
        text = it.probe.read(path)
        for program in of_unit.programs((text or "").encode(), path):
            if path.startswith(_UNITS) and not program.startswith(_SYSTEM):
                continue
            seen += 1
            place = it.probe.place(program)
            if place is None or not place.executable:
                missing.setdefault(program, set()).add(path)
    if not missing:
        return good("programs", f"all programs of installed units exist ({seen} lines)")
    said = [
        f"{program} does not exist: {', '.join(sorted(by))} runs it"
        for program, by in sorted(missing.items())
    ]
    ours = any(program.rpartition("/")[2].startswith("event") for program in missing)
    return bad("programs", "\n".join(said), LINK if ours else "install what is missing, or remove the unit")


def _unit_files(it: Subject) -> Iterator[str]:
    """Yield eventd's service files with their drop-ins, and those installed for workloads."""
    for folder in _FOLDERS:
        yield from _services(it, folder, "eventd")
    for uid in it.probe.entries(_UNITS):
        yield from _services(it, f"{_UNITS}/{uid}", "")


def _services(it: Subject, folder: str, prefix: str) -> Iterator[str]:
    for name in it.probe.entries(folder):
        if not name.startswith(prefix):
            continue
        if name.endswith(".service"):
            yield f"{folder}/{name}"
        elif name.endswith(".service.d"):
            yield from (f"{folder}/{name}/{each}" for each in it.probe.entries(f"{folder}/{name}"))


def homes(it: Subject) -> Check:
    """The daemon may write where useradd makes homes: its sandbox allows /home, whatever HOME= says."""
    said = re.search(r"^HOME=(/\S+)", it.probe.read("/etc/default/useradd") or "", re.MULTILINE)
    folder = (said[1] if said else "/home").rstrip("/")
    shown = it.probe.output("systemctl", "show", "-p", "ProtectSystem,ReadWritePaths", sandbox.UNIT) or ""
    if sandbox.closed(folder, shown):
        why = f"/etc/default/useradd has HOME={folder}, which eventd's sandbox keeps read-only"
        return bad("homes", why, sandbox.writable(folder))
    if it.probe.place(folder) is None:
        return bad("homes", f"{folder} does not exist, so no account can be created", f"mkdir {folder}")
    return good("homes", f"new homes are made in {folder}")


def space(it: Subject) -> Check:
    """There is free space where eventd and workloads write: state, repository, runtime folder, homes."""
    told: dict[int, str] = {}
    short: list[str] = []
    for path in (it.state, it.git_folder, it.runtime, "/etc", *it.probe.homes()):
        found = it.probe.space(path)
        if found is None or found.device in told:
            continue
        told[found.device] = f"{path}: {_said(found)}"
        if _is_short(found):
            short.append(told[found.device])
    if short:
        hint = "free some space: see eventctl storage; podman image prune, journalctl --vacuum-size="
        return bad("free space", "\n".join(short), hint)
    return good("free space", "; ".join(told.values()) or "eventd has no files here yet")


def _is_short(found: Space) -> bool:
    bytes_short = found.size > 0 and found.free < min(LEAST, found.size * LEAST_SHARE)
    return bytes_short or (
        found.inodes > 0 and found.inodes_free < min(LEAST_INODES, found.inodes * LEAST_SHARE)
    )


def _said(found: Space) -> str:
    text = f"{size_text(found.free)} of {size_text(found.size)} free"
    if found.inodes > 0 and found.inodes_free < min(LEAST_INODES, found.inodes * LEAST_SHARE):
        text += f", {found.inodes_free} of {found.inodes} inodes"
    return text
