"""On a real host: nothing with a workload's uid ever runs in eventd.service, and nothing of it outlives its removal.

What runs where is seen by fanotify(7): each exec on the host waits until the watcher has read whose it is and in which
cgroup, so that none is too short-lived to be seen.
"""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tests.host.machine import Machine
from tests.host.operator import Operator, container

WATCHER = r"""
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
FAN_CLASS_CONTENT, FAN_CLOEXEC, FAN_UNLIMITED = 4, 1, 0x30
ADD_FILESYSTEM, OPEN_EXEC_PERM, ALLOW = 0x101, 0x40000, 1
fan = libc.fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_UNLIMITED, os.O_RDONLY | os.O_CLOEXEC)
assert fan >= 0, os.strerror(ctypes.get_errno())
for path in sys.argv[1:]:
    done = libc.fanotify_mark(fan, ADD_FILESYSTEM, ctypes.c_uint64(OPEN_EXEC_PERM), -100, path.encode())
    assert done == 0, os.strerror(ctypes.get_errno())
print("watching", flush=True)
def read(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""
while True:
    data = os.read(fan, 4096)
    while data:
        size, _, _, _, mask, fd, pid = struct.unpack_from("=IBBHQii", data)
        data = data[size:]
        status, group = read(f"/proc/{pid}/status"), read(f"/proc/{pid}/cgroup").strip()
        uids = status.partition("Uid:")[2].partition("\n")[0].split()
        what = os.readlink(f"/proc/self/fd/{fd}")
        os.write(fan, struct.pack("=iI", fd, ALLOW))
        os.close(fd)
        print(" ".join([group.rpartition("::")[2] or "?", ",".join(uids) or "?", what]), flush=True)
"""
STACK = """\
services:
  app:
    image: localhost/busybox:1
    pull_policy: never
    command: [sleep, infinity]
    stop_grace_period: 1s
"""
# A few processes that fork all the time; a child lives on if one of them has died, and they die often. What kills those
# that it has on a list is always late: the places of the dead (locks, which the kernel takes back) are taken again.
COLONY = """\
import fcntl, os, random, signal, tempfile
uid = os.geteuid()
os.setresuid(uid, uid, uid)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
places = tempfile.TemporaryFile()
def place():
    for number in range(4):
        try:
            return fcntl.lockf(places, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number) is None
        except OSError:
            pass
    return False
if os.fork():
    os._exit(0)
place()
while True:
    if os.fork() == 0:
        if not place():
            os._exit(0)
    elif random.random() < 0.2:
        os._exit(0)
"""
# The first thread ends alone: the process looks like a zombie, and goes on.
HEADLESS = """\
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(100000,)).start()
ctypes.CDLL(None).pthread_exit(None)
"""


@pytest.fixture(scope="module")
def op(machine: Machine) -> Operator:
    """An operator with eventd installed, and nothing deployed."""
    operator = Operator(machine)
    operator.install()
    operator.until(lambda status: status["state"] == "converged", "converged with nothing")
    machine.write("/usr/local/lib/colony.py", COLONY)
    machine.write("/usr/local/lib/headless.py", HEADLESS)
    return operator


def test_nothing_with_a_workloads_uid_runs_in_the_daemons_unit(op: Operator) -> None:
    """Deploying, an audit, looking at images, measuring, an update and a removal: of all that is executed meanwhile."""
    m = op.machine
    with watched(m) as rows:
        uids = work(op)
    daemons = [(ids, what) for group, ids, what in rows if group.endswith("/eventd.service")]
    seen = {uid for ids, _ in daemons for uid in ids.split(",")}
    allowed = {"0", *(m.run(["id", "-u", each]).stdout.strip() for each in ("eventd-git", "eventd-check"))}
    assert seen == allowed, [row for row in daemons if set(row[0].split(",")) - allowed]
    # It does see what is another's, and ours among that.
    others = {ids.split(",")[0] for group, ids, _ in rows if "/user@" in group}
    assert uids <= others
    units = {group.rpartition("/")[2].rpartition("-")[0] for group, _, _ in rows if "/eventd-" in group}
    assert {"eventd-podman", "eventd-ending"} <= units


