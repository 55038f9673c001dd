"""A test host: boots a Debian 13 with systemd under nspawn, runs commands in it, reboots it, cuts its power.

Owns the life of one host as a test sees it. The namespace, disk and nspawn process belong to a holder
process (`holder.py`), and commands go through the agent in the host (`agent.py`); this speaks with
both, and waits for what they say: nothing here polls, and every wait has a deadline. An error carries the
end of the console and of the journal.

    with Machine(layers=[tree.ensure()]) as host:
        host.run(["systemctl", "--version"])
"""

import contextlib
import json
import os
import secrets
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from tests.host import agent, outer
from tests.host.executor import Argv, CommandError, Executor, HostError, Process, signal_number

__all__ = ["CommandError", "HostError", "Machine", "Process"]

STATES: Final = Path("/run/eventd-test-host")
_HERE: Final = Path(__file__).parent


class Machine:
    """One host. It boots when its `with` block is entered, or by `boot()`; `close()` leaves nothing behind.

    layers: the read-only trees under its disk, lowest first.
    files: path -> text, put on the disk before the first boot (root's, 0644).
    binds: path outside -> path inside, bind-mounted at every boot.
    loops: how many loop devices of its own it gets (`disks.py` plugs images into them).

    Attributes: `boot_id` of the current boot; `loops`, its loop devices; `scratch`, a folder outside that is
    removed with it; `executor`, the way to its agent.
    """

    def __init__(
        self,
        layers: Sequence[Path],
        *,
        hostname: str = "testhost",
        files: Mapping[str, str] | None = None,
        binds: Mapping[str, str] | None = None,
        loops: int = 0,
        disk_size: str = "6g",
    ) -> None:
        STATES.mkdir(parents=True, exist_ok=True)
        self.hostname = hostname
        self.boot_id = ""
        self.loops: list[Path] = []
        self._state = STATES / secrets.token_hex(4)  # also in a host name, where few characters are allowed
        self._state.mkdir(mode=0o700)
        self._shared = self._state / "shared"
        self.scratch = self._state / "scratch"
        self.executor = Executor(self._shared)
        self._hello: socket.socket | None = None
        self._events: list[dict[str, Any]] = []
        self._buffer = b""
        self._shared.mkdir(mode=0o700)
        self.scratch.mkdir()
        shutil.copy(_HERE / "agent.py", self._shared)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._shared / "ready.sock"))
        self._listener.listen(4)
        config = {
            "state": str(self._state),
            "layers": [str(path) for path in layers],
            "hostname": hostname,
            "files": dict(files or {}),
            "binds": dict(binds or {}),
            "loops": loops,
            "disk_size": disk_size,
        }
        self._holder = self._start_holder(config, layers)
        try:
            ready = self._await_event("ready", time.monotonic() + 120)
        except BaseException:
            self.close()
            raise
        self.loops = [Path(f"/dev/loop{number}") for number in ready["loops"]]

    def _start_holder(self, config: dict[str, Any], layers: Sequence[Path]) -> "subprocess.Popen[bytes]":
        """Start the holder. It keeps locks: on its folder (it lives), on the layers (they are in use)."""
        with contextlib.ExitStack() as stack:
            locks = [stack.enter_context(outer.lock_shared(path)) for path in layers]
            locks.append(stack.enter_context(outer.lock_file(self._state / "lock.new")))
            (self._state / "lock.new").rename(self._state / "lock")  # now locked, so no sweep can take it
            log = stack.enter_context((self._state / "holder.log").open("wb"))
            # The first process of a pid namespace: when it dies, the kernel kills all others in it.
            argv = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--mount-proc"]
            argv += ["--kill-child", "--", sys.executable, "-I", "-S"]
            return subprocess.Popen(
                [*argv, str(_HERE / "holder.py"), json.dumps(config)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=[lock.fileno() for lock in locks],
                start_new_session=True,  # Ctrl-C is ours to handle
                env={"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
            )

    def __enter__(self) -> Self:
        try:
            self.boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Its life.

    def boot(self, *, timeout: float = 240, wait: bool = True) -> None:
        """Switch it on. With `wait`, returns when systemd says `running`; else when commands can be run."""
        self._tell("boot")
        deadline = time.monotonic() + timeout
        self._await_agent(deadline)
        if wait:
            self.wait_running(deadline - time.monotonic())

    def reboot(self, *, timeout: float = 300, wait: bool = True) -> None:
        """Shut down in good order and boot again from the same disk."""
        deadline = time.monotonic() + timeout
        self._forget()
        with self.start(["systemctl", "--no-block", "reboot"]):
            self._await_event("rebooting", deadline)
        self._await_agent(deadline)
        if wait:
            self.wait_running(deadline - time.monotonic())

    def poweroff(self, *, timeout: float = 240) -> None:
        """Shut down in good order; `boot()` switches it on again."""
        self._forget()
        with self.start(["systemctl", "--no-block", "poweroff"]):
            self._await_event("off", time.monotonic() + timeout)

    def power_cut(self) -> None:
        """Kill every process of the host at once; `boot()` switches it on again, from what is on its disk.

        The disk is memory, so it keeps what was written and not yet synced as well: a power cut here shows
        what a half-done piece of work leaves behind, not what a disk's cache loses.
        """
        self._forget()
        self._tell("kill")
        self._await_event("off", time.monotonic() + 120)

    def close(self) -> None:
        """Cut the power and remove everything. Does nothing the second time."""
        if self._holder.stdin and not self._holder.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._holder.stdin.close()
            try:
                self._holder.wait(timeout=45)
            except subprocess.TimeoutExpired:
                self._holder.kill()  # nspawn dies with it; the next holder sweeps
                self._holder.wait()
        if self._holder.stdout:
            self._holder.stdout.close()
        if self._hello:
            self._hello.close()
        self._listener.close()

    def wait_running(self, timeout: float = 240) -> None:
        """Wait until the boot's jobs are done and no unit has failed; HostError with what failed."""
        try:
            done = self.run(["systemctl", "is-system-running", "--wait"], timeout=timeout, check=False)
        except CommandError as error:
            jobs = self.run(["systemctl", "list-jobs"], check=False).stdout
            raise self.error(f"the host is not up in time, it waits for:\n{jobs}") from error
        if done.stdout.strip() != "running":
            failed = self.run(["systemctl", "--failed", "--no-legend", "--plain"], check=False).stdout
            raise self.error(
                f"the host is {done.stdout.strip() or done.stderr.strip()}, failed units:\n{failed}"
            )

    # Commands.

    def run(
        self,
        argv: Argv,
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        input: str | bytes = b"",  # noqa: A002  as subprocess.run calls it
        timeout: float = 240,
        check: bool = True,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command in the host: a list, or a string for bash. CommandError on another status than 0.

        As a user, it has that user's groups, home and (where the manager runs) bus, without a login session.
        """
        return self.executor.run(argv, user=user, env=env, cwd=cwd, stdin=input, timeout=timeout, check=check)

    def start(
        self,
        argv: Argv,
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> Process:
        """Start a command and return while it runs (`with`: it is killed at the end of the block)."""
        return self.executor.start(argv, user=user, env=env, cwd=cwd)

    @contextlib.contextmanager
    def session(self, user: str) -> Iterator[str]:
        """Keep a user logged in (a PAM session that logind knows); yields the id of the session."""
        unit = f"test-session-{time.monotonic_ns()}"
        # Without a terminal pam_systemd would call it a background session, which is nobody logged in.
        options = ["-p", "PAMName=login", "-p", f"User={user}", "-p", "Environment=XDG_SESSION_CLASS=user"]
        self.run(["systemd-run", *options, "-p", "Type=exec", "-q", f"--unit={unit}", "sleep", "infinity"])
        try:
            pid = self.run(["systemctl", "show", "-P", "MainPID", unit]).stdout.strip()
            yield (
                Path(self.read(f"/proc/{pid}/cgroup").strip())
                .name.removeprefix("session-")
                .removesuffix(".scope")
            )
        finally:
            self.run(["systemctl", "stop", unit], check=False)

    def kill_unit(self, unit: str, signal: str | int = "KILL", *, user: str | None = None) -> None:
        """Send every process of a unit (of a user's manager, with `user`) a signal."""
        scope = ["--user"] if user else []
        number = signal_number(signal)
        self.run(["systemctl", *scope, "kill", f"--signal={number}", unit], user=user)

    def show(self, unit: str, *properties: str, user: str | None = None) -> dict[str, str]:
        """Return properties of a unit, by `systemctl show`."""
        scope = ["--user"] if user else []
        done = self.run(["systemctl", *scope, "show", f"--property={','.join(properties)}", unit], user=user)
        return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)

    def journal(self, unit: str | None = None, *, user_unit: str | None = None, boot: str = "0") -> str:
        """Return the journal of a boot (or `all`), of one unit, or of any user's units of that name."""
        which = [f"--unit={unit}"] if unit else [f"_SYSTEMD_USER_UNIT={user_unit}"] if user_unit else []
        argv = ["journalctl", "--no-pager", "--output=short-precise", "--boot", boot, *which]
        return self.run(argv, timeout=60, check=False).stdout

    # Files.

    def write(
        self,
        path: str | Path,
        text: str | bytes,
        *,
        mode: int | None = None,
        owner: str | None = None,
        fsync: bool = False,
    ) -> None:
        """Write a file in place, making its parents; `owner` is `user` or `user:group`."""
        self.executor.write(path, text, mode=mode, owner=owner, fsync=fsync)

    def read(self, path: str | Path) -> str:
        """Read a text file."""
        return self.read_bytes(path).decode()

    def read_bytes(self, path: str | Path) -> bytes:
        """Read a file."""
        return self.executor.read(path)

    def exists(self, path: str | Path) -> bool:
        """Whether there is something at the path; a dangling link is."""
        return self.stat(path) is not None

    def stat(self, path: str | Path) -> dict[str, Any] | None:
        """Return mode, type, uid, gid, size, mtime_ns, inode and link (lstat); None when it is not there."""
        return self.executor.stat(path)

    def copy_in(self, source: Path, target: str | Path) -> None:
        """Copy a file or a folder's content into the host, owned by root."""
        if source.is_dir():
            packed = subprocess.run(
                ["tar", "--create", "--owner=0", "--group=0", "-C", str(source), "."],
                check=True, capture_output=True, timeout=60,
            )  # fmt: skip
            self.run(["mkdir", "-p", target])
            self.run(["tar", "--extract", "-C", target], input=packed.stdout)
        else:
            self.write(target, source.read_bytes(), mode=source.stat().st_mode & 0o777)

    # What the holder and the agent say.

    def _tell(self, command: str) -> None:
        assert self._holder.stdin
        self._holder.stdin.write(f"{command}\n".encode())
        self._holder.stdin.flush()

    def _forget(self) -> None:
        """Drop what was said before: what is waited for next is news."""
        self._events.clear()

    def _await_agent(self, deadline: float) -> None:
        """Wait for a new boot's agent; HostError as soon as the holder says that there will be none."""
        assert self._holder.stdout
        while True:
            readable, _, _ = select.select([self._listener, self._holder.stdout], [], [], _left(deadline))
            if self._listener in readable:
                break
            if not readable:
                raise self.error("the host did not boot in time")
            self._read_events()
            if any(event["event"] in {"off", "error"} for event in self._events):
                raise self.error(f"the host went off while it booted: {self._events}")
        hello, _ = self._listener.accept()
        hello.settimeout(10)
        received = agent.receive(hello)
        if received is None:
            raise self.error("the host's agent ended as it started")
        if self._hello:
            self._hello.close()
        self._hello = hello
        self.boot_id = received[0]["boot_id"]

    def _await_event(self, name: str, deadline: float) -> dict[str, Any]:
        """Wait until the holder says this."""
        assert self._holder.stdout
        while True:
            while self._events:
                event = self._events.pop(0)
                if event["event"] == name:
                    return event
                if event["event"] in {"error", "off"}:
                    raise self.error(f"waited for {name!r}, and the holder said: {event}")
            if not select.select([self._holder.stdout], [], [], _left(deadline))[0]:
                raise self.error(f"the holder did not say {name!r} in time")
            self._read_events()

    def _read_events(self) -> None:
        assert self._holder.stdout
        chunk = os.read(self._holder.stdout.fileno(), 65536)
        if not chunk:
            raise self.error("the holder of the host ended")
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        self._events += [json.loads(line) for line in lines]

    def error(self, message: str) -> HostError:
        """Return an error with what the host last said: its console, its journal, its holder."""
        parts = [message]
        for name in ("console.log", "holder.log"):
            with contextlib.suppress(OSError):
                text = (self._state / name).read_text(errors="replace")[-4000:].strip()
                parts.append(f"--- {name}\n{text}")
        parts.append(f"--- journal\n{self._dead_journal()}")
        return HostError("\n".join(parts))

    def _dead_journal(self) -> str:
        """Read the journal off the disk, from outside: the host may not answer any more."""
        folder = Path(f"/proc/{self._holder.pid}/root{self._state}/disk/upper/var/log/journal")
        argv = ["journalctl", f"--directory={folder}", "--merge", "--no-pager", "--lines=60", "--quiet"]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=10).stdout[
                -8000:
            ]
        return "(could not be read)"


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0)
