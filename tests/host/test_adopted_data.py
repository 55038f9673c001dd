"""An account with a life before eventd: what it has is listed, moved aside as the account, and its data is found."""

import json

import pytest

from tests.host.machine import Machine
from tests.host.operator import Operator, container

STACK = """\
services:
  app:
    image: localhost/busybox:1
    pull_policy: never
    command: ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $$!; done"]
    stop_grace_period: 1s
    volumes: ["data:/data"]
volumes:
  data:
"""
COMPOSE = "cd /srv/old && PODMAN_COMPOSE_PROVIDER=/usr/bin/docker-compose podman compose"


@pytest.fixture(scope="module")
def op(machine: Machine) -> Operator:
    """The account `media` runs a compose project of another name, and has a Quadlet file of the workload's name."""
    operator = Operator(machine)
    operator.install()
    machine.run("useradd -m -s /bin/bash media && loginctl enable-linger media")
    uid = machine.run(["id", "-u", "media"]).stdout.strip()
    machine.run(["systemctl", "start", f"user@{uid}.service"])
    machine.write("/srv/old/compose.yaml", STACK)
    machine.run(
        "systemctl --user enable --now podman.socket"
        f" && {COMPOSE} -p old-media up -d && podman exec old-media-app-1 sh -c 'echo dear > /data/photo'",
        user="media",
        timeout=180,
    )
    machine.run("mkdir -p .config/containers/systemd .config/systemd/user", user="media", cwd="/home/media")
    machine.write(
        "/home/media/.config/containers/systemd/extra.container",
        container(more="\n[Quadlet]\nDefaultDependencies=false\n"),
    )
    machine.write(
        "/home/media/.config/systemd/user/media.service", "[Service]\nExecStart=/usr/bin/sleep infinity\n"
    )
    machine.run("chown -R media: ~media/.config")
    machine.run("systemctl --user daemon-reload && systemctl --user start extra media", user="media")
    operator.commit({"workloads/media/compose.yaml": STACK})
    operator.push()
    operator.state("media", "failed")
    return operator


def test_what_an_account_has_is_listed_before_it_is_handed_over(op: Operator) -> None:
    """In words and as JSON: files, units, projects, volumes, lingering; and nothing is done."""
    code, said = op.ctl("adopt", "media")
    assert code == 1
    for word in (
        "extra.container",
        "media.service",
        "old-media",
        "old-media_data",
        "lingering:",
        "--move-aside",
    ):
        assert word in said, said
    found = json.JSONDecoder().raw_decode(op.ctl("adopt", "media", "--json")[1])[0]["found"]
    assert found["quadlets"] == [".config/containers/systemd/extra.container"]
    assert found["units"] == [".config/systemd/user/media.service"]
    assert found["projects"] == [{"name": "old-media", "folder": "/srv/old", "containers": 1}]
    assert [each["name"] for each in found["volumes"]] == ["old-media_data"]
    assert found["lingering"] is True
    assert op.user_unit("media", "extra.service", "ActiveState")["ActiveState"] == "active"


def test_it_is_moved_aside_as_the_account_and_its_data_is_not_begun_anew(op: Operator) -> None:
    """Its units are stopped, its files are in a dated folder; the stack is held beside the old volume, and finds it."""
    m = op.machine
    op.ctl("adopt", "media", "--yes", "--move-aside")
    assert not m.exists("/home/media/.config/systemd/user/media.service")
    aside = m.run("find /home/media/eventd-aside -type f -user media").stdout.split()
    assert sorted(path.rpartition("/")[2] for path in aside) == ["extra.container", "media.service"]
    assert op.user_unit("media", "extra.service", "ActiveState")["ActiveState"] != "active"
    row = op.state("media", "held")
    assert row["reason"] == "volumes-elsewhere"
    assert "old-media_data" in row["message"]
    assert 'project = "old-media" (project in [compose] of workloads/media/workload.toml)' in row["hint"]
    assert m.run("podman volume ls -q", user="media").stdout.split() == ["old-media_data"]
    assert not m.exists(f"/etc/eventd/stacks/{row['uid']}/compose.yaml")
    m.run("echo 'podman compose -p old-media down' | eventctl shell media", timeout=120)
    op.deploy({"workloads/media/workload.toml": '[compose]\nproject = "old-media"\n'})
    op.state("media", "converged")
    assert m.run("podman exec old-media-app-1 cat /data/photo", user="media").stdout.strip() == "dear"
    op.deploy({"workloads/media/workload.toml": '[compose]\nproject = "old-media"\ntimeout = "2min"\n'})
    op.state("media", "converged")
