"""Run something as a workload's account for a person: on their terminal, or between their pipes.

With a terminal the command has one of its own, made by systemd-run, which passes keys and screen on; what it writes is
the screen of whoever asked, as with ssh.
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
    """Whether there is somebody at a terminal: keys come from one, and the screen is one."""
    return os.isatty(0) and os.isatty(1)


def run(who: Account, command: Sequence[str], *, terminal: bool, options: Sequence[str] = ()) -> int:
    """Run it to its end and return its exit status, 128 + the number of a signal that ended it, as a shell."""
    as_account.need_manager(who)
    argv = as_account.argv(who, command, terminal=terminal, options=options)
    sys.stdout.flush()
    try:
        if terminal:
            # No deadline: it lasts as long as the person likes.
            status = subprocess.call(argv, env=as_account.environment())
        else:
            status = joined.run(argv, as_account.environment())
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise PermanentError(
            f"{argv[0]} cannot be run: {error.strerror}", reason="systemd-run-failed"
        ) from error
    return status if status >= 0 else 128 - status
