"""End everything that runs under an account's ids: `python -m eventd.accounts.process_ending UID FIRST COUNT SECONDS`.

Run by `eventd.accounts.adapter_removal` in a unit of its own, as root with the one right to take other uids. FIRST and
COUNT are the account's subordinate ids, its containers'. Exits with 0 when nothing is left, with 1 and a line
`NAME (PID)` for something that would not end in time.

A list of processes is old when it has been read: what forks and exits again and again is never on it. So nothing is
killed by its number. kill(2) to -1 goes to all that the caller may signal, at one moment, and whoever is about to
fork then does not (the kernel has a fork fail while a signal is pending): a child of ours takes the uid and sends that.

Facts: with the account's uid that also reaches all in user namespaces that the account has made, whatever ids they have
there, since their owner has every right in them (user_namespaces(7)). A subordinate id outside of one (by a set-uid
file that a container has left) is found by looking, and then gets a kill of its own. Root's saved uid stays with the
child: the account may signal it in these microseconds, which costs one more round, but not trace it.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Iterator

_LOWEST = 1000
"""No account of eventd's has a lower uid, whatever we are told."""
_CAP_KILL = 5
_ROUND = 1.0
"""Seconds that killed processes get before they are looked for again."""
_QUIET = 2
"""Looks in a row that have to find nothing: one alone can miss what forks."""


def main(arguments: list[str]) -> int:
    """Do it."""
    uid, first, count, seconds = (int(each) for each in arguments)
    ids = Ids(uid, first, count)
    if min(uid, first if count else uid) < _LOWEST or os.geteuid() != 0:
        sys.stderr.write(f"{uid} or {first} is a uid of the system's, or we are not root\n")
        return 2
    if _permitted() & 1 << _CAP_KILL:
        # A child that fails to take its uid must not be able to kill everybody.
        sys.stderr.write("this has to run without CAP_KILL, in a unit of its own\n")
        return 2
    until = time.monotonic() + seconds
    to_kill, quiet, left = {uid}, 0, ""
    while quiet < _QUIET:
        if time.monotonic() > until:
            sys.stdout.write(f"{left}\n")
            return 1
        for each in sorted(to_kill):
            _kill_all_of(each)
        found = list(running(ids))
        quiet = 0 if found else quiet + 1
        for _, _, theirs in found:
            to_kill |= theirs
        if found:
            left = f"{found[0][1]} ({found[0][0]})"
            _await_ends([pid for pid, _, _ in found], min(until, time.monotonic() + _ROUND))
    return 0


class Ids:
    """The ids of one account."""

    def __init__(self, uid: int, first: int, count: int) -> None:
        self.uid = uid
        self.subordinate = range(first, first + count)

    def of(self, status: str) -> set[int]:
        """Return those under which a process runs: real, effective, saved or of the file system."""
        uids = {int(uid) for uid in field(status, "Uid").split()}
        return {uid for uid in uids if uid == self.uid or uid in self.subordinate}


def running(ids: Ids) -> Iterator[tuple[int, str, set[int]]]:
    """Yield (pid, name, ids) of each process of the account that is not only waiting for its parent to look."""
    for name in os.listdir("/proc"):  # noqa: PTH208
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/status", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
                status = file.read()
        except (FileNotFoundError, ProcessLookupError):
            continue
        theirs = ids.of(status)
        # The first thread may have ended alone: the process then looks like a zombie, and is none.
        dead = field(status, "State")[:1] in ("Z", "X") and field(status, "Threads") in ("", "0", "1")
        if theirs and not dead:
            yield int(name), field(status, "Name"), theirs


def field(status: str, key: str) -> str:
    """Return a line of proc_pid_status(5)."""
    for line in status.splitlines():
        if line.startswith(f"{key}:"):
            return line.partition(":")[2].strip()
    return ""


def _permitted() -> int:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:  # noqa: PTH123
        return int(field(file.read(), "CapPrm"), 16)


def _kill_all_of(uid: int) -> None:
    child = os.fork()
    if child == 0:
        # Nothing of the parent's may run in here, whatever goes wrong.
        try:
            os.setresuid(uid, uid, 0)
            if os.getresuid() == (uid, uid, 0):
                os.kill(-1, signal.SIGKILL)
        except OSError:
            pass  # nobody to kill, or no uid: the next look tells
        finally:
            os._exit(0)
    pidfd = os.pidfd_open(child)
    try:
        # The account may have stopped it.
        if not select.select([pidfd], [], [], _ROUND)[0]:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitpid(child, 0)
    finally:
        os.close(pidfd)


def _await_ends(pids: list[int], until: float) -> None:
    """Wait until they have ended. A number that has become somebody else's costs the rest of the time, no more."""
    for pid in pids:
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            continue
        try:
            select.select([pidfd], [], [], max(0.0, until - time.monotonic()))
        finally:
            os.close(pidfd)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
