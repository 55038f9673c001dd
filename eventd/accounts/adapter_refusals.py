"""Translates the exit statuses of useradd(8) and usermod(8) to errors. Keeps no state."""

from __future__ import annotations

import os

from eventd.kernel.model.errors import EventdError, PermanentError, TemporaryError
from eventd.platform.processes.process import Completed


def refused(completed: Completed, name: str) -> EventdError:
    """Translate an exit status of useradd(8) or usermod(8)."""
    detail = completed.text().rpartition("\n")[2]
    message = f"{completed.command} {name} failed ({completed.status}): {detail}"
    match completed.status:
        case 1 | 10 if "lock" in detail and os.statvfs("/etc").f_flag & os.ST_RDONLY:
            return TemporaryError(
                f"{message}: /etc is read-only",
                reason="read-only",
                hint="remount the file system read-write; see `mount` and the kernel log",
            )
        case 1 | 10 if "lock" in detail:
            return TemporaryError(
                message, reason="accounts-locked", hint="another program is changing the accounts"
            )
        case 1 | 10 | 12 if "space" in detail:
            return TemporaryError(message, reason="disk-full")
        case 3 | 19:  # newer versions of shadow exit with 19 for a bad name, older ones with 3
            return PermanentError(message, reason="invalid-name", hint="see NAME_REGEX and useradd(8)")
        case 9:
            return PermanentError(
                message, reason="group-exists", hint="a group of that name exists: rename the workload"
            )
        case 12:
            return PermanentError(message, reason="home-missing")
        case _:
            return PermanentError(message, reason="account-failed")
