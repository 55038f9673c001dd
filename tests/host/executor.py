"""Runs commands in a test host, through the agent there (`agent.py`).

A command gets pipes of ours as its standard streams, so running one costs what starting its process costs:
no shell, no PAM session, no copying in between. `machine.py` adds what a host is; this knows one socket only.
"""

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tests.host import agent

Argv = str | Sequence[str | Path]
Message = dict[str, Any]


class HostError(Exception):
    """A test host did not do what it should have; carries what is known of why."""


class CommandError(HostError):
    """A command in a host ended with a status other than 0, or not in time."""

    def __init__(self, message: str, result: "subprocess.CompletedProcess[str]") -> None:
        streams = (("stdout", result.stdout), ("stderr", result.stderr))
        said = "".join(f"\n--- {name}\n{text[-8000:].rstrip()}" for name, text in streams if text)
        super().__init__(f"{message}: {' '.join(result.args)}{said}")
        self.result = result


class Process:
    """A command that runs in a host. Leaving its `with` block kills its process group."""

    def __init__(self, peer: socket.socket, argv: list[str], pipes: list[int]) -> None:
        self.argv = argv
        self.pid: int = -1  # in the host's pid namespace
        self.returncode: int | None = None
        self._peer = peer
        self._stdin: int | None = pipes[0]
        self._outputs = {pipes[1]: bytearray(), pipes[2]: bytearray()}
        self._streams = (pipes[1], pipes[2])
        self._open = set(self._streams)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def stdout(self) -> str:
        """What it has printed so far, as far as it was read."""
        return self._outputs[self._streams[0]].decode(errors="replace")

    @property
    def stderr(self) -> str:
        """What it has printed on standard error so far, as far as it was read."""
        return self._outputs[self._streams[1]].decode(errors="replace")

    def result(self) -> "subprocess.CompletedProcess[str]":
        """Return what there is: the status is -1 for a command that has not ended."""
        status = -1 if self.returncode is None else self.returncode
        return subprocess.CompletedProcess(self.argv, status, self.stdout, self.stderr)

    def send_signal(self, number: int) -> None:
        """Send the command (not its children) a signal."""
        agent.send(self._peer, {"signal": number})

    def write(self, data: str | bytes) -> None:
        """Write to its standard input."""
        assert self._stdin is not None
        os.write(self._stdin, data.encode() if isinstance(data, str) else data)

    def wait(self, timeout: float = 240, stdin: bytes = b"") -> "subprocess.CompletedProcess[str]":
        """Wait for its end, feeding it `stdin` and reading what it prints; CommandError at the deadline.

        What children in the background print after its end is not waited for.
        """
        left = memoryview(stdin)
        deadline = time.monotonic() + timeout
        if not left:
            self._close_stdin()
        while self.returncode is None:
            left = self._step(deadline, left)
        for fd in self._open:
            os.set_blocking(fd, False)
            with contextlib.suppress(BlockingIOError):
                while chunk := os.read(fd, 65536):
                    self._outputs[fd] += chunk
        return self.result()

    def read_until(self, pattern: str, timeout: float = 240) -> "re.Match[str]":
        """Read until its standard output matches a regular expression (multi-line, searched as a whole)."""
        deadline = time.monotonic() + timeout
        while not (found := re.search(pattern, self.stdout, re.MULTILINE)):
            if self.returncode is not None and self._streams[0] not in self._open:
                raise CommandError(f"ended with {self.returncode} before printing {pattern!r}", self.result())
            self._step(deadline, memoryview(b""))
        return found

    def _step(self, deadline: float, stdin: memoryview) -> memoryview:
        """Do whatever is ready first: feed, read, or learn of the end."""
        seconds = deadline - time.monotonic()
        writers = [self._stdin] if stdin and self._stdin is not None else []
        readers: list[Any] = [*self._open, *([self._peer] if self.returncode is None else [])]
        readable, writable, _ = select.select(readers, writers, [], max(seconds, 0))
        if not readable and not writable:
            result = self.result()
            self.close()
            raise CommandError("did not end (or print what was waited for) in time", result)
        for fd in readable:
            if fd is self._peer:
                self._ended()
            elif chunk := os.read(fd, 65536):
                self._outputs[fd] += chunk
            else:
                self._open.discard(fd)
        if writable and self._stdin is not None:
            try:
                stdin = stdin[os.write(self._stdin, stdin[: select.PIPE_BUF]) :]
            except BrokenPipeError:
                stdin = memoryview(b"")
            if not stdin:
                self._close_stdin()
        return stdin

    def _ended(self) -> None:
        try:
            received = agent.receive(self._peer)
        except ConnectionError:
            received = None
        if received is None:
            result = self.result()
            self.close()
            raise CommandError("the host went away under the command", result)
        self.returncode = received[0]["status"]

    def _close_stdin(self) -> None:
        if self._stdin is not None:
            os.close(self._stdin)
            self._stdin = None

    def close(self) -> None:
        """Kill it if it still runs, and let go of its streams. Does nothing the second time."""
        if self._peer.fileno() != -1:
            self._peer.close()
            self._close_stdin()
            for fd in self._streams:
                os.close(fd)


