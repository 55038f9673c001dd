"""`eventctl suspend [WORKLOAD] [--reason TEXT]`: leave a workload, or the host, as it is."""

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
    """Ask for it; where no daemon runs, root leaves it written down for its next start."""
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
        terminal.line(f"no daemon runs; {what} is suspended from its next start on, as {noted} says")
        terminal.line(f"`{again}` ends that then; rm {noted} takes it back before")
    else:
        terminal.line(f"{what} is left as it is from now on; `{again}` ends that")
    return codes.AS_WANTED


def _is_down() -> bool:
    """Whether the daemon is down for certain: one that is starting has read what was written down already."""
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
    from eventd.settings import Paths, load  # noqa: PLC0415  pydantic: only where there is no daemon to ask

    try:
        return load().paths.state
    except EventdError:
        return Paths().state


def _caller() -> str:
    who = os.environ.get("SUDO_USER", "root")
    return who if not user_problem(who) or who == "root" else "root"
