"""`eventctl shell WORKLOAD`: a shell as its account, with its runtime directory and its bus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventd.containers import commands_as_account as as_account
from eventd.containers import commands_inside as inside

if TYPE_CHECKING:
    from eventd.cli.terminal import Terminal

_SHELLS = ("/bin/bash", "/bin/sh")


def run(arguments: Any, terminal: Terminal) -> int:
    """Open a shell; the exit code is the shell's. Standard input may be a script."""
    who = as_account.account(arguments.workload, "shell")
    tty = inside.has_terminal()
    shell = next((each for each in _SHELLS if Path(each).exists()), _SHELLS[-1])
    if tty:
        terminal.notice(
            f"shell as {who.name}, with its podman and systemctl --user; leave it with exit or ^D"
        )
    # The account's own shell is nologin. `-`: works without a home, too.
    options = [f"--setenv=SHELL={shell}", f"--property=WorkingDirectory=-{who.home}"]
    return inside.run(who, [shell, "--login"] if tty else [shell], terminal=tty, options=options)
