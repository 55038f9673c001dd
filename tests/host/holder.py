"""Holds one test host: its mount namespace, its disk, its cgroup, and the nspawn process in it.

A script, started by `machine.py` under `unshare --mount --pid`. It outlives every boot of its host, so that
the disk does; and it never outlives the test run: its standard input is a pipe from there, and end of file
(the test run ended, crashed or was killed) powers the host off and removes everything. If it is killed
itself, the kernel kills the host, because this is the first process of their pid namespace, and drops the
mounts; the next holder sweeps what no kernel mechanism removes: the cgroup, loop devices and the folder.

It reads commands, one a line: `boot`, `kill` (a power cut), and writes events, one JSON object a line:
`ready` once, then `booted`, `rebooting`, `off` (with nspawn's status), `error`.
"""

import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any, Final, NoReturn

CGROUPS: Final = Path("/sys/fs/cgroup")
LOOP_CTL_ADD: Final = 0x4C80
LOOP_CTL_REMOVE: Final = 0x4C81
LOOP_CLR_FD: Final = 0x4C01
FIRST_LOOP: Final = 100  # above those that losetup -f hands out
REBOOT: Final = 133  # nspawn's exit status when its payload asked for a reboot

AGENT_UNIT: Final = """\
# Runs the commands of the tests. As early as it can, so that a test sees the rest of the boot.
[Unit]
Description=Test host agent
DefaultDependencies=no
After=systemd-tmpfiles-setup.service
Conflicts=shutdown.target
Before=shutdown.target
IgnoreOnIsolate=yes

[Service]
ExecStart=/usr/bin/python3 -I /run/test-host/agent.py
Restart=always
RestartSec=100ms
KillMode=mixed
TimeoutStopSec=2s
OOMScoreAdjust=-900
LimitNOFILE=65536
"""


