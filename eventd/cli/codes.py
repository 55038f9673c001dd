"""The exit codes of `eventctl`, in one place. Scripts rely on them: they do not change.

What each state of the daemon means as a code is decided here too: `status`, `why`, `runs` and `sync` agree.
"""

from __future__ import annotations

AS_WANTED = 0
"""The host (workload, run, plan, check) is as wanted."""
NOT_CONVERGED = 1
"""Something failed, or is not (yet) as wanted."""
USAGE = 2
"""The command line was not understood; argparse uses the same number."""
NO_DAEMON = 3
"""Nobody answers at the socket, or this account may not ask."""
HELD = 4
"""Nothing failed, and something is missing that is named: it waits for that, or would not start again without."""
INTERRUPTED = 130
"""Ctrl-C: 128 + SIGINT, as a shell reports it."""

EPILOG = """\
exit codes:
  0  as wanted
  1  failed, or not converged
  2  usage
  3  no daemon (or no permission to ask it)
  4  held: nothing failed, something is waited for; or at-risk: up, and would not start again
"""

_BY_STATE = {
    "converged": AS_WANTED,
    "removed": AS_WANTED,
    "ok": AS_WANTED,
    "unchanged": AS_WANTED,
    "held": HELD,
    "at-risk": HELD,
}


def of_state(state: str) -> int:
    """Return the code for a state of the host, of a workload, or for the result of a run."""
    return _BY_STATE.get(state, NOT_CONVERGED)
