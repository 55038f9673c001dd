"""`eventctl suspend [WORKLOAD] [--reason TEXT]`: suspend a workload, or the host."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

from eventd.cli import codes
from eventd.cli.text import clean
from eventd.client import Client, NoDaemonError, at
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.names import user_problem
from eventd.overrides import adapter_suspend_notes as suspend_notes

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal


def run(arguments: Any, terminal: Terminal) -> int:
    """Send the request; if the daemon is down, root writes a note for its next start."""
    name = arguments.workload
    path = at("suspend", name) if name else at("suspend")
    noted = ""
    try:
        answer: Json = Client(arguments.socket).post(path, {"reason": arguments.reason})
    except NoDaemonError as error:
        if (
            error.reason != "no-daemon"
            or os.geteuid() != 0
            or (name and user_problem(name))
            or not _is_down()
        ):
            raise
        noted = suspend_notes.write(state_folder(), suspend_notes.Note(name, _caller(), arguments.reason))
        answer = {"workload": name or None, "noted": noted}
    if arguments.json:
        terminal.json(answer)
        return codes.AS_WANTED
    again, what = f"eventctl resume {clean(name)}".strip(), clean(name) or "this host"
    if noted:
        terminal.line(f"the daemon is not running; {what} is suspended when it starts ({noted})")
        terminal.line(f"to resume then: {again}; before it starts: rm {noted}")
    else:
        terminal.line(f"{what} is suspended; to resume: {again}")
    return codes.AS_WANTED


def _is_down() -> bool:
    """Whether the daemon is certainly down: one that is starting has already read the notes."""
    try:
        done = subprocess.run(
            ["systemctl", "is-active", "eventd.service"],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.stdout.strip() in {"inactive", "failed"}


def state_folder() -> str:
    """Return where the daemon keeps its state; the default where the configuration cannot be read."""
    from eventd.settings import Paths, load  # noqa: PLC0415  pydantic: imported only where the daemon is down

    try:
        return load().paths.state
    except EventdError:
        return Paths().state


def _caller() -> str:
    who = os.environ.get("SUDO_USER", "root")
    return who if not user_problem(who) or who == "root" else "root"
