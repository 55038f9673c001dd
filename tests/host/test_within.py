"""`eventctl logs`, `exec`, `shell` and `ps` on a real host, and what a hostile account gets out of root's shell."""

from __future__ import annotations

import json
import os
import re
import select
import time
from collections.abc import Iterator

import pytest

from tests.host.machine import Machine
from tests.host.operator import Operator, container

TALK = r'''exec printf "\033]0;owned\007\033[31mred\033[0m \033[6n\001 end\n"'''
SERVICE = "{image: localhost/busybox:1, pull_policy: never, stop_grace_period: 1s, command: [sh, -c, %s]}"
STACK = "services:\n" + "".join(
    f"  {name}: {SERVICE % json.dumps(f'echo from {name}; exec sleep 1d')}\n" for name in ("one", "two")
)
WEB = container(more="HealthCmd=true\nHealthInterval=1s\n").replace(
    "'trap", "'" + TALK.replace("exec ", "") + "; trap"
)


@pytest.fixture(scope="module")
def operator(machine: Machine) -> Operator:
    """A host with a Quadlet and a stack, and an operator who is not root."""
    operator = Operator(machine)
    operator.install()
    machine.run("useradd -m -G eventd alice")
    status = operator.deploy({"workloads/web/web.container": WEB, "workloads/stack/compose.yaml": STACK})
    assert status["state"] == "converged"
    return operator


def test_logs_merge_what_a_workload_says_and_cannot_drive_the_terminal(operator: Operator) -> None:
    """Escape sequences are gone, podman's own noise is left out; --raw and --all bring them back."""
    code, said = operator.ctl("logs", "web")
    assert code == 0, said
    assert re.search(r" web: red \\x01 end$", said, re.MULTILINE), said
    assert "\x1b" not in said
    assert "web.service: Starting web.service" in said
    assert "health_status" not in said
    assert "conmon" not in said
    assert "\x1b]0;owned\x07" in operator.ctl("logs", "web", "--raw")[1]
    assert "health_status" in operator.ctl("logs", "web", "--all", "-n", "1000")[1]
    code, said = operator.ctl("logs", "stack", "--json", "--since", "1h")
    lines = [json.loads(each) for each in said.splitlines()]
    assert {"stack-one-1", "stack-two-1"} <= {each["container"] for each in lines}
    assert "stack.service" in {each["unit"] for each in lines}
    assert [each["time"] for each in lines] == sorted(each["time"] for each in lines)
    assert len(operator.ctl("logs", "stack", "--json", "-n", "2")[1].splitlines()) == 2
    assert operator.ctl("logs", "web", "--since", "nonsense")[0] == 2


def test_logs_follow_what_comes(operator: Operator) -> None:
    """What is said after it began is printed, with nothing lost or repeated in between."""
    machine = operator.machine
    with machine.start(["eventctl", "logs", "-f", "-n", "1", "web"]) as process:
        process.read_until(r"\n", timeout=60)
        machine.run(["eventctl", "exec", "web", "--", "sh", "-c", "echo later >/proc/1/fd/1"])
        machine.run(["eventctl", "exec", "web", "--", "sh", "-c", "echo last >/proc/1/fd/1"])
        process.read_until("web: last$", timeout=60)
        assert process.stdout.count("later") == 1


def test_exec_joins_streams_and_passes_the_status_on(operator: Operator) -> None:
    """Into the only container, into a named one, by root and by the account, for a `$` and bytes alike."""
    machine = operator.machine
    done = machine.run(
        ["eventctl", "exec", "web", "--", "sh", "-c", "echo $0 '$x'; echo bad >&2; exit 7"], check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "sh $x\n", "bad\n")
    script = "head -c 3000000 /dev/zero | eventctl exec stack two -- cat | wc -c"
    assert machine.run(script).stdout.strip() == "3000000"
    assert machine.run(["eventctl", "exec", "web", "--", "id", "-u"], user="web").stdout == "0\n"
    code, said = operator.ctl("exec", "stack", "--", "true")
    assert code == 1
    assert "one, two" in said
    assert operator.ctl("exec", "web", "--", "nosuch")[0] == 127


def test_ps_shows_what_is_there(operator: Operator) -> None:
    """Root sees all, an account itself."""
    code, said = operator.ctl("ps", "--json")
    assert code == 0, said
    found = {(each["workload"], each["service"] or each["name"]) for each in json.loads(said)["containers"]}
    assert found == {("web", "systemd-web"), ("stack", "one"), ("stack", "two")}
    own = operator.machine.run(["eventctl", "ps"], user="web").stdout
    assert re.search(r"^web +web +running \(healthy\)", own, re.MULTILINE), own
    assert "stack" not in own


@pytest.mark.parametrize(
    "command", [["logs", "web"], ["ps"], ["shell", "web"], ["exec", "web", "--", "true"]]
)
def test_an_operator_who_is_neither_is_refused(operator: Operator, command: list[str]) -> None:
    """With the exit code of a missing right, and the way out."""
    done = operator.machine.run(["eventctl", *command], user="alice", check=False)
    assert done.returncode == 3, done.stdout
    assert f"hint: sudo eventctl {' '.join(command[:2])}" in done.stderr


def test_a_script_runs_as_the_account_with_its_bus(operator: Operator) -> None:
    """`su` says "This account is currently not available"; this does not, and opens no login session."""
    machine = operator.machine
    before = machine.run(["loginctl", "list-sessions", "--no-legend"]).stdout
    script = 'id -un; echo "$XDG_RUNTIME_DIR"; systemctl --user is-active web.service; podman ps -q | wc -l; exit 3'
    done = machine.run(["eventctl", "shell", "web"], input=script, check=False)
    uid = machine.run(["id", "-u", "web"]).stdout.strip()
    assert done.stdout.split() == ["web", f"/run/user/{uid}", "active", "1"]
    assert done.returncode == 3
    assert machine.run(["loginctl", "list-sessions", "--no-legend"]).stdout == before


