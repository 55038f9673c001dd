"""In the host: eventd that kills itself with SIGKILL at the n-th step boundary. Started by a drop-in's ExecStart=.

Not a test. A boundary is the moment before and the one after each write of the state file, and each act on files,
accounts and lingering. `ARM` holds `ROUND:N` (N of 0: only count), or `ROUND:useradd+MS`: that many milliseconds after
useradd was started. What was passed since it was armed is in `PASSED`, one a line.
"""

# ruff: noqa: PTH108, PTH123  between two boundaries as little as can be

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

ARM = "/run/crash-at"
PASSED = "/run/crash-boundaries"
STORE = (
    "put_workload",
    "put_unit",
    "put_file",
    "put_documents",
    "begin_run",
    "end_run",
    "begin_step",
    "end_step",
)


class Fuse:
    """Counts boundaries since it was last armed."""

    def __init__(self) -> None:
        self.armed = ""
        self.count = 0

    def limit(self) -> str:
        """Return what it is armed with, without the round; empty: not armed."""
        try:
            with open(ARM, encoding="ascii") as file:
                text = file.read()
        except FileNotFoundError:
            return ""
        if text != self.armed:
            self.armed, self.count = text, 0
        return text.partition(":")[2]

    def pass_by(self, what: str) -> None:
        """Die here, or note that this was passed."""
        limit = self.limit()
        if not limit:
            return
        self.count += 1
        with open(PASSED, "a", encoding="utf-8") as file:
            file.write(f"{what}\n")
        if limit.isdecimal() and self.count == int(limit):
            self.blow()

    def blow(self) -> None:
        """Die, once."""
        try:
            os.unlink(ARM)
        except FileNotFoundError:  # disarmed since the look: the round is over
            return
        os.kill(os.getpid(), signal.SIGKILL)


FUSE = Fuse()


def between(owner: type, name: str) -> None:
    """Put a boundary before and after a coroutine method."""
    inner: Callable[..., Awaitable[Any]] = getattr(owner, name)

    @functools.wraps(inner)
    async def outer(*args: Any, **kwargs: Any) -> Any:
        said = " ".join(str(each)[:60] for each in args[1:4])
        FUSE.pass_by(f"before {owner.__name__}.{name} {said}")
        result = await inner(*args, **kwargs)
        FUSE.pass_by(f"after {owner.__name__}.{name} {said}")
        return result

    setattr(owner, name, outer)


def main() -> int:
    """Run eventd with the boundaries in place."""
    from eventd.accounts import adapter as accounts
    from eventd.daemon import main as daemon
    from eventd.files import adapter as files
    from eventd.platform.processes import process
    from eventd.platform.systemd.source_logind import LogindSource
    from eventd.state import adapter as state

    for name in STORE:
        between(state.StateStore, name)
    between(files.OwnedFiles, "put")
    between(files.OwnedFiles, "remove")
    between(accounts.SystemAccounts, "create")
    between(LogindSource, "set_linger")
    run = process.run

    async def cut_off(argv: Any, **kwargs: Any) -> Any:
        kind, _, after = FUSE.limit().partition("+")
        if kind == argv[0] == "useradd":
            threading.Timer(int(after) / 1000, FUSE.blow).start()
        return await run(argv, **kwargs)

    vars(accounts)["run"] = cut_off
    return daemon(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
