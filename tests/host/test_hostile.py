"""On a real host: what a workload, and a stranger without one, can do to the daemon and to their neighbours."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.host.machine import Machine, Process
from tests.host.operator import HOOK, REMOTE, Operator, container
from tests.host.operator import SECRET as WEBHOOK_SECRET

SECRET = "hunter2"
STACK = f"""\
services:
  app:
    image: localhost/busybox:1
    pull_policy: never
    command: [sleep, infinity]
    stop_grace_period: 1s
    environment:
      PASSWORD: {SECRET}
"""
LOCK = """\
import fcntl, sys, time
for path in sys.argv[1:]:
    try:
        fcntl.flock(open(path), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        print(type(error).__name__, flush=True)
"""
BOMB = """\
import os, re, socket, struct, sys
def padded(data, size):
    return data + bytes(-len(data) % size)
def field(code, kind, text):
    head = bytes([code, 1]) + kind.encode() + b"\\0"
    if kind == "g":
        return head + bytes([len(text)]) + text.encode() + b"\\0"
    return padded(head, 4) + struct.pack("<I", len(text)) + text.encode() + b"\\0"
def message(kind, serial, fields, body=b""):
    known = b""
    for each in fields:
        known = padded(known, 8) + field(*each)
    head = struct.pack("<BBBBIII", 108, kind, 0, 1, len(body), serial, len(known))
    return padded(head + known, 8) + body
path, name, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
bus, busses = "org.freedesktop.DBus", "/org/freedesktop/DBus"
sock = socket.socket(socket.AF_UNIX)
sock.settimeout(120)
sock.connect(path)
sock.sendall(b"\\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\\r\\n")
sock.recv(1000)
sock.sendall(b"BEGIN\\r\\n")
def ask(serial, member):
    sock.sendall(message(1, serial, [(1, "o", busses), (6, "s", bus), (2, "s", bus), (3, "s", member)]))
ask(1, "Hello")
body = struct.pack("<I", size) + b"\\xff\\x7f\\1\\0" * (size // 4)
signal = [(1, "o", "/x"), (2, "s", "a.b"), (3, "s", "C"), (6, "s", name), (8, "g", "a")]
head = padded(b"".join(padded(field(*each), 8) for each in signal[:-1]), 8) + bytes([8, 1]) + b"g\\0\\2au\\0"
sock.sendall(padded(struct.pack("<BBBBIII", 108, 4, 0, 1, len(body), 2, len(head)) + head, 8) + body)
ask(3, "GetId")  # answered only when all before it has been taken in
said = b""
while not re.search(rb"[0-9a-f]{32}", said):
    more = sock.recv(10000)
    assert more, said
    said += more
"""


HOSTILE = [
    "/opt/eventd/bin/python",
    "-m",
    "eventd_simulators.hostile.http",
    "127.0.0.1",
    "8787",
    "--rate",
    "110",
]
FILES = """\
import os, sys
for number in range(300_000):
    path = f"{sys.argv[1]}/{number % 50}"
    open(path, "w").close()
    os.unlink(path)
"""


@pytest.fixture(scope="module")
def no_tracebacks() -> bool:
    """What a workload puts in the place of its bus may end its own link as nobody has thought of: that is logged."""
    return False


@pytest.fixture(scope="module")
def op(machine: Machine) -> Operator:
    """A workload that is hostile, two that have secrets, and a stranger."""
    operator = Operator(machine)
    operator.install()
    machine.run("useradd -m stranger")
    machine.write("/usr/local/lib/lock.py", LOCK)
    machine.write("/usr/local/lib/bomb.py", BOMB)
    status = operator.deploy(
        {
            "workloads/evil/evil.container": container(),
            "workloads/quad/quad.container": container(more=f"Environment=PASSWORD={SECRET}\n"),
            "workloads/quad/extra.service": f"[Service]\nEnvironment=A={SECRET}\nExecStart=/bin/true\n",
            "workloads/stack/compose.yaml": STACK,
            "workloads/stack/app.env": f"PASSWORD={SECRET}\n",
        }
    )
    assert status["state"] == "converged", json.dumps(status)
    return operator


def memory(op: Operator) -> int:
    """Return the most that the daemon has had, in KiB."""
    pid = op.machine.show("eventd.service", "MainPID")["MainPID"]
    line = next(each for each in op.machine.read(f"/proc/{pid}/status").splitlines() if "VmHWM" in each)
    return int(line.split()[1])


def connections(op: Operator, *, user: str | None = None) -> list[str]:
    """Return the daemon's names on the system's bus, or on a user's."""
    argv = ["busctl", *(["--user"] if user else []), "list", "--unique", "--no-legend", "--no-pager"]
    rows = [line.split() for line in op.machine.run(argv, user=user).stdout.splitlines()]
    return [row[0] for row in rows if row[2] == "eventd"]


@pytest.mark.parametrize("user", ["evil", "stranger"])
def test_nobody_reads_what_a_workload_was_given(op: Operator, user: str) -> None:
    """Compose files, what lies beside them, Quadlet files and companions may have passwords in them."""
    folders = "/etc/eventd /etc/containers /run/eventd"
    seen = op.machine.run(f"grep -rls {SECRET} {folders} || true", user=user).stdout
    assert seen == ""
    assert len(op.machine.run(f"grep -rls {SECRET} {folders} || true").stdout.splitlines()) == 4
    own = op.machine.run(f"grep -rls {SECRET} {folders} || true", user="stack").stdout.splitlines()
    assert {path.rpartition("/")[2] for path in own} == {"compose.yaml", "app.env"}


@pytest.mark.parametrize("user", ["evil", "stranger"])
def test_nobody_holds_the_lock_of_the_runs(op: Operator, user: str) -> None:
    """A lock that a stranger can open is a lock that keeps every change from this host."""
    paths = ["/run/eventd/lock", "/run/eventd/instance"]
    tried = op.machine.run(["python3", "/usr/local/lib/lock.py", *paths], user=user).stdout
    assert tried.split() == ["PermissionError"] * 2


def test_a_huge_message_costs_the_daemon_nothing(op: Operator) -> None:
    """60 MB of numbers, on the workload's own bus and on the system's: nothing is made of them.

    Nobody ends the connections to the system's bus by it; the one to the workload's own bus is ended, and made anew.
    """
    before, mine, system = memory(op), connections(op, user="evil"), connections(op)
    assert (len(mine), len(system) > 0) == (1, True)
    uid = op.machine.run(["id", "-u", "evil"]).stdout.strip()
    bomb = ["python3", "/usr/local/lib/bomb.py"]
    op.machine.run([*bomb, f"/run/user/{uid}/bus", mine[0], "60000000"], user="evil")
    for name in system:
        op.machine.run([*bomb, "/run/dbus/system_bus_socket", name, "30000000"], user="stranger")
    op.machine.run(["systemctl", "--user", "stop", "evil.service"], user="evil")  # still listened to
    op.until(
        lambda _: op.user_unit("evil", "evil.service", "ActiveState")["ActiveState"] == "active", "healed"
    )
    assert connections(op, user="evil") not in (mine, [])
    assert connections(op) == system
    assert memory(op) - before < 30_000


@contextmanager
def own_bus(op: Operator, attack: str, *options: str) -> Iterator[Process]:
    """Have the workload serve a bus of its own, in the place of its user's; afterwards all is as it was.

    A new daemon has nothing against the workload: the old one would leave its bus alone for some minutes yet.
    """
    uid = op.machine.run(["id", "-u", "evil"]).stdout.strip()
    program = [
        "/opt/eventd/bin/python",
        "-m",
        "eventd_simulators.hostile.bus",
        f"/run/user/{uid}/bus",
        attack,
    ]
    with op.machine.start([*program, "evil.service", *options], user="evil") as process:
        process.read_until("listening")
        op.machine.run(["pkill", "-u", "evil", "-x", "dbus-daemon"], check=False)
        process.read_until("connected")
        yield process
    op.machine.run(["systemctl", "restart", f"user@{uid}.service", "eventd.service"])
    op.state("evil", "converged")


def heals(op: Operator, name: str) -> None:
    """A container that was stopped by hand is back."""
    before = op.invocation(name)
    op.machine.run(["systemctl", "--user", "stop", f"{name}.service"], user=name)
    op.until(lambda _: op.invocation(name) not in ("", before), f"{name} healed")


def test_a_bus_of_the_workloads_own_is_left_alone_and_neighbours_are_healed(op: Operator) -> None:
    """It floods: little memory is gone, others are healed, their events are still there, and the status says why."""
    pid = op.machine.show("eventd.service", "MainPID")["MainPID"]
    heals(op, "quad")
    op.machine.run(f"echo 5 >/proc/{pid}/clear_refs")  # VmHWM from now on
    before = memory(op)
    told = json.loads(op.ctl("events", "--json")[1].splitlines()[0])["sequence"]
    with own_bus(op, "job-flood"):
        heals(op, "quad")
        status = op.until(lambda s: "misbehaves" in json.dumps(s), "named")
        assert "it kept sending more than" in json.dumps(status)
        heals(op, "quad")
        assert json.loads(op.ctl("events", "--json")[1].splitlines()[0])["sequence"] == told
        assert memory(op) - before < 32_000
        assert op.machine.show("eventd.service", "MainPID")["MainPID"] == pid


def test_an_empty_reply_ends_nobodys_audit(op: Operator) -> None:
    """A list of units without a list, when its folders are to be watched: a neighbour's are watched all the same."""
    with own_bus(op, "no-path-unit"):
        op.until(lambda s: "misbehaves" in json.dumps(s), "named")
        op.machine.run(
            "mkdir -p ~/.config/systemd/user/quad.service.d;"
            " echo '[Service]' >~/.config/systemd/user/quad.service.d/x.conf",
            user="quad",
        )
        op.until(lambda s: "quad.service.d/x.conf" in json.dumps(s), "a drop-in of the neighbour")
        status = op.told()
        assert status["troubles"] == []
    op.machine.run("rm -r ~/.config/systemd/user/quad.service.d", user="quad")
    op.state("quad", "converged")
    assert "bug: " not in op.machine.run("journalctl -u eventd -o cat").stdout


def test_files_in_a_runtime_folder_overflow_no_queue_of_the_daemons(op: Operator) -> None:
    """Its bus hangs up, so that the folder is watched for another: it makes files all the time, and is not watched."""
    uid = op.machine.run(["id", "-u", "evil"]).stdout.strip()
    with own_bus(op, "hangup") as bus:
        bus.close()
        op.machine.run(["rm", f"/run/user/{uid}/bus"], user="evil")
        op.machine.run(["python3", "-c", FILES, f"/run/user/{uid}"], user="evil")
        heals(op, "quad")
        log = op.machine.run("journalctl -u eventd -o cat").stdout
        assert f"in /run/user/{uid}: not watching it for" in log
        told = [json.loads(line) for line in op.ctl("events", "--json")[1].splitlines()]
        assert not [each for each in told if each["kind"] == "gap" and each["subject"] == "files"]


def test_a_registry_of_the_workloads_own_holds_up_nobody(op: Operator) -> None:
    """It takes connections and never answers; a push for a neighbour is there at once all the same."""
    image = "registry.test/busybox:1"
    op.machine.run(["podman", "tag", "localhost/busybox:1", image], user="evil")
    text = '[[registry]]\\nprefix="registry.test"\\nlocation="127.0.0.1:5001"\\ninsecure=true\\n'
    op.machine.run(
        f"mkdir -p ~/.config/containers; printf '{text}' >~/.config/containers/registries.conf", user="evil"
    )
    mine = container(image=image).replace("Pull=never", "Pull=missing")
    assert op.deploy({"workloads/evil/evil.container": mine})["state"] == "converged"
    tarpit = "import socket, time; s = socket.create_server(('127.0.0.1', 5001)); print(1, flush=True); time.sleep(300)"
    with op.machine.start(["python3", "-c", tarpit], user="evil") as listening:
        listening.read_until("1")
        op.machine.run(["eventctl", "update", "evil"], user="evil")
        pulling = "pgrep -u evil -f 'podman pull'"
        end = time.monotonic() + 240
        while op.machine.run(pulling, check=False).returncode:
            assert time.monotonic() < end, op.ctl("status")[1]
        op.commit({"workloads/quad/quad.container": container(note="new")})
        op.push()
        began = time.monotonic()
        uid = op.machine.run(["id", "-u", "quad"]).stdout.strip()
        path = f"/etc/containers/systemd/users/{uid}/quad.container"
        op.until(lambda _: "new" in op.machine.read(path), "the new revision of the neighbour")
        assert time.monotonic() - began < 60


def test_a_hostile_client_keeps_no_delivery_out(op: Operator) -> None:
    """Over a hundred half-sent requests a second, and each signed delivery is taken; the listener is still the same."""
    op.machine.write("/etc/eventd/webhook.toml", HOOK)
    op.machine.write("/etc/credstore/eventd-webhook.forge", WEBHOOK_SECRET, mode=0o600)
    op.machine.run(["systemctl", "enable", "--now", "eventd-webhook.socket"])
    body = json.dumps(
        {"ref": "refs/heads/main", "after": "a" * 40, "repository": {"full_name": "team/host"}}
    ).encode()
    with op.machine.start(HOSTILE, user="stranger") as hostile:
        hostile.read_until("attacking")
        pid = op.machine.show("eventd-webhook.service", "MainPID")["MainPID"]
        assert [op.hook(body + b" " * n, f"flood-{n}") for n in range(10)] == ["202"] * 10
        opened = json.loads(hostile.wait(timeout=120).stdout.splitlines()[-1])["opened"]
    assert opened > 100
    assert op.machine.show("eventd-webhook.service", "MainPID")["MainPID"] == pid


def test_the_daemon_has_no_network_and_fetches_all_the_same(op: Operator) -> None:
    """Its unit lets it make no socket of the internet's; a fetch over HTTP is a unit of its own, as git's account."""
    m = op.machine
    m.run(f"git -C {REMOTE} config core.sharedRepository world && chmod -R a+rX /srv/git")
    hook = "#!/bin/sh\ngit update-server-info\n"
    m.write(f"{REMOTE}/hooks/post-update", hook, mode=0o755)
    served = ["python3", "-u", "-m", "http.server", "--bind", "127.0.0.1", "-d", "/srv/git", "8001"]
    with m.start(served, user="stranger") as serving:
        serving.read_until("Serving")
        url = "http://127.0.0.1:8001/host.git"
        m.write("/etc/eventd/eventd.toml", f'[repository]\nurl = "{url}"\nallow_http = true\n')
        m.run(["systemctl", "restart", "eventd.service"])
        commit = op.commit({"workloads/quad/quad.container": container(note="over http")})
        op.push()
        status, said = op.ctl("sync", "--wait")
        assert status == 0, said
        assert op.told()["commit"] == commit
    families = m.show("eventd.service", "RestrictAddressFamilies")["RestrictAddressFamilies"].split()
    assert sorted(families) == ["AF_NETLINK", "AF_UNIX"]
