"""Kill everything that runs under an account's ids: `python -m eventd.accounts.process_ending UID FIRST COUNT SECONDS`.

`eventd.accounts.adapter_removal` runs it in a unit of its own, as root with only the capability to change uid. FIRST
and COUNT are the account's subordinate ids, used by its containers. Exits with 0 when nothing is left, or with 1 and a
line `NAME (PID)` naming a process that did not end in time.

A list of processes is out of date as soon as it is read: a process that forks and exits repeatedly never appears on it.
So nothing is killed by pid. Instead a child of ours takes the uid and calls kill(-1): the signal goes to every process
that the child may signal, atomically, and a process about to fork does not (fork fails while a signal is pending).

With the account's uid this also reaches every process in user namespaces that the account created, whatever its uid
there: the creator has all capabilities in them (user_namespaces(7)). A process with a subordinate id outside such a
namespace (started from a set-uid file that a container left behind) is found in /proc and then killed under that id.
The child keeps root as its saved uid. For those microseconds the account may signal it, which costs one more round, but
cannot trace it.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Iterator

_LOWEST = 1000
"""No account of eventd has a lower uid, whatever the arguments say."""
_CAP_KILL = 5
_ROUND = 1.0
"""Seconds that killed processes get before the next check."""
_QUIET = 2
"""Checks in a row that must find nothing: a single one can miss a process that forks."""


def main(arguments: list[str]) -> int:
    """Run the program."""
    uid, first, count, seconds = (int(each) for each in arguments)
    ids = Ids(uid, first, count)
    if min(uid, first if count else uid) < _LOWEST or os.geteuid() != 0:
        sys.stderr.write(f"{uid} or {first} is a system uid, or this does not run as root\n")
        return 2
    if _permitted() & 1 << _CAP_KILL:
        # If a child fails to change its uid, it must not be able to kill every process of the host.
        sys.stderr.write("this must run without CAP_KILL, in a unit of its own\n")
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
        """Return which of these ids a process has as real, effective, saved or file system uid."""
        uids = {int(uid) for uid in field(status, "Uid").split()}
        return {uid for uid in uids if uid == self.uid or uid in self.subordinate}


def running(ids: Ids) -> Iterator[tuple[int, str, set[int]]]:
    """Yield (pid, name, ids) of each process of the account that is not a zombie."""
    for name in os.listdir("/proc"):  # noqa: PTH208
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/status", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
                status = file.read()
        except (FileNotFoundError, ProcessLookupError):
            continue
        theirs = ids.of(status)
        # If only the main thread has ended, the process looks like a zombie but is still running.
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
        # Whatever goes wrong, no code of the parent may run in the child.
        try:
            os.setresuid(uid, uid, 0)
            if os.getresuid() == (uid, uid, 0):
                os.kill(-1, signal.SIGKILL)
        except OSError:
            pass  # nothing to kill, or the uid was not taken: the next check tells
        finally:
            os._exit(0)
    pidfd = os.pidfd_open(child)
    try:
        # The account may have stopped it (SIGSTOP).
        if not select.select([pidfd], [], [], _ROUND)[0]:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitpid(child, 0)
    finally:
        os.close(pidfd)


def _await_ends(pids: list[int], until: float) -> None:
    """Wait until they have ended. A reused pid costs the remaining time, nothing more."""
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