@contextlib.contextmanager
def watched(m: Machine) -> Iterator[list[tuple[str, str, str]]]:
    """Collect (cgroup, uids, program) of every exec on the host, from outside of it; all are there after the block."""
    disk = f"/proc/{m._holder.pid}/root{m._state}/disk"
    rows: list[tuple[str, str, str]] = []
    with (
        (m.scratch / "execs").open("w+") as said,
        subprocess.Popen(
            [sys.executable, "-c", WATCHER, f"{disk}/merged", f"{disk}/home"], stdout=subprocess.PIPE
        ) as watcher,
    ):
        assert watcher.stdout is not None
        assert watcher.stdout.readline() == b"watching\n"
        copy = threading.Thread(
            target=lambda: said.writelines(line.decode() for line in watcher.stdout or ())
        )
        copy.start()
        try:
            yield rows
        finally:
            watcher.kill()
            copy.join()
        said.seek(0)
        for line in said:
            group, uids, what = line.rstrip("\n").split(" ", 2)
            rows.append((group, uids, what))


def work(op: Operator) -> set[str]:
    """Have the daemon do all that concerns a workload's user; return the uids."""
    m = op.machine
    status = op.deploy(
        {
            "workloads/web/web.container": container(),
            "workloads/stack/compose.yaml": STACK,
        }
    )
    assert status["state"] == "converged", json.dumps(status)
    uids = {m.run(["id", "-u", name]).stdout.strip() for name in ("web", "stack")}
    assert op.ctl("audit")[0] == 0
    assert op.ctl("images")[0] == 0
    op.ctl("storage", "show", "web")
    assert op.ctl("adopt", "web", "--dry-run")[0] in (0, 2)
    op.ctl("update", "web")
    status = op.deploy({"workloads/stack/compose.yaml": None})
    assert status["state"] == "converged", json.dumps(status)
    return uids


def test_no_process_outlives_the_removal(op: Operator) -> None:
    """Neither in a system's unit, nor as a container's user there or in a namespace, nor what forks all the time."""
    m = op.machine
    status = op.deploy({"workloads/esc/esc.container": container()})
    assert status["state"] == "converged", json.dumps(status)
    uid = int(m.run(["id", "-u", "esc"]).stdout)
    first = int(
        next(line for line in m.read("/etc/subuid").splitlines() if line.startswith("esc:")).split(":")[1]
    )
    run = ["systemd-run", "-q", "--service-type=oneshot", "--remain-after-exit", "-p", "Nice=19"]
    python = "/usr/bin/python3"
    m.run([*run, "--uid=esc", python, "/usr/local/lib/colony.py"])
    m.run(["systemd-run", "-q", "--uid=esc", python, "/usr/local/lib/headless.py"])
    # As a container's user in a namespace of the account's.
    inside = f"setpriv --reuid=33 --clear-groups {python} /usr/local/lib/colony.py"
    m.run([*run, "--uid=esc", "unshare", "--map-root-user", "--map-auto", "sh", "-c", inside])
    # And outside of it, by a file that a container has left.
    m.run(f"cp -L {python} /var/tmp/left && chown {first + 77} /var/tmp/left && chmod 4755 /var/tmp/left")
    m.run([*run, "--uid=esc", "/var/tmp/left", "/usr/local/lib/colony.py"])
    wanted = {str(uid), str(first + 32), str(first + 77)}
    deadline = time.monotonic() + 60
    while not wanted <= (found := running(m)):
        assert time.monotonic() < deadline, (wanted, found)
    commit = op.commit({"workloads/esc/esc.container": None})
    op.push()
    status = op.settled(commit)
    assert status["state"] == "converged", json.dumps(status)
    for _ in range(20):
        left = {each for each in running(m) if int(each) == uid or first <= int(each) < first + 65536}
        assert left == set()
    m.run("rm /var/tmp/left")


def running(m: Machine) -> set[str]:
    """Return the uids under which something runs at the moment, also what is between two forks when it is looked at."""
    script = "cat /proc/[0-9]*/status 2>/dev/null | sed -n 's/^Uid:\\t//p' | tr '\\t' '\\n' | sort -u"
    return set(m.run(script, check=False).stdout.split())
