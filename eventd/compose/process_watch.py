"""What the supervisor waits for, in one poll: signals, ends of processes, lines of a program, and the clock.

Owns descriptors and children, and decides nothing: `process_supervise.py` calls `wait` and handles what woke it.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

_CHUNK: Final = 65536
_LONGEST: Final = 1 << 20
"""The longest line in bytes; the rest is discarded."""
_LAST_WORDS: Final = 5.0
"""Seconds that a program may keep running after it has closed its output."""


@dataclass(slots=True)
class Woken:
    """What has happened since the last wait."""

    signals: set[int] = field(default_factory=set)
    lines: list[tuple[Child, str]] = field(default_factory=list)
    ended: list[Child] = field(default_factory=list)
    """Children that have ended and closed their output; `status` is set."""
    monitors: set[int] = field(default_factory=set)
    """The process ids given to `monitor` that have ended."""


class Child:
    """A program whose output is read line by line. It has its own process group."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        self.argv = list(argv)
        self.status: int | None = None
        self.process = subprocess.Popen(
            self.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(env),
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.output = self.process.stdout.fileno()
        os.set_blocking(self.output, False)
        self.rest = b""

    def kill(self) -> None:
        """Kill it and its process group, and reap it."""
        if self.status is None:
            # Not reaped yet, so the process id is still its own.
            os.killpg(self.process.pid, signal.SIGKILL)
            self.status = self.process.wait()


class Watch:
    """One poll over everything. A context manager: leaving it kills the children."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, Child] = {}
        self._monitors: dict[int, int] = {}
        self._pipe, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._write = write
        self._selector.register(self._pipe, selectors.EVENT_READ)
        # The handler does nothing: Python writes the signal's number into the pipe before it runs.
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, _ignore)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for child in list(self._children.values()):
            self.kill(child)
        self.monitor(())
        signal.set_wakeup_fd(-1)
        self._selector.close()
        os.close(self._pipe)
        os.close(self._write)

    def start(self, argv: Sequence[str], env: Mapping[str, str]) -> Child:
        """Start a program. Raises OSError if it cannot be run."""
        child = Child(argv, env)
        self._children[child.output] = child
        self._selector.register(child.output, selectors.EVENT_READ)
        return child

    def kill(self, child: Child) -> None:
        """Kill a program, and forget it. Does nothing if it has ended."""
        if self._children.pop(child.output, None):
            self._selector.unregister(child.output)
            child.kill()
            assert child.process.stdout is not None
            child.process.stdout.close()

    def monitor(self, pids: Iterable[int]) -> set[int]:
        """Watch exactly these processes. Returns those that have ended already."""
        wanted = set(pids)
        for pid, descriptor in list(self._monitors.items()):
            if pid not in wanted:
                self._selector.unregister(descriptor)
                os.close(descriptor)
                del self._monitors[pid]
        gone = set()
        for pid in wanted - set(self._monitors):
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                gone.add(pid)
                continue
            self._monitors[pid] = descriptor
            self._selector.register(descriptor, selectors.EVENT_READ)
        return gone

    def wait(self, until: float | None) -> Woken:
        """Wait for an event, or until a time of time.monotonic(); None: no limit."""
        timeout = None if until is None else max(until - time.monotonic(), 0)
        woken = Woken()
        for key, _ in self._selector.select(timeout):
            if key.fd == self._pipe:
                woken.signals.update(os.read(self._pipe, 4096))
            elif key.fd in self._children:
                self._read(self._children[key.fd], woken)
            else:
                pid = next(pid for pid, descriptor in self._monitors.items() if descriptor == key.fd)
                woken.monitors.add(pid)
                self._selector.unregister(key.fd)
                os.close(key.fd)
                del self._monitors[pid]
        return woken

    def _read(self, child: Child, woken: Woken) -> None:
        chunk = os.read(child.output, _CHUNK)
        *lines, rest = (child.rest + chunk).split(b"\n")
        child.rest = rest if len(rest) < _LONGEST else b""
        if not chunk and child.rest:
            lines.append(child.rest)
        woken.lines += [(child, line.decode(errors="replace")) for line in lines]
        if not chunk:
            # Its output is closed, so it is about to end. (If its own children keep the output open, this happens
            # later, or the caller's deadline applies.)
            del self._children[child.output]
            self._selector.unregister(child.output)
            try:
                child.status = child.process.wait(timeout=_LAST_WORDS)
            except subprocess.TimeoutExpired:
                child.kill()
            assert child.process.stdout is not None
            child.process.stdout.close()
            woken.ended.append(child)


def _ignore(_number: int, _frame: object) -> None:
    """Only interrupt the poll."""
