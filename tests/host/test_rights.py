"""Who may do what, on a real host: root, an operator, two workloads, a stranger; made from the table of rights.

The kernel says who asks (SO_PEERCRED, SO_PEERGROUPS), so the accounts are real ones, and each asks from a process of
its own.
"""

import json
import re
import time

import pytest

from eventd import domains
from eventd.api.model_rights import Right, Role, Scope, scope
from eventd.api.routing import Route
from tests.host.machine import Machine
from tests.host.operator import Operator, container

OWN, OTHER, NEVER = "web", "neighbour", "nosuchthing"
NONSENSE = '{"nonsense": 1}'
"""A body that no route takes: who may ask is told that, and nothing happens."""
SOCKET = "/run/eventd/eventd.sock"
ASK = """\
import json, socket, sys, time
def ask(method, path, body):
    head = f"{method} {path} HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n"
    text = head + (f"Content-Length: {len(body)}\\r\\n\\r\\n{body}" if method == "POST" else "\\r\\n")
    for _ in range(30):
        answer = b""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(30)
            sock.connect(SOCKET)
            try:
                sock.sendall(text.encode())
            except BrokenPipeError:
                pass
            try:
                while chunk := sock.recv(65536):
                    answer += chunk
            except ConnectionResetError:
                pass
        head, _, rest = answer.partition(b"\\r\\n\\r\\n")
        if b" 429 " not in head.split(b"\\r\\n")[0]:
            return int(head.split()[1]), rest.decode()
        time.sleep(1)
    raise SystemExit("429 for ever")
SOCKET = "/run/eventd/eventd.sock"
print(json.dumps([ask(*call) for call in json.loads(sys.argv[1])]))
"""
FLOOD = """\
import select, socket, sys
held, refused = [], 0
while not select.select([sys.stdin], [], [], 0)[0]:  # until its end
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(5)
    try:
        sock.connect("/run/eventd/eventd.sock")
        sock.sendall(b"GET /v1/events?follow=1 HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n" * 200)
        refused += b" 429 " in sock.recv(64)
        held.append(sock)
    except OSError:
        refused += 1
    if refused == 11:
        print("refused", flush=True)
    del held[:-200]
print(refused)
"""
KNOCKS = 2000
KNOCK = f"""\
import select, socket, sys, threading
counts, ended = [0] * 4, threading.Event()
def knock(number):
    while not ended.is_set():
        with socket.socket(socket.AF_UNIX) as sock:
            sock.setblocking(False)
            try:
                sock.connect("/run/eventd/eventd.sock")
            except OSError:
                pass
        counts[number] += 1
        if number == 0 and counts[0] == {KNOCKS}:
            print("knocked", flush=True)
threads = [threading.Thread(target=knock, args=(n,)) for n in range(4)]
for thread in threads:
    thread.start()
sys.stdin.read()
ended.set()
for thread in threads:
    thread.join()
print(sum(counts))
"""
ACCOUNTS = {Role.ROOT: "root", Role.OPERATOR: "op", Role.WORKLOAD: OWN, Role.NOBODY: "stranger"}


@pytest.fixture(scope="module")
def op(machine: Machine) -> Operator:
    """Two workloads that run, a person who may read, and one who may nothing."""
    operator = Operator(machine)
    operator.install()
    machine.run("useradd -m -G eventd op && useradd -m stranger")
    machine.write("/usr/local/lib/ask.py", ASK)
    machine.write("/usr/local/lib/flood.py", FLOOD)
    machine.write("/usr/local/lib/knock.py", KNOCK)
    status = operator.deploy({f"workloads/{n}/{n}.container": container() for n in (OWN, OTHER)})
    assert status["state"] == "converged"
    return operator


def asked(op: Operator, user: str, calls: list[tuple[str, str, str]]) -> list[tuple[int, str]]:
    """Return status and body of each call, made by one process of an account."""
    text = json.dumps(calls)
    return [
        (status, said)
        for status, said in json.loads(
            op.machine.run(["python3", "/usr/local/lib/ask.py", text], user=user, timeout=300).stdout
        )
    ]


def calls(route: Route) -> list[tuple[Right, str]]:
    """Return what can be asked of a route: its request, and the others that its queries make of it."""
    found = [(route.right, route.path)]
    return found + [(request, f"{route.path}?{k}={v}") for (k, v), request in route.queries.items()]


def filled(path: str, workload: str) -> str:
    """Return a path with its parts filled in."""
    return re.sub(r"\{(\w+)\}", lambda part: "1" if part[1] == "id" else workload, path)


def test_a_workload_restarts_itself_and_nobody_else(op: Operator) -> None:
    """With eventctl, as its own user."""
    before = op.invocation(OWN), op.invocation(OTHER)
    done = op.machine.run(["eventctl", "restart", OWN, "--wait"], user=OWN)
    assert OTHER not in done.stdout
    after = op.invocation(OWN), op.invocation(OTHER)
    assert (after[0] != before[0], after[1] == before[1]) == (True, True)
    refused = op.machine.run(["eventctl", "restart", OTHER], user=OWN, check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"eventctl: there is no workload '{OTHER}'")
    assert op.invocation(OTHER) == before[1]
    assert op.machine.run(["eventctl", "sync"], user=OWN, check=False).returncode == 3
    runs = json.loads(op.machine.run(["eventctl", "runs", "--json"], user=OWN).stdout)["runs"]
    assert {row["name"] for run in runs for row in run["workloads"]} == {OWN}


