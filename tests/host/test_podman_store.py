"""A podman store that no restart heals, on a real host: named, held, signed, reset, and the data is still there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.host.machine import Machine
from tests.host.operator import Operator, container

SIGNERS = "/etc/eventd/allowed_signers"
STORE = "/home/web/.local/share/containers/storage"
FILES = {
    "workloads/web/web.container": container(
        more="Volume=kept.volume:/data\nNetwork=front.network\nSecret=token\n"
    ),
    "workloads/web/kept.volume": "[Volume]\n",
    "workloads/web/front.network": "[Network]\n",
}
DATA = f"{STORE}/volumes/systemd-kept/_data/file"


@pytest.fixture(scope="module")
def op(machine: Machine) -> Operator:
    """A workload with a volume, a network and a secret, and somebody who may sign."""
    operator = Operator(machine)
    machine.run("ssh-keygen -q -t ed25519 -N '' -f /root/alice")
    machine.write(SIGNERS, f'alice namespaces="approval@eventd" {machine.read("/root/alice.pub")}')
    operator.install()
    operator.deploy({"workloads/web/web.container": container()})
    machine.run("cd / && echo hush | podman secret create token -", user="web")
    status = operator.deploy(FILES)
    assert status["state"] == "converged", status
    machine.run(f"echo precious > {DATA}", user="web")
    return operator


def requests(op: Operator, state: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(op.ctl("approvals", "--json", "--all")[1])["approvals"]
    return [row for row in rows if row["subject"] == "store:web" and row["state"] == state]


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("db.sql", "podman's database is damaged"),
        ("overlay-containers/volatile-containers.json", "podman's list of containers is damaged"),
        ("networks/systemd-front.json", "the network systemd-front is half made"),
    ],
    ids=["database", "containers", "network"],
)
def test_a_damaged_store_is_reset_once_that_is_signed_and_keeps_the_data(
    op: Operator, path: str, title: str
) -> None:
    """Failed with the cause; untouched before the signature; healed after it, volume and secret as they were."""
    m = op.machine
    m.run(f"head -c 20000 /dev/urandom | tr -d '\\n' > {STORE}/{path}", user="web")
    m.run("systemctl --user restart web.service", user="web", check=False)
    op.until(
        lambda s: any(w["name"] == "store:web" and w["state"] == "held" for w in s["workloads"]),
        "a reset offered",
    )
    found = op.state("web", "failed")
    assert found["reason"] == "podman-store-damaged"
    assert title in found["message"]
    assert "eventctl approvals" in found["hint"]
    (request,) = requests(op, "requested")
    said = op.ctl("approvals", request["id"])[1]
    assert f"{STORE}/{path}" in said.replace("\n", " ")
    assert "the home" in " ".join(said.split())
    before = m.read_bytes(f"{STORE}/{path}")
    assert op.ctl("sync", "--wait")[0] == 1
    assert m.read_bytes(f"{STORE}/{path}") == before
    assert op.ctl("approve", request["id"], "--key", "/root/alice", "--yes")[0] == 0
    op.until(lambda s: s["state"] == "converged", "healed")
    assert op.user_unit("web", "web.service", "ActiveState")["ActiveState"] == "active"
    assert m.read(DATA) == "precious\n"
    assert "token" in m.run(["podman", "secret", "ls"], user="web", cwd="/").stdout
    assert m.run(f"ls {STORE}/{path}.damaged-*").stdout.strip()
    rows = json.loads(op.ctl("approvals", "--json", "--all")[1])["approvals"]
    assert {row["state"] for row in rows if row["id"] == request["id"]} == {"done"}, rows
    assert op.ctl("sync", "--wait")[0] == 0
