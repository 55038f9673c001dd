"""Homes of accounts on a real host: one that was deleted is seen at once, and homes that are not in /home."""

import json

import pytest

from tests.host.machine import Machine
from tests.host.operator import Operator, container

PLAIN, KEPT = "slow", "kept"


@pytest.fixture(scope="module")
def op(machine: Machine) -> Operator:
    """One workload that keeps nothing in its home, and one with a podman volume."""
    operator = Operator(machine)
    operator.install()
    status = operator.deploy(
        {
            f"workloads/{PLAIN}/{PLAIN}.container": container(more="Network=inner.network\n"),
            f"workloads/{PLAIN}/inner.network": "[Network]\n",
            f"workloads/{KEPT}/{KEPT}.container": container(more="Volume=data.volume:/data\n"),
            f"workloads/{KEPT}/data.volume": "[Volume]\n",
        }
    )
    assert status["state"] == "converged", status
    return operator


def again(op: Operator, name: str, started: str) -> None:
    """Wait until a workload runs in a container that was started since, and that podman knows."""
    op.until(lambda _s: op.invocation(name) not in ("", started), f"{name} started again")
    op.state(name, "converged")
    assert podman(op, name, "ps --quiet --filter status=running")


def delete(op: Operator, name: str) -> None:
    """Delete a home; what still runs in it may make a file meanwhile, and rm then has to be asked again."""
    op.machine.run(f"until rm -rf /home/{name}; do :; done")


def podman(op: Operator, name: str, command: str) -> str:
    """Return what podman says to a workload's account."""
    return op.machine.run(f"cd / && podman {command}", user=name, check=False).stdout.strip()


def test_a_home_that_bore_nothing_is_made_again_and_its_containers_come_back(op: Operator) -> None:
    """Nobody asks for anything: the event is enough; it is the account's, closed, and has what /etc/skel has."""
    started = op.invocation(PLAIN)
    delete(op, PLAIN)
    again(op, PLAIN, started)
    home = op.machine.stat(f"/home/{PLAIN}")
    uid = int(op.machine.run(["id", "-u", PLAIN]).stdout)
    assert home is not None
    assert (home["uid"], home["mode"] & 0o777) == (uid, 0o700)
    assert op.machine.stat(f"/home/{PLAIN}/.config/containers/storage.conf") is not None
    op.machine.run(f"systemctl --user restart {PLAIN}.service", user=PLAIN)
    started = op.invocation(PLAIN)
    op.machine.run(["systemctl", "restart", "eventd.service"])
    op.machine.run(["eventctl", "sync", "--wait"])
    op.state(PLAIN, "converged")
    assert op.invocation(PLAIN) == started, "a home that is as it was restarts nothing"


def test_a_home_with_data_is_told_at_once_and_restored_or_begun_anew(op: Operator) -> None:
    """Failed with the volume's name, and untouched; from the backup all is there again, and the hint begins empty."""
    m = op.machine
    m.run("cd / && podman exec systemd-kept sh -c 'echo mine > /data/file'", user=KEPT)
    started = op.invocation(KEPT)
    m.run(f"mv /home/{KEPT} /home/backup")
    row = op.state(KEPT, "failed")
    assert row["reason"] == "home-missing"
    assert "systemd-data" in row["message"]
    assert op.invocation(KEPT) == started
    assert m.run(["eventctl", "sync", "--wait"], check=False).returncode != 0
    assert m.stat(f"/home/{KEPT}") is None
    m.run(f"cp -a /home/backup /home/{KEPT}.part && mv /home/{KEPT}.part /home/{KEPT}")
    again(op, KEPT, started)
    assert m.run("cd / && podman exec systemd-kept cat /data/file", user=KEPT).stdout == "mine\n"
    started = op.invocation(KEPT)
    delete(op, KEPT)
    row = op.state(KEPT, "failed")
    m.run(row["hint"].split("start empty: ")[1], check=False)
    again(op, KEPT, started)
    assert podman(op, KEPT, "exec systemd-kept ls /data") == ""


def test_homes_elsewhere_take_a_drop_in_that_is_named(op: Operator) -> None:
    """With HOME= outside of the sandbox no account is half made; `doctor` and the failure name the same commands."""
    m = op.machine
    m.run("mkdir -p /data/homes && sed -i '/^HOME=/d' /etc/default/useradd")
    m.run("echo HOME=/data/homes >> /etc/default/useradd")
    op.commit({"workloads/far/far.container": container()})
    op.push()
    row = op.state("far", "failed")
    assert row["reason"] == "homes-read-only"
    assert "ReadWritePaths=" in row["message"]
    assert m.run(["id", "far"], check=False).returncode != 0
    code, said = op.ctl("doctor", "--json")
    (check,) = [each for each in json.loads(said)["checks"] if each["name"] == "homes"]
    assert (code, check["ok"]) == (1, False)
    commands, _, rest = row["hint"].partition("; ")
    assert check["hint"] == row["hint"]
    assert rest.startswith("if the file system")
    m.run(commands)
    op.state("far", "converged")
    assert m.stat("/data/homes/far") is not None
    _, said = op.ctl("doctor", "--json")
    (check,) = [each for each in json.loads(said)["checks"] if each["name"] == "homes"]
    assert check["ok"], check