@pytest.mark.parametrize("role", list(ACCOUNTS))
def test_each_account_is_answered_as_the_table_says(op: Operator, role: Role) -> None:
    """Each route there is, by a real account of each role, and what a workload reads has no other in it."""
    every = [(route, request, path) for route in domains.load().routes for request, path in calls(route)]
    answers = asked(op, ACCOUNTS[role], [(r.method, filled(p, OWN), NONSENSE) for r, _, p in every])
    for (_route, request, path), (status, said) in zip(every, answers, strict=True):
        right = scope(request, role)
        assert (status == 403) == (right is Scope.NO), (role, path, status, said)
        if role in (Role.WORKLOAD, Role.NOBODY):
            assert OTHER not in said, (role, path, said)


def test_a_neighbour_looks_like_nobody(op: Operator) -> None:
    """What a workload is told of another one is what it is told of one that does not exist."""
    mine = [
        r
        for r in domains.load().routes
        if scope(r.right, Role.WORKLOAD) is Scope.OWN and "{workload}" in r.path
    ]
    assert mine
    made = [(r.method, filled(r.path, name), "{}") for r in mine for name in (OTHER, NEVER)]
    answers = asked(op, OWN, made)
    for other, never in zip(answers[::2], answers[1::2], strict=True):
        assert other[0] == never[0] == 404
        assert other[1].replace(OTHER, "X") == never[1].replace(NEVER, "X")
    tricks = ("neighbou%72", "web/../neighbour", "web%2F..%2Fneighbour", "web%00neighbour", "NEIGHBOUR")
    for status, said in asked(op, OWN, [("GET", f"/v1/status/{trick}", "") for trick in tricks]):
        assert status == 404
        assert '"uid"' not in said


def test_the_users_of_a_workloads_containers_are_nobody(op: Operator) -> None:
    """A subordinate uid of its range has no right; root of its containers is the workload itself."""
    first = next(
        line.split(":")[1] for line in op.machine.read("/etc/subuid").splitlines() if line.startswith("web:")
    )
    call = json.dumps([("GET", "/v1/status", "")])
    as_sub = ["setpriv", f"--reuid={int(first) + 5}", "--regid=65534", "--clear-groups"]
    said = op.machine.run([*as_sub, "python3", "/usr/local/lib/ask.py", call]).stdout
    assert json.loads(said)[0][0] == 403
    said = op.machine.run(["podman", "unshare", "python3", "/usr/local/lib/ask.py", call], user=OWN).stdout
    status, document = json.loads(said)[0]
    assert status == 200
    assert [row["name"] for row in json.loads(document)["workloads"]] == [OWN]


def test_a_flood_of_one_workload_is_nobody_elses(op: Operator) -> None:
    """Hundreds of connections with pipelined followers: root, the operator and the neighbour are answered at once."""
    pid = op.machine.show("eventd.service", "MainPID")["MainPID"]
    slowest: dict[str, float] = {}
    with op.machine.start(["python3", "/usr/local/lib/flood.py"], user=OWN) as flood:
        flood.read_until("refused")
        end = time.monotonic() + 4
        while time.monotonic() < end:
            for user in ("root", "op", OTHER):
                began = time.monotonic()
                ((status, said),) = asked(op, user, [("GET", "/v1/status", "")])
                slowest[user] = max(slowest.get(user, 0.0), time.monotonic() - began)
                assert status == 200
                assert OTHER in said
        refused = int(flood.wait(timeout=120).stdout.split()[-1])
    assert refused > 11, "it went on"
    assert max(slowest.values()) < 15, slowest
    assert op.machine.show("eventd.service", "MainPID")["MainPID"] == pid
    files = op.machine.run(f"ls /proc/{pid}/fd | wc -l").stdout
    assert int(files) < 200


def test_the_modes_of_the_sockets(op: Operator) -> None:
    """One for everybody, one for operators, one for root, and one for the webhook listener."""
    said = op.machine.run("stat -c '%n %a %U %G' *.sock", cwd="/run/eventd").stdout
    assert sorted(said.splitlines()) == [
        "eventd.sock 666 root root",
        "operators.sock 660 root eventd",
        "root.sock 600 root root",
        "webhook.sock 660 root eventd-webhook",
    ]


def test_a_stranger_who_only_connects_and_hangs_up_locks_out_nobody(op: Operator) -> None:
    """Four threads of `connect(); close()`: eventctl has its answer as root, as an operator and as a workload."""
    with op.machine.start(["python3", "/usr/local/lib/knock.py"], user="stranger") as knocking:
        knocking.read_until("knocked")
        for user in ("root", "op", OWN):
            for _ in range(3):
                said = op.machine.run(["eventctl", "status", "--json"], user=user).stdout
                assert json.loads(said)["state"] == "converged"
        knocked = int(knocking.wait(timeout=120).stdout.split()[-1])
    assert knocked > KNOCKS, "it went on"


def test_sixteen_operators_who_read_all_events_do_not_keep_root_waiting(op: Operator) -> None:
    """They are served as well, and each of them reads to the end."""
    readers = [
        op.machine.start("for i in 1 2 3; do eventctl events --json | tail -n 1; done", user="op")
        for _ in range(16)
    ]
    for _ in range(3):
        assert op.ctl("status", "--json")[0] == 0
    for reader in readers:
        with reader:
            last = [json.loads(line) for line in reader.wait(timeout=240).stdout.splitlines()]
            assert len(last) == 3
