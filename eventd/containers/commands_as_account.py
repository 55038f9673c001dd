"""Resolves a workload's account, checks who may act as it, and builds the command line that does.

A command for a workload is started by its account's manager, with a cgroup, environment and descriptors of its own.
Root gets there through a unit of the system manager (`systemd-run --uid=`, in the account's slice) that runs
`systemd-run --user`. So nothing that a workload controls (PATH, .bashrc, a debugger on its own processes) runs in
root's session or with root's rights, and root's terminal is not handed over: with `terminal`, each step has a
pseudo-terminal of its own (which confines TIOCSTI); without, `eventd.containers.commands_joined` copies between the
streams. No login session is opened, so nobody counts as logged in. Works without the daemon.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eventd.containers.commands_log_lines import OWN_UNIT
from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.names import did_you_mean, user_problem
from eventd.platform.systemd.model_user_manager import manager_unit

if TYPE_CHECKING:
    from collections.abc import Sequence

MARKERS = "/var/lib/eventd/accounts"
"""Root-owned records of eventd's accounts (`eventd.state.adapter_markers`), readable without the daemon."""
FORBIDDEN = "forbidden"
"""The reason if the caller has no right to do this; `entry` maps it to the daemon's exit code for that."""
_GROUP = "eventd-managed"
_RUN = "/usr/bin/systemd-run"
_QUIET = (
    "--quiet",
    "--wait",
    "--collect",
    "--expand-environment=no",  # a $ in an argument is for the command
    "--service-type=exec",  # a missing command is reported as an error
)
_NO_TITLE = {"SYSTEMD_ADJUST_TERMINAL_TITLE": "0", "SYSTEMD_TINT_BACKGROUND": "0"}


@dataclass(frozen=True, slots=True)
class Account:
    """The account of a workload."""

    name: str
    uid: int
    home: str


def account(workload: str, command: str, *, caller: int | None = None, markers: str = MARKERS) -> Account:
    """Return the account of a workload, if the caller may act as it.

    Raises PermanentError(reason="no-such-workload"), or (reason="forbidden") for a caller who is neither root nor it.
    """
    uid = os.geteuid() if caller is None else caller
    entry = None if user_problem(workload) else _entry(workload)
    if uid == 0:
        known = recorded(markers)
        if known.get(workload) is None:
            raise _no_workload(workload, known)
        if entry is None or entry.pw_uid != known[workload]:
            raise PermanentError(
                f"the account {workload} is not the one that eventd uses for the workload",
                reason="no-such-account",
                hint=f"eventctl why {workload} says what happened to it",
            )
    elif entry is None or entry.pw_uid != uid:
        raise PermanentError(
            f"only root and the account {workload} may do this",
            reason=FORBIDDEN,
            hint=f"sudo eventctl {command} {workload}",
        )
    return Account(entry.pw_name, entry.pw_uid, entry.pw_dir)


def everyones(command: str, *, caller: int | None = None, markers: str = MARKERS) -> list[Account]:
    """Return the accounts that the caller may act as: for root all of eventd's, for an account itself."""
    uid = os.geteuid() if caller is None else caller
    if uid == 0:
        known = recorded(markers, retained=False)
        entries = [(_entry(name), number) for name, number in sorted(known.items())]
        found = [each for each, number in entries if each is not None and each.pw_uid == number]
    else:
        found = _managed(uid)
        if not found:
            raise PermanentError(
                "only root and a workload's own account may do this",
                reason=FORBIDDEN,
                hint=f"sudo eventctl {command}",
            )
    return [Account(each.pw_name, each.pw_uid, each.pw_dir) for each in found]


def recorded(markers: str = MARKERS, *, retained: bool = True) -> dict[str, int]:
    """Return the uids of eventd's accounts by name, from its records, which only root can read.

    `retained`: include accounts whose workload left the repository; nothing runs in those, not even their managers.
    """
    found: dict[str, int] = {}
    for path in sorted(Path(markers).glob("*.json")):
        try:
            record = json.loads(path.read_bytes())
            if retained or record["retained"] is not True:
                found[str(record["name"])] = int(record["uid"])
        except (OSError, ValueError, LookupError, TypeError):
            continue  # removed meanwhile, or damaged, which `eventctl state` reports
    return found


def argv(
    who: Account,
    command: Sequence[str],
    *,
    terminal: bool,
    caller: int | None = None,
    options: Sequence[str] = (),
) -> list[str]:
    """Return the command line that runs `command` in the account's manager. `options`: further ones for systemd-run."""
    streams = "--pty" if terminal else "--pipe"
    # The journal of the two units gets this description, not the command, which may contain a secret.
    unit = f"{OWN_UNIT}{secrets.token_hex(4)}"
    inner = [_RUN, "--user", streams, *_QUIET, f"--unit={unit}", f"--description={unit}", *options]
    if terminal:
        inner += [f"--setenv=TERM={os.environ.get('TERM', 'dumb')}"]
    inner += ["--", *command]
    if (os.geteuid() if caller is None else caller) != 0:
        return inner
    environment = {**_NO_TITLE, "XDG_RUNTIME_DIR": f"/run/user/{who.uid}"}
    if terminal:
        environment["TERM"] = os.environ.get("TERM", "dumb")
    outer = [_RUN, "--system", streams, *_QUIET, f"--unit={unit}", f"--description={unit}"]
    outer += [f"--uid={who.uid}", f"--slice=user-{who.uid}.slice", "--property=NoNewPrivileges=yes"]
    return [*outer, *(f"--setenv={key}={value}" for key, value in environment.items()), "--", *inner]


def environment() -> dict[str, str]:
    """Return the environment for systemd-run itself: ours, without setting the terminal's title or colour."""
    return {**os.environ, **_NO_TITLE}


def need_manager(who: Account) -> None:
    """Raise PermanentError(reason="user-manager-unavailable") if the account's manager does not run."""
    unit = manager_unit(who.uid)
    try:
        done = subprocess.run(
            ["systemctl", "is-active", "--quiet", unit], check=False, timeout=30, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PermanentError(
            f"systemctl is-active {unit} does not answer", reason="systemd-unavailable"
        ) from error
    if done.returncode:
        raise PermanentError(
            f"the user manager of {who.name} is not running",
            reason="user-manager-unavailable",
            hint=f"systemctl start {unit}; eventctl why {who.name} says why it is down",
        )


def _managed(uid: int) -> list[pwd.struct_passwd]:
    """Return the account of a uid if it is in eventd's group. The group is informational and grants nothing."""
    try:
        entry = pwd.getpwuid(uid)
        return [entry] if entry.pw_name in grp.getgrnam(_GROUP).gr_mem else []
    except KeyError:
        return []


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _no_workload(name: str, known: dict[str, int]) -> PermanentError:
    hint = did_you_mean(name, known) or "eventctl status lists the workloads"
    return PermanentError(
        f"eventd has no workload {name!r} on this host", reason="no-such-workload", hint=hint
    )
