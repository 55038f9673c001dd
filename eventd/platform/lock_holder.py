"""Finds who holds an flock(2) on a file, by the kernel's list (proc_locks(5)), not by what the file says.

The process id is that of the process that took the lock. After it ends, a child that inherited the descriptor may still
hold the lock. The command is the process's own name for itself (proc_pid_comm(5)), so only its printable characters are
used.
"""

# ruff: noqa: PTH116, PTH123  files of proc: nothing here waits for a disk

from __future__ import annotations

import os

from eventd.kernel.ports import LockHolder


def parse_holder(locks: str, device: int, inode: int) -> int | None:
    """Return the process that holds a write lock on a file; None if no visible process does."""
    place = f"{os.major(device):02x}:{os.minor(device):02x}:{inode}"
    for line in locks.splitlines():
        words = line.split()
        # "1: FLOCK ADVISORY WRITE 717 00:1b:1166 0 EOF"; one that waits has an arrow before FLOCK.
        if len(words) >= 6 and words[1] == "FLOCK" and words[5] == place and words[4].isdecimal():
            return int(words[4]) or None  # 0: in another pid namespace
    return None


def find_holder(path: str) -> LockHolder | None:
    """Return who holds the lock on a file; None if that is unknown."""
    try:
        stat = os.stat(path, follow_symlinks=False)
        with open("/proc/locks", encoding="ascii", errors="replace") as file:
            pid = parse_holder(file.read(), stat.st_dev, stat.st_ino)
    except OSError:
        return None
    if pid is None:
        return None
    return LockHolder(pid, process_name(pid))


def process_name(pid: int) -> str:
    """Return what a process calls itself; empty if it has ended."""
    try:
        with open(f"/proc/{pid}/comm", "rb") as file:
            name = file.read(64).decode("utf-8", "replace").rstrip("\n")
    except OSError:
        return ""
    return "".join(c if c.isprintable() else "?" for c in name)