class Typing:
    """A person at a terminal in the host."""

    def __init__(self, machine: Machine, argv: list[str]) -> None:
        self.peer, self.master = machine.executor.open_tty(argv, {"TERM": "xterm"})
        self.screen = b""

    def keys(self, text: str) -> None:
        os.write(self.master, text.encode())

    def until(self, what: str, timeout: float = 120) -> str:
        """Return what is on the screen once `what` is."""
        deadline = time.monotonic() + timeout
        while not re.search(what.encode(), self.screen):
            left = deadline - time.monotonic()
            assert left > 0, self.screen
            readable, _, _ = select.select([self.master], [], [], left)
            if readable:
                try:
                    self.screen += os.read(self.master, 65536)
                except OSError:  # EIO: its last process has ended
                    break
        assert re.search(what.encode(), self.screen), self.screen
        return self.screen.decode(errors="replace")


@pytest.fixture
def hostile(operator: Operator) -> Iterator[Machine]:
    """The account has set traps for whoever opens a shell in its home."""
    machine = operator.machine
    trap = 'PATH=$HOME/bin:$PATH; echo "$(id -u) $(cat /proc/self/loginuid) $(tty)" >>/tmp/trapped\n'
    for name in (".bashrc", ".bash_profile", ".profile"):
        machine.write(f"/home/web/{name}", trap, owner="web:web")
    for name in ("podman", "systemctl", "ls", "systemd-run"):
        machine.write(
            f"/home/web/bin/{name}", "#!/bin/sh\nid -u >>/tmp/trapped\n", mode=0o755, owner="web:web"
        )
    machine.run(["systemctl", "--user", "set-environment", "PATH=/home/web/bin:/usr/bin"], user="web")
    yield machine
    machine.run(["systemctl", "--user", "unset-environment", "PATH"], user="web")
    machine.run("rm -rf /home/web/bin /home/web/.bashrc /home/web/.bash_profile /home/web/.profile")


def test_a_hostile_home_gets_nothing_of_the_operators(hostile: Machine) -> None:
    """Its traps run as the account, on another terminal, and none of its processes holds the operator's."""
    person = Typing(hostile, ["sh", "-c", "echo mine=$(tty); eventctl shell web; echo status=$?"])
    mine = re.search(r"mine=(/dev/pts/\d+)", person.until(r"mine=/dev/pts/\d+\s"))
    assert mine
    person.until(r"\$ ")
    person.keys("ls; echo theirs=$(tty) uid=$(id -u)\n")
    person.until(r"theirs=/dev/pts/\d+ uid=\d+")
    # Every process of the account that there is while root's shell is open, the one between the two managers too.
    script = """
    set +e  # one that ends meanwhile is none that could hold anything
    for p in $(pgrep -u web); do
        readlink /proc/$p/fd/* | sed "s/^/fd $p /"
        echo "tty $(ps -o tty= -p $p) $(grep CapEff /proc/$p/status)"
        echo "cgroup $(cat /proc/$p/cgroup | grep ^0::)"
    done
    """
    seen = hostile.run(script, check=False).stdout
    person.keys("exit 5\n")
    person.until("status=5")
    os.close(person.master)
    person.peer.close()
    uid = hostile.run(["id", "-u", "web"]).stdout.strip()
    held = set(re.findall(r"^fd \d+ (.*)$", seen, re.MULTILINE))
    assert mine[1] not in held, seen
    assert f"tty {mine[1].removeprefix('/dev/')} " not in seen
    assert set(re.findall(r"^tty pts/\d+ +CapEff:\s+(\w+)", seen, re.MULTILINE)) == {"0" * 16}, seen
    cgroups = re.findall(r"^cgroup 0::(.*)$", seen, re.MULTILINE)
    assert cgroups
    assert [each for each in cgroups if f"/user-{uid}.slice/" not in each] == [], seen
    trapped = hostile.read("/tmp/trapped").split("\n")
    assert trapped
    assert {line.split()[0] for line in trapped if line} == {uid}
    assert mine[1] not in hostile.read("/tmp/trapped")


def test_the_accounts_own_podman_in_the_path_is_not_taken(hostile: Machine, operator: Operator) -> None:
    """`ps` and `exec` name the host's podman: a false one in the home is not asked."""
    hostile.run("rm -f /tmp/trapped")
    assert json.loads(operator.ctl("ps", "web", "--json")[1])["containers"]
    assert operator.ctl("exec", "web", "--", "true")[0] == 0
    assert not hostile.exists("/tmp/trapped")


def test_without_the_daemon_it_works_all_the_same(operator: Operator) -> None:
    """Nothing of this asks eventd; and a manager that is down is said."""
    machine = operator.machine
    machine.run(["systemctl", "stop", "eventd.service"])
    try:
        assert "red" in operator.ctl("logs", "web")[1]
        assert operator.ctl("exec", "web", "--", "true")[0] == 0
        uid = machine.run(["id", "-u", "web"]).stdout.strip()
        machine.run(["systemctl", "stop", f"user@{uid}.service"])
        code, said = operator.ctl("shell", "web")
        assert code == 1
        assert f"systemctl start user@{uid}.service" in said
    finally:
        machine.run(["systemctl", "start", "eventd.service"])
