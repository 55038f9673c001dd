"""The exit codes of `eventctl`. Scripts rely on them, so they never change.

States are mapped to codes here too, so that `status`, `why`, `runs` and `sync` agree.
"""

from __future__ import annotations

AS_WANTED = 0
"""The host (workload, run, plan, check) is as desired."""
NOT_CONVERGED = 1
"""Something failed, or is not (yet) as desired."""
USAGE = 2
"""The command line is not valid; argparse uses the same number."""
NO_DAEMON = 3
"""The daemon does not answer, or this account may not use it."""
HELD = 4
"""Nothing failed, but something named is missing: a workload waits for it, or could not start again without it."""
INTERRUPTED = 130
"""Ctrl-C: 128 + SIGINT, as a shell reports it."""

EPILOG = """\
exit codes:
  0  as wanted
  1  failed, or not converged
  2  usage
  3  no daemon (or no permission to ask it)
  4  held: nothing failed, but something waits; or at-risk: up, but would not start again
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
