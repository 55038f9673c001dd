"""What the service tells its manager: sd_notify(3), blocking, without asyncio (6 MB, for each stack)."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping
from typing import Self


class Notify:
    """The service's side of `Type=notify-reload`. Without a manager everything is accepted and dropped."""

    def __init__(self, address: str = "") -> None:
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            # A leading @ stands for the NUL byte of the abstract namespace (unix(7)).
            self._address = os.fsencode("\0" + address[1:] if address.startswith("@") else address)

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> Self:
        """Take NOTIFY_SOCKET out of it, so that no child has it."""
        return cls(environment.pop("NOTIFY_SOCKET", ""))

    def ready(self, status: str) -> None:
        """Say that the stack is up."""
        self._send("READY=1", _status(status))

    def status(self, text: str) -> None:
        """Say in one line how it goes."""
        self._send(_status(text))

    def reloading(self) -> None:
        """Say that a reload has begun, which ends with `ready` (or with the process)."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self, status: str) -> None:
        """Say that it is on its way out."""
        self._send("STOPPING=1", _status(status))

    def _send(self, *assignments: str) -> None:
        if self._socket is not None:
            self._socket.sendto("\n".join(assignments).encode(), self._address)


def _status(text: str) -> str:
    # A line break would start another assignment.
    return f"STATUS={' '.join(text.split())}"
