"""The processes of the demo: started in order, watched, and ended in reverse order, whatever happens.

Owns: each child's log and its notification socket, on which the demo plays systemd's part
(sd_notify(3)): `READY=1` and `STATUS=` arrive by themselves, nothing is polled.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

STOP_TIMEOUT = 10.0


class DemoError(Exception):
    """A step failed; the message is for people."""


@dataclass(slots=True)
class Child:
    """One process."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    pidfd: int
    notify: socket.socket | None
    out: IO[bytes] | None = None

    def ended(self) -> DemoError:
        """Return the error to raise if it ended by itself."""
        return DemoError(f"{self.name} ended with status {self.process.wait()}")


class Children:
    """Started in order; `close` ends them in reverse."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self.all: list[Child] = []

    def close(self) -> None:
        """End all of them."""
        while self.all:
            self._end(self.all.pop())

    def start(
        self,
        name: str,
        *arguments: str,
        notify: bool = True,
        listen: socket.socket | None = None,
        out: bool = False,
    ) -> Child:
        """Start a Python module. `out`: keep its stdout; else it goes to its log, as stderr does."""
        log = self.folder / f"{name}.log"
        environment = {**self.environment, "EVENTD_DEMO_PID": str(os.getpid())}
        heard = None
        if notify:
            path = self.folder / f"{name}.notify"
            heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            heard.bind(str(path))
            environment["NOTIFY_SOCKET"] = str(path)
        passed = ["--socket", str(listen.fileno())] if listen is not None else []
        with log.open("ab") as file:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "eventd_simulators.demo.launch", *passed),
                    *(sys.executable, "-m", *arguments),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if out else file,
                stderr=file,
                env=environment,
                pass_fds=[listen.fileno()] if listen is not None else [],
                # Ctrl-C is for the demo; it then ends its children in their order.
                start_new_session=True,
            )
        child = Child(name, process, log, os.pidfd_open(process.pid), heard, process.stdout)
        self.all.append(child)
        return child

    def ready(self, child: Child, timeout: float) -> None:
        """Return when it says READY=1; raises DemoError at the deadline or when it ends."""
        assert child.notify is not None
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            found, _, _ = select.select([child.notify, child.pidfd], [], [], max(0.0, left))
            if child.notify in found:
                if b"READY=1" in child.notify.recv(65536).split(b"\n"):
                    return
            elif found:
                raise child.ended()
            else:
                raise DemoError(f"{child.name} was not ready within {timeout:g} s")

    def logs(self, lines: int = 40) -> str:
        """Return the end of every log."""
        texts = []
        for path in sorted(self.folder.glob("*.log")):
            tail = path.read_text(errors="replace").splitlines()[-lines:]
            texts.append("\n".join([f"== {path.name}", *(tail or ["(empty)"])]))
        return "\n".join(texts)

    def _end(self, child: Child) -> None:
        if child.process.poll() is None:
            child.process.send_signal(signal.SIGTERM)
            try:
                child.process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
        os.close(child.pidfd)
        if child.notify is not None:
            child.notify.close()
        if child.out is not None:
            child.out.close()
