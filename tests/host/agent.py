"""Runs the tests' commands inside a test host. A script: Debian's Python, no import of this package.

A service of the host, so that what it starts is in a cgroup that systemd and logind know (a process that
enters the namespaces from outside keeps its outer cgroup, and logind refuses it). It listens on a unix
socket in a folder shared with the outer machine, and says it is there by connecting to another one.
Commands get the caller's own file descriptors, so no output passes through here. One connection is
one request; closing it kills what it started.

Request: 4 bytes of length, JSON, file descriptors beside the first byte; replies likewise (`executor.py`).
"""

import array
import contextlib
import grp
import json
import os
import pwd
import select
import signal
import socket
import stat
import struct
import subprocess
import threading
from pathlib import Path
from typing import Any

SHARED = Path("/run/test-host")
BASE_ENV = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
}


def send(peer: socket.socket, message: dict[str, Any], fds: list[int] | None = None) -> None:
    """Send one message, with file descriptors beside its first byte."""
    data = json.dumps(message).encode()
    frame = struct.pack("!I", len(data)) + data
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sent = peer.sendmsg([frame], ancillary)
    if sent < len(frame):  # sending nothing would fail when the peer has already answered and hung up
        peer.sendall(frame[sent:])


def receive(peer: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Receive one message and its file descriptors; None at end of file."""
    fds: list[int] = []
    data = b""
    size = 4
    while len(data) < size:
        chunk, more, _, _ = socket.recv_fds(peer, size - len(data), 8)
        fds += more
        if not chunk:
            return None
        data += chunk
        if len(data) == 4 and size == 4:
            size += struct.unpack("!I", data)[0]
    message: dict[str, Any] = json.loads(data[4:])
    return message, fds


def environment(account: pwd.struct_passwd) -> dict[str, str]:
    """Return what a login would set, with the user's own bus when its manager has one."""
    env = {
        **BASE_ENV,
        "HOME": account.pw_dir,
        "USER": account.pw_name,
        "LOGNAME": account.pw_name,
        "SHELL": account.pw_shell or "/bin/sh",
    }
    runtime = f"/run/user/{account.pw_uid}"
    if account.pw_uid and Path(runtime).exists():
        env["XDG_RUNTIME_DIR"] = runtime
        env["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={runtime}/bus"
    return env


def execute(peer: socket.socket, request: dict[str, Any], fds: list[int]) -> None:
    """Run a command to its end, passing on signals; kill its process group when the peer goes away."""
    account = pwd.getpwnam(request.get("user") or "root")
    stdin, stdout, stderr = fds
    argv = request["argv"]
    if request.get("tty"):
        argv = ["setsid", "--ctty", "--wait", *argv]
    groups = os.getgrouplist(account.pw_name, account.pw_gid)
    if account.pw_uid:
        for fd in (stdout, stderr):  # so that the command can open its own /dev/stdout
            with contextlib.suppress(OSError):
                os.fchown(fd, account.pw_uid, account.pw_gid)
    process = subprocess.Popen(
        argv,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=request.get("cwd") or (account.pw_dir if Path(account.pw_dir).is_dir() else "/"),
        env={**environment(account), **(request.get("env") or {})},
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=groups,
        start_new_session=True,
    )
    for fd in fds:
        os.close(fd)
    fds.clear()
    ended = os.pidfd_open(process.pid)
    try:
        send(peer, {"pid": process.pid})
        while True:
            ready, _, _ = select.select([peer, ended], [], [])
            if ended in ready:
                send(peer, {"status": process.wait()})
                return
            asked = receive(peer)
            if asked is None:
                return
            signal.pidfd_send_signal(ended, asked[0]["signal"])
    finally:
        os.close(ended)
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def open_tty(peer: socket.socket, request: dict[str, Any]) -> None:
    """Run a command on a pseudo-terminal of the host's own, and hand its master side over."""
    master, slave = os.openpty()
    send(peer, {"tty": os.ttyname(slave)}, [master])
    os.close(master)
    execute(peer, {**request, "tty": True}, [slave, os.dup(slave), os.dup(slave)])


def write(request: dict[str, Any], fds: list[int]) -> dict[str, Any]:
    """Write a file in place from a descriptor, as an editor or a shell would; parents are made."""
    path = Path(request["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.dup(fds[0]), "rb") as source, path.open("wb") as target:
        while chunk := source.read(1 << 20):
            target.write(chunk)
        if (mode := request.get("mode")) is not None:
            os.fchmod(target.fileno(), mode)
        if owner := request.get("owner"):
            name, _, group = owner.partition(":")
            account = pwd.getpwnam(name)
            gid = grp.getgrnam(group).gr_gid if group else account.pw_gid
            os.fchown(target.fileno(), account.pw_uid, gid)
        target.flush()
        if request.get("fsync"):
            os.fsync(target.fileno())
    return {}


def status(request: dict[str, Any]) -> dict[str, Any]:
    """Return what lstat says of a path, or that it is not there."""
    try:
        found = os.lstat(request["path"])
    except (FileNotFoundError, NotADirectoryError):
        return {"stat": None}
    return {
        "stat": {
            "mode": stat.S_IMODE(found.st_mode),
            "type": stat.S_IFMT(found.st_mode),
            "uid": found.st_uid,
            "gid": found.st_gid,
            "size": found.st_size,
            "mtime_ns": found.st_mtime_ns,
            "inode": found.st_ino,
            "link": str(Path(request["path"]).readlink()) if stat.S_ISLNK(found.st_mode) else None,
        }
    }


def serve(peer: socket.socket) -> None:
    """Answer one connection."""
    fds: list[int] = []
    try:
        received = receive(peer)
        if received is None:
            return
        request, fds = received
        match request["op"]:
            case "exec":
                execute(peer, request, fds)
            case "tty":
                open_tty(peer, request)
            case "write":
                send(peer, write(request, fds))
            case "stat":
                send(peer, status(request))
            case "open":
                with Path(request["path"]).open("rb") as file:
                    send(peer, {}, [file.fileno()])
            case unknown:
                send(peer, {"error": f"no such operation: {unknown}"})
    except (OSError, KeyError, ValueError, subprocess.SubprocessError) as error:
        with contextlib.suppress(OSError):
            send(peer, {"error": f"{type(error).__name__}: {error}", "errno": getattr(error, "errno", None)})
    finally:
        for fd in fds:
            os.close(fd)
        peer.close()


def main() -> None:
    """Listen, say so, and serve for ever."""
    os.umask(0o022)
    path = SHARED / "exec.sock"
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(128)
    # Kept open: its end of file tells the outer machine that this agent has gone.
    hello = socket.socket(socket.AF_UNIX)
    hello.connect(str(SHARED / "ready.sock"))
    send(hello, {"boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(), "pid": os.getpid()})
    while True:
        peer, _ = listener.accept()
        threading.Thread(target=serve, args=(peer,), daemon=True).start()


if __name__ == "__main__":
    main()
