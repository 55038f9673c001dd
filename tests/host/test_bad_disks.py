"""Full disks, a read-only /etc and a damaged state file on a real host: errors that say what to do, no corruption."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.host.machine import Machine
from tests.host.operator import Operator, workload

UNIT = "[Service]\nExecStart=/bin/sleep {}\n[Install]\nWantedBy=default.target\n"
STATE = "/var/lib/eventd"
UNITS = "/etc/eventd/units"
DROP_IN = "[Unit]\nStartLimitIntervalSec=60\nStartLimitBurst=5\n[Service]\nRestartSec=100ms\n"


def files(name: str, note: str) -> dict[str, str | None]:
    return {
        f"workloads/{name}/{name}.service": UNIT.format(note),
        f"workloads/{name}/{name}.txt": f"{note}\n",
    }


@pytest.fixture(scope="module")
def op(machine: Machine) -> Operator:
    """An operator with one workload up; small file systems where the state and the units are."""
    for path, mode in ((STATE, "0700"), (UNITS, "0755")):
        machine.run(f"mkdir -p {path} && mount -t tmpfs -o size=2m,mode={mode} none {path}")
    operator = Operator(machine)
    machine.write("/etc/systemd/system/eventd.service.d/fast.conf", DROP_IN)
    operator.install('[defaults]\ngrace = "100ms"\n')
    operator.deploy(files("web", "1000"))
    operator.state("web", "converged")
    return operator


@contextmanager
def full(machine: Machine, folder: str) -> Iterator[None]:
    """Fill the file system of a folder to the last byte."""
    machine.run(
        f"dd if=/dev/zero of={folder}/.filler bs=4k || dd if=/dev/zero bs=1 >> {folder}/.filler || true"
    )
    try:
        yield
    finally:
        machine.run(["rm", "-f", f"{folder}/.filler"])


def push(op: Operator, changed: dict[str, str | None]) -> str:
    commit = op.commit(changed)
    op.push()
    return commit


def applied(op: Operator, name: str, note: str) -> None:
    """Wait until a workload has converged with this content, by itself."""
    op.until(
        lambda s: (
            any(
                w["name"] == name and w["state"] == "converged" and w["commit"] == s["commit"]
                for w in s["workloads"]
            )
            and s["state"] == "converged"
        ),
        f"{name} converged",
    )
    uid = op.machine.run(["id", "-u", name]).stdout.strip()
    assert op.machine.read(f"{UNITS}/{uid}/{name}.service") == UNIT.format(note)
    op.until(lambda _s: running(op, name).endswith(f"sleep {note}"), f"{name} runs sleep {note}")


def running(op: Operator, name: str) -> str:
    pid = op.user_unit(name, f"{name}.service", "MainPID")["MainPID"]
    done = op.machine.run(["ps", "-o", "args=", "-p", pid or "0"], check=False)
    return done.stdout.strip()


def records(op: Operator, name: str) -> dict[str, str]:
    """Return the recorded digests of a workload's files."""
    code = (
        "import json, sqlite3, sys; db = sqlite3.connect('file:/var/lib/eventd/state.db?mode=ro', uri=True);"
        "print(json.dumps(dict(db.execute('SELECT path, digest FROM files WHERE workload = ?', (sys.argv[1],)))))"
    )
    found: dict[str, str] = json.loads(op.machine.run(["/opt/eventd/bin/python", "-c", code, name]).stdout)
    return found


def agree(op: Operator, name: str) -> None:
    """The records of a workload's files are what stands on the disk."""
    for path, digest in records(op, name).items():
        assert op.machine.run(["sha256sum", path]).stdout.split()[0] == digest, path


def test_a_full_disk_under_the_units(op: Operator) -> None:
    """The old file stays whole and runs on; the failure names the path; with room again it converges by itself."""
    m, uid = op.machine, op.machine.run(["id", "-u", "web"]).stdout.strip()
    path = f"{UNITS}/{uid}/web.service"
    before, invocation = m.read(path), op.invocation("web")
    with full(m, UNITS):
        push(op, files("web", "2000"))
        found = op.state("web", "failed")
        assert found["reason"] == "disk-full"
        op.until(lambda s: workload(s, "web")["retry_at"] is not None, "when it is tried again")
        assert UNITS in found["message"]
        assert found["hint"]
        assert m.read(path) == before
        assert op.invocation("web") == invocation
        left = f"find {UNITS} -name '.eventd-tmp-*'"  # a retry makes one, and takes it away again
        op.until(lambda _s: m.run(left, check=False).stdout == "", "nothing half written")
    applied(op, "web", "2000")
    agree(op, "web")


