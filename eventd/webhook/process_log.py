"""The listener's log: one JSON object per line, prefixed with the priority if it goes to the journal.

Owns the format. Bodies, unverified headers and secrets are never logged.
"""

from __future__ import annotations

import json
import os
import sys
import time
from enum import IntEnum
from typing import TextIO


class Priority(IntEnum):
    """syslog(3), as sd-daemon(3) reads it from `<N>`."""

    ERROR = 3
    WARNING = 4
    INFO = 6


class Log:
    """Writes lines to a stream; standard error by default."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        # systemd sets it if the unit's output goes to the journal (systemd.exec(5)).
        self._journal = "JOURNAL_STREAM" in os.environ

    def write(self, priority: Priority, event: str, **fields: str | float | None) -> None:
        """Write one record. Fields that are None are left out."""
        record = {"time": round(time.time(), 3), "level": priority.name.lower(), "event": event}
        record.update((key, value) for key, value in fields.items() if value is not None)
        prefix = f"<{priority.value}>" if self._journal else ""
        print(prefix + json.dumps(record), file=self._stream, flush=True)