class Host:
    """One host; `config` is what `machine.py` wrote for it."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.state = Path(config["state"])
        self.disk = self.state / "disk"
        self.cgroup = CGROUPS / f"eventd-host-{self.state.name}"
        self.nspawn: subprocess.Popen[bytes] | None = None
        self.loops: list[int] = []

    def prepare(self) -> None:
        """Make the mounts, the cgroup, the loop devices and the disk."""
        if CGROUPS.is_mount():
            _run("umount", "--lazy", CGROUPS)
        _run("mount", "-t", "cgroup2", "cgroup2", CGROUPS)
        sweep(self.state.parent)
        self.cgroup.mkdir()
        # nspawn's clean-up refuses when this is not a mount of its own (where /run is on a disk).
        Path("/run/systemd/nspawn").mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "tmpfs", "/run/systemd/nspawn")

        self.disk.mkdir()
        _run("mount", "-t", "tmpfs", "-o", f"mode=0755,size={self.config['disk_size']}", "tmpfs", self.disk)
        for name in ("upper", "work", "merged", "home"):
            (self.disk / name).mkdir()
        lower = ":".join(reversed(self.config["layers"]))
        options = f"lowerdir={lower},upperdir={self.disk}/upper,workdir={self.disk}/work"
        _run("mount", "-t", "overlay", "overlay", "-o", options, self.disk / "merged")
        for _ in range(self.config["loops"]):
            self.loops.append(self._add_loop())
        self._write_files()

    def _write_files(self) -> None:
        files = {
            "/etc/machine-id": f"{uuid.uuid4().hex}\n",  # empty: a "first boot", with presets
            "/etc/hostname": f"{self.config['hostname']}\n",
            "/etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {self.config['hostname']}\n::1 localhost\n",
            "/etc/systemd/system/test-host-agent.service": AGENT_UNIT,
            **self.config["files"],
        }
        root = self.disk / "merged"
        for name, text in files.items():
            path = root / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            # A link in the tree may be absolute, and would lead out of it into the outer machine.
            if path.parent.resolve() != path.parent or path.is_symlink():
                raise ValueError(f"{name} is reached through a symbolic link")
            path.write_text(text)
        wants = root / "etc/systemd/system/sysinit.target.wants"
        (wants / "test-host-agent.service").symlink_to("/etc/systemd/system/test-host-agent.service")

    def _add_loop(self) -> int:
        """Make a loop device of our own. Adding a number that is taken fails, so two holders cannot race."""
        with Path("/dev/loop-control").open("rb") as control:
            for number in range(FIRST_LOOP, FIRST_LOOP + 400):
                try:
                    fcntl.ioctl(control, LOOP_CTL_ADD, number)
                except FileExistsError:
                    continue
                with (self.state / "loops").open("a") as record:
                    record.write(f"{number}\n")
                return number
        raise OSError("no free loop device")

    def boot(self) -> None:
        """Start nspawn on the disk."""
        remove_cgroup(self.cgroup, itself=False)
        binds = {str(self.state / "shared"): "/run/test-host", str(self.disk / "home"): "/home"}
        binds |= self.config["binds"]
        devices = ["/dev/fuse", "/dev/loop-control", *(f"/dev/loop{number}" for number in self.loops)]
        argv = [
            "systemd-nspawn",
            f"--directory={self.disk / 'merged'}",
            f"--machine=host-{self.state.name}",
            f"--hostname={self.config['hostname']}",
            "--boot",
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--private-network",
            "--capability=all",
            "--drop-capability=CAP_SYS_TIME",  # the clock is the outer machine's too
            "--system-call-filter=@keyring",  # or crun: "create keyring: Operation not permitted"
            "--console=pipe",
            "--link-journal=no",
            "--resolv-conf=off",
            "--timezone=off",
            *(f"--bind={device}" for device in devices if Path(device).exists()),
            *(f"--bind={outside}:{inside}" for outside, inside in binds.items()),
        ]
        env = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
            "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1",  # udevd runs only where /sys is writable
        }
        procs = str(self.cgroup / "cgroup.procs")

        def enter() -> None:
            with open(procs, "w") as file:  # noqa: PTH123  between fork and exec: the least that will do
                file.write("0")

        with (self.state / "console.log").open("ab") as console:
            self.nspawn = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env=env,
                preexec_fn=enter,  # noqa: PLW1509  there are no threads here
                start_new_session=True,
            )
        say("booted", pid=self.nspawn.pid)

    def kill(self) -> None:
        """Cut the power: every process of the host dies at once, and this returns when all are gone."""
        kill_cgroup(self.cgroup)
        if self.nspawn:
            self.nspawn.wait(timeout=20)
            self.nspawn = None
        with contextlib.suppress(ChildProcessError):  # what nspawn left behind is ours, as the first process
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    def ended(self) -> None:
        """See why nspawn ended: start it again when the host asked for a reboot."""
        assert self.nspawn
        status = self.nspawn.wait()
        self.nspawn = None
        if status == REBOOT:
            say("rebooting")
            self.boot()
        else:
            say("off", status=status)

    def serve(self) -> None:
        """Obey commands until the other end of standard input is closed."""
        os.set_blocking(0, False)
        buffer = b""
        while True:
            watched: list[int] = [0]
            if self.nspawn:
                watched.append(os.pidfd_open(self.nspawn.pid))
            ready, _, _ = select.select(watched, [], [])
            if len(watched) == 2:
                os.close(watched[1])
            if 0 in ready:
                chunk = os.read(0, 4096)
                if not chunk:
                    return
                *lines, buffer = (buffer + chunk).split(b"\n")
                for line in lines:
                    self._obey(line.decode())
            elif ready:
                self.ended()

    def _obey(self, command: str) -> None:
        match command:
            case "boot" if not self.nspawn:
                self.boot()
            case "kill":
                self.kill()
                say("off", status=-signal.SIGKILL)
            case _:
                say("error", message=f"cannot do {command!r} now")

    def close(self) -> None:
        """Remove everything. The mounts go with the namespace, when this process ends."""
        if self.cgroup.exists():
            self.kill()
        release(self.state)


def release(state: Path) -> None:
    """Give back what the kernel does not take back by itself from a holder that ended."""
    with contextlib.suppress(FileNotFoundError):
        for number in (state / "loops").read_text().split():
            remove_loop(int(number))
    with contextlib.suppress(FileNotFoundError):
        kill_cgroup(CGROUPS / f"eventd-host-{state.name}")
    remove_cgroup(CGROUPS / f"eventd-host-{state.name}")
    subprocess.run(["umount", "--lazy", state / "disk"], check=False, stderr=subprocess.DEVNULL)
    shutil.rmtree(state, ignore_errors=True)


def sweep(states: Path) -> None:
    """Release what killed holders left. A living one holds the lock in its folder."""
    for state in states.iterdir():
        with contextlib.suppress(FileNotFoundError, BlockingIOError), (state / "lock").open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            release(state)


def remove_loop(number: int) -> None:
    """Detach a loop device and remove it; the last closer frees one that is still mounted somewhere."""
    with contextlib.suppress(OSError), Path(f"/dev/loop{number}").open("rb") as device:
        fcntl.ioctl(device, LOOP_CLR_FD)
    with contextlib.suppress(OSError), Path("/dev/loop-control").open("rb") as control:
        fcntl.ioctl(control, LOOP_CTL_REMOVE, number)


def remove_cgroup(cgroup: Path, *, itself: bool = True) -> None:
    """Remove an empty cgroup's children, and itself; what still has processes stays."""
    with contextlib.suppress(FileNotFoundError):
        for folder, _, _ in os.walk(cgroup, topdown=False):
            if itself or Path(folder) != cgroup:
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()


def kill_cgroup(cgroup: Path, timeout: float = 20) -> None:
    """Kill every process in a cgroup, and wait until none is left: cgroup.events says so with POLLPRI."""
    (cgroup / "cgroup.kill").write_text("1")
    deadline = time.monotonic() + timeout
    with (cgroup / "cgroup.events").open("rb") as events:
        poller = select.poll()
        poller.register(events, select.POLLPRI)
        while True:
            events.seek(0)
            if b"populated 0" in events.read():
                return
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"processes outlived the kill of {cgroup.name}")
            poller.poll(left * 1000)


def say(event: str, **data: object) -> None:
    """Tell `machine.py`. It may be gone: then end of file on standard input follows."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps({"event": event, **data}) + "\n")
        sys.stdout.flush()


def _run(*argv: str | Path) -> None:
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise OSError(f"{' '.join(map(str, argv))}: {done.stderr.strip()}")


def main() -> NoReturn:
    """Run until told to end."""
    config = json.loads(sys.argv[1])
    host = Host(config)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    status = 0
    try:
        host.prepare()
        say("ready", loops=host.loops)
        host.serve()
    except Exception as error:  # noqa: BLE001  the only way it can be told is by this line
        say("error", message=f"{type(error).__name__}: {error}")
        status = 1
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        host.close()
    sys.exit(status)


if __name__ == "__main__":
    main()