def test_a_full_disk_under_the_state(op: Operator) -> None:
    """Nothing is done that cannot be written down; status says so; it goes on when there is room."""
    m = op.machine
    invocation = op.invocation("web")
    with full(m, STATE):
        push(op, files("web", "3000"))
        shown = op.until(
            lambda s: (
                "full" in json.dumps(s["troubles"]) or any(w["state"] == "failed" for w in s["workloads"])
            ),
            "failed for a full disk",
        )
        assert f"{STATE}/" in json.dumps(shown)
        assert op.invocation("web") == invocation
        m.run(
            ["systemctl", "kill", "--signal=9", "eventd.service"]
        )  # and its start meets the full disk as well
        m.run(["systemctl", "status", "eventd.service"], check=False)
    # Started by hand where it has met the full disk so often by now that systemd has given up.
    m.run("systemctl reset-failed eventd.service; systemctl start eventd.service", check=False)
    applied(op, "web", "3000")
    agree(op, "web")
    integrity = (
        "import sqlite3; db = sqlite3.connect('/var/lib/eventd/state.db');"
        "print(db.execute('PRAGMA integrity_check').fetchone()[0])"
    )
    assert m.run(["/opt/eventd/bin/python", "-c", integrity]).stdout.strip() == "ok"


def test_a_read_only_etc(op: Operator) -> None:
    """A new account cannot be made and no file written: both say so, and nothing of what is there has changed."""
    m = op.machine
    before = m.run("cat /etc/passwd /etc/subuid | sha256sum").stdout
    running_before = running(op, "web")
    m.run(
        "systemctl stop eventd && mount --bind /etc /etc && mount -o remount,bind,ro /etc"
        " && systemctl reset-failed eventd && systemctl start eventd"  # the start limit is not tested here
    )
    try:
        push(op, {**files("web", "4000"), **files("new", "1500")})
        new = op.state("new", "failed")
        assert "/etc" in new["message"], new
        assert m.run("cat /etc/passwd /etc/subuid | sha256sum").stdout == before
        assert new["reason"] == "read-only", new
        op.until(  # the units are on a tmpfs of their own
            lambda _s: running(op, "web") in (running_before, "/bin/sleep 4000"), "web runs"
        )
    finally:
        # Whoever reads a file of /etc has it busy for a moment.
        m.run("timeout 120 sh -c 'until umount /etc; do sleep 0.05; done'")
        m.run("systemctl reset-failed eventd && systemctl restart eventd")
    applied(op, "new", "1500")
    applied(op, "web", "4000")
    agree(op, "new")


def test_garbage_in_the_place_of_the_state_file(op: Operator) -> None:
    """Every unit keeps running; it is said until it is acknowledged; push and removal work on as before."""
    m = op.machine
    op.deploy(files("new", "1500"))
    before = {name: op.invocation(name) for name in ("web", "new")}
    assert all(before.values())
    m.run(
        "systemctl stop eventd && rm -f /var/lib/eventd/state.db-*"
        " && head -c 100000 /dev/urandom > /var/lib/eventd/state.db"
        " && systemctl reset-failed eventd && systemctl start eventd"
    )
    shown: dict[str, Any] = op.until(
        lambda s: s["run"] is None and {w["state"] for w in s["workloads"]} == {"converged"},
        "converged again",
    )
    assert {name: op.invocation(name) for name in ("web", "new")} == before
    (loss,) = shown["state_losses"]
    assert sorted(loss["restored"]) == ["new", "web"]
    assert m.exists(loss["kept"])
    assert shown["state"] == "degraded"
    for command in ("status", "doctor", "state"):
        code, said = op.ctl(command)
        assert code != 0, command
        assert "eventctl state --acknowledge" in said, said
    assert records(op, "web")
    agree(op, "web")
    push(op, {**files("web", "5000"), "workloads/new": None})
    op.until(lambda _s: running(op, "web").endswith("sleep 5000"), "the push applied")
    op.state("new", "removed")
    assert op.invocation("new") == ""
    assert m.run(["id", "new"]).returncode == 0
    assert m.exists("/home/new")
    assert not m.run(f"find {UNITS} /etc/containers/systemd/users -name 'new.*'").stdout
    assert op.ctl("state", "--acknowledge")[0] == 0
    op.until(lambda s: s["state"] == "converged" and s["state_losses"] == [], "acknowledged")


def test_a_file_of_a_newer_version_is_refused_and_left(op: Operator) -> None:
    """The daemon does not start, says why, and changes nothing; the units run on."""
    m, before = op.machine, op.invocation("web")
    script = (
        "import sqlite3, sys; db = sqlite3.connect('/var/lib/eventd/state.db');"
        "db.execute('PRAGMA user_version=' + sys.argv[1])"
    )
    version = m.run(
        ["/opt/eventd/bin/python", "-c", "from eventd.state.adapter_database import VERSION; print(VERSION)"]
    ).stdout.strip()
    m.run(["systemctl", "stop", "eventd"])
    m.run(["/opt/eventd/bin/python", "-c", script, "99"])
    m.run(["systemctl", "start", "eventd"], check=False)
    m.run(["journalctl", "--sync"])
    assert "written by a newer eventd" in m.journal("eventd.service")
    assert op.invocation("web") == before
    m.run(["systemctl", "stop", "eventd"])
    m.run(["/opt/eventd/bin/python", "-c", script, version])
    m.run("systemctl reset-failed eventd; systemctl start eventd")
    op.state("web", "converged")
    assert op.invocation("web") == before
