"""Runs a command as a workload's account, on the caller's terminal or with pipes.

With a terminal, systemd-run gives the command one of its own and forwards input and output; the command can write
anything to the caller's screen, as with ssh.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from eventd.containers import commands_as_account as as_account
from eventd.containers import commands_joined as joined
from eventd.kernel.model.errors import PermanentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventd.containers.commands_as_account import Account


def has_terminal() -> bool:
    """Return whether both standard input and standard output are terminals."""
    return os.isatty(0) and os.isatty(1)


def run(who: Account, command: Sequence[str], *, terminal: bool, options: Sequence[str] = ()) -> int:
    """Run it to its end and return its exit status; 128 + the signal's number if a signal ended it, like a shell."""
    as_account.need_manager(who)
    argv = as_account.argv(who, command, terminal=terminal, options=options)
    sys.stdout.flush()
    try:
        if terminal:
            # No deadline: it runs for as long as the user likes.
            status = subprocess.call(argv, env=as_account.environment())
        else:
            status = joined.run(argv, as_account.environment())
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise PermanentError(
            f"cannot run {argv[0]}: {error.strerror}", reason="systemd-run-failed"
        ) from error
    return status if status >= 0 else 128 - status
