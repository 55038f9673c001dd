"""Measures folders with du(1), with the owner's rights and at the lowest priority.

Never as root: root would have to walk through folders that a user controls. Files that the user cannot read (those of
other ids in their containers) are not counted, and the result says that it is incomplete.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eventd.platform.model_facts import Account
from eventd.platform.processes.unit_process import Processes
from eventd.platform.processes.unit_rights import AsUser

TIMEOUT = 120.0
"""Seconds for one workload."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The size of one folder."""

    size: int
    """Bytes on the disk."""
    whole: bool
    """Whether everything in it could be read."""


class DiskUsage:
    """Runs du(1). `processes`: runs a command with a user's rights."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    async def measure(self, account: Account, path: str, left_out: Sequence[str]) -> Usage | None:
        """Return the size of a folder, None if it does not exist. Raises DeadlineError, PermanentError."""
        argv = ["du", "--summarize", "--one-file-system", "--block-size=1"]
        argv += [*(f"--exclude={each}" for each in left_out), "--", path]
        done = await self._processes.run(AsUser(account, gentle=True), argv, timeout=TIMEOUT)
        first = done.stdout.split(b"\t", 1)[0]
        if not first.isdigit():
            return None
        return Usage(int(first), whole=done.ok)
