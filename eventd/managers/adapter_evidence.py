"""Observes a user's manager without talking to it: its runtime folder, bus socket, process and cgroup.

Follows no links in the user's folder, and opens nothing there. An unreadable file is not an error: this explains a
failure, and must not cause one.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from eventd.managers.model_trouble import Evidence


def collect(
    uid: int, run: str = "/run/user", proc: str = "/proc", cgroup: str = "/sys/fs/cgroup"
) -> Evidence:
    """Read the evidence once. Never raises."""
    runtime, socket, full = False, False, False
    with contextlib.suppress(OSError):
        status = os.lstat(f"{run}/{uid}")
        runtime = stat.S_ISDIR(status.st_mode) and status.st_uid == uid
    with contextlib.suppress(OSError):
        socket = stat.S_ISSOCK(os.lstat(f"{run}/{uid}/bus").st_mode)
    with contextlib.suppress(OSError):
        left = os.statvfs(f"{run}/{uid}")
        full = left.f_bavail == 0 or (left.f_files > 0 and left.f_favail == 0)
    stopped = False
    slice_ = f"{cgroup}/user.slice/user-{uid}.slice"
    with contextlib.suppress(OSError, IndexError):
        # init.scope has only the manager, and its PAM helper, which was forked later.
        pid = Path(f"{slice_}/user@{uid}.service/init.scope/cgroup.procs").read_text().split()[0]
        # The name is in parentheses, and may contain any character.
        stopped = Path(f"{proc}/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt"
    frozen = False
    for folder in (slice_, f"{slice_}/user@{uid}.service"):
        with contextlib.suppress(OSError):
            frozen |= "frozen 1" in Path(f"{folder}/cgroup.events").read_text().splitlines()
    return Evidence(runtime, full, socket, frozen, stopped)
