"""Runs one command of the host, with limits on time and output, and never through a shell.

Owns the start of a process (argument list, clean environment, optionally a service account's ids), its deadline and its
end. Adapters (git, useradd, the Quadlet generator, …) call `run` and interpret the exit status. It does not log, since
arguments and output may be secret, and it passes no file descriptor on.

A pidfd on the event loop reports the exit: no thread, no SIGCHLD handler, no polling. The leader is reaped only after
its process group was killed, so that the group id cannot belong to another process by then.

setpriv(1) takes another account's ids. A child that changes its ids itself would need fork(2), which copies a daemon's
page tables: 8 ms at 60 MB, where vfork(2) takes 1 ms.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from eventd.kernel.model.errors import DeadlineError, PermanentError, TemporaryError
from eventd.platform.dbus.peer_socket import effective_uid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OUTPUT_LIMIT = 16 * 1024 * 1024
ERROR_OUTPUT_LIMIT = 64 * 1024
_REAP_SECONDS = 5.0
_WRAPPERS = frozenset(
    {
        "ionice",
        "nice",
        "nsenter",
        "prlimit",
        "setpriv",
        "setsid",
        "stdbuf",
        "systemd-run",
        "timeout",
        "unshare",
    }
)
"""Programs that run another program. Messages name that one, so these have to be passed as `under`."""
_TRANSIENT = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY})


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """The ids of one of eventd's own accounts, for a command. The supplementary groups are exactly `groups`.

    Never those of a workload or a person: `eventd.platform.processes.unit_process` runs such commands.
    """

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Completed:
    """The result of a command that ended by itself."""

    command: str
    """Its name in messages, without arguments, which could be secret."""
    status: int
    """Exit status, or the negative number of the signal that ended it."""
    stdout: bytes
    stderr: bytes
    """At most the last 64 KiB."""

    @property
    def ok(self) -> bool:
        """Whether it exited with 0."""
        return self.status == 0

    def text(self) -> str:
        """Return its standard error, or else its output, as a printable text of at most 2,000 characters."""
        raw = self.stderr.strip() or self.stdout.strip()
        decoded = raw[-8000:].decode("utf-8", "replace")
        lines = (
            "".join(c if c.isprintable() else "?" for c in line).strip() for line in decoded.splitlines()
        )
        return "\n".join(line for line in lines if line)[-2000:]

    def require(self, *, reason: str = "command-failed", hint: str = "") -> Completed:
        """Return self, or raise PermanentError with the last line of its output."""
        if self.ok:
            return self
        last = self.text().rpartition("\n")[2] or "it printed no error"
        how = f"was ended by signal {-self.status}" if self.status < 0 else f"exited with {self.status}"
        raise PermanentError(f"{self.command} {how}: {last}", reason=reason, hint=hint)


async def run(
    argv: Sequence[str],
    *,
    timeout: float,
    under: Sequence[str] = (),
    called: str = "",
    identity: ServiceAccount | None = None,
    environment: Mapping[str, str] | None = None,
    cwd: str = "/",
    stdin: bytes = b"",
    output_limit: int = OUTPUT_LIMIT,
) -> Completed:
    """Run `argv` to its end, and return its exit status and output. A non-zero status is not an error.

    The environment is PATH, LC_ALL and `environment`. `timeout`: seconds. `output_limit`: bytes of standard output.
    When the command ends, the rest of its process group is killed.

    `under`: a wrapper with its options (`nice -n 19`), which messages do not name. `called`: the command's name in
    messages; default: the name of its program.

    Raises DeadlineError if it does not end in time, PermanentError(reason="command-missing" | "output-limit" |
    "not-permitted" | "command-unusable"), and TemporaryError(reason="no-resources"). Each of them, and a cancellation,
    kills the whole process group.
    """
    name = called or PurePath(argv[0]).name
    process = _spawn(argv, under, name, identity, environment or {}, cwd, stdin)
    child = _Child(process, identity, output_limit)
    try:
        async with asyncio.timeout(timeout):
            await child.finished
    except TimeoutError:
        await child.kill()
        raise DeadlineError(f"{name} did not end within {timeout:g} s") from None
    except BaseException:
        await child.kill()
        raise
    finally:
        child.close()
    if child.overflowed:
        raise PermanentError(f"{name} wrote more than {output_limit} bytes", reason="output-limit")
    assert process.returncode is not None
    if process.returncode in (126, 127) and child.stderr.startswith(b"setpriv: "):
        message = child.stderr.decode("utf-8", "replace").strip()
        raise PermanentError(f"cannot run {name}: {message}", reason="not-permitted")
    return Completed(name, process.returncode, bytes(child.stdout), bytes(child.stderr))


def _spawn(
    argv: Sequence[str],
    under: Sequence[str],
    name: str,
    identity: ServiceAccount | None,
    environment: Mapping[str, str],
    cwd: str,
    stdin: bytes,
) -> subprocess.Popen[bytes]:
    """Start it with `stdin` as its whole input."""
    # The input is an anonymous file, not a pipe: nothing has to be written while the output is read, so no deadlock.
    source = os.memfd_create("stdin", os.MFD_CLOEXEC) if stdin else os.open(os.devnull, os.O_RDONLY)
    try:
        if stdin:
            _write_all(source, stdin)
            os.lseek(source, 0, os.SEEK_SET)
        return spawn(argv, name, identity, environment, under=under, cwd=cwd, stdin=source)
    finally:
        os.close(source)


def spawn(
    argv: Sequence[str],
    name: str,
    identity: ServiceAccount | None,
    environment: Mapping[str, str],
    *,
    under: Sequence[str] = (),
    cwd: str = "/",
    stdin: int = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    """Start a process as the leader of its own session, with 0, 1 and 2 as its only descriptors. Raises as `run` does.

    `run` is for commands that end by themselves, `eventd.platform.processes.line_process` for long-running ones.
    """
    if PurePath(argv[0]).name in _WRAPPERS:
        raise ValueError(f"{argv[0]} only runs another program: name that one, and pass {argv[0]} as `under`")
    # Checked here: if the wrapper does not find it, that is only an exit status of the wrapper.
    if under and shutil.which(argv[0], path=SEARCH_PATH) is None:
        raise _missing(argv[0])
    words = [*under, *argv]
    if identity is not None:
        if os.geteuid() == 0:
            words = _with_ids(identity, words)
        elif identity.uid != os.geteuid():
            raise PermanentError(
                f"{name} must run as uid {identity.uid}, which needs root",
                reason="not-permitted",
            )
    try:
        return subprocess.Popen(
            words,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=cwd,
            env={"PATH": SEARCH_PATH, "LC_ALL": "C.UTF-8", **environment},
            start_new_session=True,
            close_fds=True,
            umask=0o022,
        )
    except FileNotFoundError as error:
        # execvp(3) and chdir(2) fail alike; the file name in the error says which one did.
        if error.filename == cwd:
            raise PermanentError(
                f"cannot run {name}: the folder {cwd} does not exist", reason="command-unusable"
            ) from error
        raise _missing(words[0]) from error
    except OSError as error:
        message = f"cannot run {name}: {error.strerror}"
        if error.errno in _TRANSIENT:
            raise TemporaryError(message, reason="no-resources") from error
        reason = "not-permitted" if error.errno == errno.EPERM else "command-unusable"
        raise PermanentError(message, reason=reason) from error


def _with_ids(identity: ServiceAccount, words: list[str]) -> list[str]:
    """Return the command line that runs `words` with these ids and no other group."""
    # Checked here: if setpriv does not find it, that is only an exit status of setpriv.
    find_command(words[0])
    for number in (identity.uid, identity.gid, *identity.groups):
        # -1 means "unchanged" to setresuid(2), and setpriv takes larger numbers modulo 2^32.
        if not 0 <= number < 2**32 - 1:
            raise PermanentError(f"{number} is not a valid user or group id", reason="not-permitted")
    groups = ",".join(map(str, identity.groups))
    return [
        "setpriv",  # of util-linux
        f"--reuid={identity.uid}",
        f"--regid={identity.gid}",
        f"--groups={groups}" if groups else "--clear-groups",
        # systemd makes a root service's capabilities inheritable, and a change of uid leaves them so.
        "--inh-caps=-all",
        "--no-new-privs",
        "--",
        *words,
    ]


def find_command(command: str) -> str:
    """Return the path of a command. Raises PermanentError(reason="command-missing")."""
    path = shutil.which(command, path=SEARCH_PATH)
    if path is None:
        raise _missing(command)
    return path


def _missing(command: str) -> PermanentError:
    name = PurePath(command).name
    return PermanentError(
        f"the command {command} is not installed", reason="command-missing", hint=f"install {name}"
    )


def kill_group(process: subprocess.Popen[bytes], identity: ServiceAccount | None) -> None:
    """Kill the process group of a command that runs with these ids, unless it has been reaped.

    It is killed with its account's effective uid, since a daemon without CAP_KILL may only signal processes with one of
    its own uids (kill(2)). The real uid stays root's, for a command that has not taken its account's ids yet.
    """
    if process.returncode is not None:
        return
    with effective_uid(identity.uid) if identity is not None else contextlib.nullcontext():
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except PermissionError:
            # All members have other uids (a set-uid program), and we are not root: try the leader.
            process.kill()


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class _Child:
    """The loop's side of one process: its two pipes and its pidfd. `finished` is done when all three have ended."""

    def __init__(self, process: subprocess.Popen[bytes], identity: ServiceAccount | None, limit: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.finished: asyncio.Future[None] = self.loop.create_future()
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.overflowed = False
        self._process = process
        self._identity = identity
        self._limit = limit
        self._exited: asyncio.Future[None] = self.loop.create_future()
        assert process.stdout is not None
        assert process.stderr is not None
        self._pipes = {process.stdout.fileno(): self.stdout, process.stderr.fileno(): self.stderr}
        self._pidfd = os.pidfd_open(process.pid)
        self.loop.add_reader(self._pidfd, self._on_exit)
        for descriptor in self._pipes:
            os.set_blocking(descriptor, False)
            self.loop.add_reader(descriptor, self._on_output, descriptor)

    def _on_output(self, descriptor: int) -> None:
        try:
            chunk = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return
        kept = self._pipes[descriptor]
        kept += chunk
        if kept is self.stderr:
            del kept[:-ERROR_OUTPUT_LIMIT]
        elif len(kept) > self._limit:
            self.overflowed = True
            del kept[self._limit :]
            self._signal_group()
            chunk = b""
        if not chunk:
            self.loop.remove_reader(descriptor)
            del self._pipes[descriptor]
            self._check()

    def _on_exit(self) -> None:
        # The leader is a zombie until poll() reaps it, so its group id cannot belong to another process. Killing the
        # group first is therefore safe, and it closes pipes that a grandchild holds open.
        self.loop.remove_reader(self._pidfd)
        self._signal_group()
        self._process.poll()
        os.close(self._pidfd)
        if not self._exited.done():
            self._exited.set_result(None)
        self._check()

    def _check(self) -> None:
        if not self._pipes and self._exited.done() and not self.finished.done():
            self.finished.set_result(None)

    def _signal_group(self) -> None:
        kill_group(self._process, self._identity)

    async def kill(self) -> None:
        """Kill the group, and wait up to five seconds until the leader is reaped.

        A process in uninterruptible sleep (a dead NFS server) ends later; the loop then reaps it.
        """
        self._signal_group()
        await asyncio.wait({self._exited}, timeout=_REAP_SECONDS)

    def close(self) -> None:
        """Close our ends of the pipes."""
        for descriptor in self._pipes:
            self.loop.remove_reader(descriptor)
        self._pipes.clear()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()