class Executor:
    """The agent of one host, at the socket in the folder that the host shares."""

    def __init__(self, folder: Path) -> None:
        self._socket = str(folder / "exec.sock")

    def start(
        self,
        argv: Argv,
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> Process:
        """Start a command: a list, or a string for `bash -euo pipefail -c`."""
        words = _words(argv)
        pairs = [os.pipe(), os.pipe(), os.pipe()]
        ours = [pairs[0][1], pairs[1][0], pairs[2][0]]
        theirs = [pairs[0][0], pairs[1][1], pairs[2][1]]
        peer = socket.socket(socket.AF_UNIX)
        process = Process(peer, words, ours)
        try:
            request = {"op": "exec", "argv": words, "user": user, "env": dict(env or {}), "cwd": cwd}
            process.pid = self._ask(peer, request, theirs)[0]["pid"]
        except BaseException:
            process.close()
            raise
        finally:
            for fd in theirs:
                os.close(fd)
        return process

    def run(
        self,
        argv: Argv,
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        stdin: str | bytes = b"",
        timeout: float = 240,
        check: bool = True,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end; CommandError when its status is not 0 (with `check`) or time is up."""
        with self.start(argv, user=user, env=env, cwd=cwd) as process:
            result = process.wait(timeout, stdin.encode() if isinstance(stdin, str) else stdin)
        if check and result.returncode:
            raise CommandError(f"status {result.returncode}", result)
        return result

    def attach(self, argv: Argv, fds: tuple[int, int, int] = (0, 1, 2)) -> int:
        """Run a command on descriptors of this process, with no deadline; returns its status."""
        with socket.socket(socket.AF_UNIX) as peer:
            self._ask(peer, {"op": "exec", "argv": _words(argv)}, list(fds))
            ended = agent.receive(peer)
        return int(ended[0]["status"]) if ended else -1

    def open_tty(self, argv: Argv, env: Mapping[str, str]) -> tuple[socket.socket, int]:
        """Start a command on a terminal of the host.

        Returns the connection, on which its pid and then its status come, and the terminal's master side.
        """
        peer = socket.socket(socket.AF_UNIX)
        _, fds = self._ask(peer, {"op": "tty", "argv": _words(argv), "env": dict(env)})
        return peer, fds[0]

    def write(
        self, path: str | Path, data: str | bytes, *, mode: int | None, owner: str | None, fsync: bool
    ) -> None:
        """Write a file in place, as root, following the links of the host and not those out here."""
        with open_memory(data.encode() if isinstance(data, str) else data) as fd:
            self._once({"op": "write", "path": str(path), "mode": mode, "owner": owner, "fsync": fsync}, [fd])

    def read(self, path: str | Path) -> bytes:
        """Read a file."""
        _, fds = self._once({"op": "open", "path": str(path)})
        with os.fdopen(fds[0], "rb") as file:
            return file.read()

    def stat(self, path: str | Path) -> dict[str, Any] | None:
        """Return lstat's mode, type, uid, gid, size, mtime_ns, inode and link; None when it is not there."""
        found: dict[str, Any] | None = self._once({"op": "stat", "path": str(path)})[0]["stat"]
        return found

    def _once(
        self, request: dict[str, Any], fds: list[int] | None = None
    ) -> tuple[dict[str, Any], list[int]]:
        with socket.socket(socket.AF_UNIX) as peer:
            return self._ask(peer, request, fds)

    def _ask(
        self, peer: socket.socket, request: Message, fds: list[int] | None = None
    ) -> tuple[Message, list[int]]:
        """Send a request and return the first answer. The agent answers at once: 30 s is a dead host."""
        peer.settimeout(30)
        try:
            peer.connect(self._socket)
            agent.send(peer, request, fds)
            received = agent.receive(peer)
        except OSError as error:
            raise HostError(f"the host's agent does not answer: {error}") from error
        peer.settimeout(None)
        if received is None:
            raise HostError(f"the host's agent hung up on {request['op']}")
        if "error" in received[0]:
            if received[0].get("errno"):
                raise OSError(received[0]["errno"], f"in the host: {received[0]['error']}")
            raise HostError(received[0]["error"])
        return received


def _words(argv: Argv) -> list[str]:
    return ["bash", "-euo", "pipefail", "-c", argv] if isinstance(argv, str) else [str(word) for word in argv]


@contextlib.contextmanager
def open_memory(data: bytes) -> Iterator[int]:
    """Yield a descriptor of an anonymous file with this content, at its start."""
    fd = os.memfd_create("test-host")
    try:
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(data)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)


def signal_number(name: str | int) -> int:
    """Return the number of `KILL`, `SIGKILL` or 9."""
    if isinstance(name, int):
        return name
    return signal.Signals[name if name.startswith("SIG") else f"SIG{name}"].value
