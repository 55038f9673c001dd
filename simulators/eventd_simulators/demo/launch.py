"""How each process of the demo starts: what is set in the child before it becomes the program.

`python -m eventd_simulators.demo.launch [--socket FD] PROGRAM ARGUMENT…`. The child ends with the demo,
however that ends (prctl(2)). `--socket`: it gets a listening socket as from systemd (sd_listen_fds(3)).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_FIRST = 3
"""SD_LISTEN_FDS_START."""


def main(arguments: list[str]) -> None:
    """Become the program."""
    parent = int(os.environ.pop("EVENTD_DEMO_PID"))
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)  # it ended before the line above
    if arguments[0] == "--socket":
        os.dup2(int(arguments[1]), _FIRST, inheritable=True)
        # The process id stays the same over exec.
        os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
        arguments = arguments[2:]
    os.execvp(arguments[0], arguments)  # noqa: S606  no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
