"""Health after the deployment on a real host: a container that turns unhealthy, what is done about it, one crash."""

from __future__ import annotations

import json

import pytest

from tests.host.machine import Machine
from tests.host.operator import Operator, container, workload

CHECK = "HealthCmd=test -e /run/ok\nHealthInterval=1s\nHealthRetries=2\nHealthTimeout=20s\n"
BEGINS_WELL = """Exec=/bin/sh -c 'touch /run/ok; trap "exit 0" TERM; while :; do sleep 1 & wait $!; done'"""


def box(more: str = "") -> str:
    """Return a container whose check passes until somebody removes /run/ok in it."""
    text = container(more=CHECK + more, service="TimeoutStartSec=300")
    return text.replace("Exec=" + text.partition("Exec=")[2].partition("\n")[0], BEGINS_WELL)


@pytest.fixture(scope="module")
def op(machine: Machine) -> Operator:
    """Workloads of each kind, all healthy."""
    operator = Operator(machine)
    operator.install()
    slow = '[health]\ndeadline = "20min"\n'
    status = operator.deploy(
        {
            "workloads/hc/hc.container": box(),
            "workloads/hc/workload.toml": f'{slow}expect = ["container:hc=healthy"]\n',
            "workloads/app/app.container": container(),
            "workloads/app/workload.toml": 'requires = ["workload:hc=healthy"]\n',
            "workloads/silent/silent.container": box("Notify=false\n"),
            "workloads/healing/healing.container": box(),
            "workloads/healing/workload.toml": f'{slow}on_unhealthy = "restart"\n',
        }
    )
    assert status["state"] == "converged", status
    return operator


def sicken(op: Operator, name: str) -> None:
    """Have the check of a workload's container fail from now on."""
    op.machine.run(["podman", "exec", f"systemd-{name}", "rm", "/run/ok"], user=name, cwd="/")


def cure(op: Operator, name: str) -> None:
    op.machine.run(["podman", "exec", f"systemd-{name}", "touch", "/run/ok"], user=name, cwd="/")


def events(op: Operator, kind: str, name: str) -> list[dict[str, object]]:
    code, said = op.ctl("events", "--json")
    assert code == 0
    found = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return [event for event in found if event["kind"] == kind and event["subject"] == name]


@pytest.mark.parametrize("name", ["hc", "silent"])
def test_a_container_that_turns_unhealthy_later_fails_its_workload(op: Operator, name: str) -> None:
    """With an `expect` and without: status, metric, sync, why and event say so, and so they do when it is over."""
    sicken(op, name)
    found = op.state(name, "failed")
    assert found["reason"] == "unhealthy"
    assert f"container systemd-{name} of {name} is unhealthy" in found["message"]
    assert op.user_unit(name, f"{name}.service", "ActiveState")["ActiveState"] == "active"
    code, said = op.ctl("sync", "--wait")
    assert code == 1
    assert "is unhealthy" in said
    assert f"container systemd-{name} of {name} is unhealthy" in op.ctl("why", name)[1]
    metrics = op.ctl("metrics")[1]
    assert f'eventd_workload_converged{{workload="{name}"}} 0.0' in metrics
    assert f'eventd_workload_unhealthy{{workload="{name}"}} 1.0' in metrics
    assert len(events(op, "unhealthy", name)) == 1
    cure(op, name)
    op.state(name, "converged")
    assert op.ctl("sync", "--wait")[0] == 0
    assert len(events(op, "healed", name)) == 1


def test_a_gate_on_a_workload_follows_its_health(op: Operator) -> None:
    """What waits for `workload:hc=healthy` does not start while that is up and unhealthy."""
    sicken(op, "hc")
    op.state("hc", "failed")
    op.machine.run(["systemctl", "--user", "stop", "app.service"], user="app")
    held = op.state("app", "held")
    assert held["waits_for"] == ["workload:hc=healthy"]
    cure(op, "hc")
    op.state("hc", "converged")
    op.state("app", "converged")


def test_a_restart_that_is_asked_for_heals(op: Operator) -> None:
    """`on_unhealthy = "restart"`: another container, which is healthy; the run that did it is ok and says why."""
    before = op.invocation("healing")
    sicken(op, "healing")
    op.until(
        lambda s: (
            op.invocation("healing") not in ("", before) and workload(s, "healing")["state"] == "converged"
        ),
        "restarted and healthy",
    )
    runs = json.loads(op.ctl("runs", "--json")[1])["runs"]
    rows = [row for run in runs for row in run["workloads"] if row["name"] == "healing" and row["reason"]]
    assert [(row["result"], row["reason"]) for row in rows] == [("ok", "unhealthy")]


def test_the_restart_that_the_hint_names_heals(op: Operator) -> None:
    """Whoever does as told has it healthy again."""
    sicken(op, "silent")
    hint = op.state("silent", "failed")["hint"]
    assert "eventctl restart silent" in hint
    assert op.ctl("restart", "silent", "--wait")[0] == 0
    op.state("silent", "converged")


def test_a_crash_is_repaired_and_told_as_one_crash(op: Operator) -> None:
    """Its monitor (conmon) killed, no `Restart=`: the run is ok, names the crash, and it is counted."""
    before = op.invocation("app")
    pid = op.user_unit("app", "app.service", "MainPID")["MainPID"]
    op.machine.run(["kill", "-KILL", pid])
    op.until(
        lambda s: op.invocation("app") not in ("", before) and workload(s, "app")["state"] == "converged",
        "repaired",
    )
    assert len(events(op, "crashed", "app")) == 1
    assert 'eventd_workload_crashes_total{workload="app"} 1.0' in op.ctl("metrics")[1]
    runs = json.loads(op.ctl("runs", "--json")[1])["runs"]
    rows = [
        row for run in runs for row in run["workloads"] if row["name"] == "app" and row["reason"] == "crashed"
    ]
    assert [row["result"] for row in rows] == ["ok"]
    assert "app.service ended (signal, status 9)" in rows[0]["message"]


def test_a_gate_that_is_shut_on_a_running_workload_is_told_before_the_reboot(op: Operator) -> None:
    """A typo in `requires`: it runs on, and the status says that it would not start again; the fix ends that."""
    op.deploy({"workloads/typo/typo.container": container()})
    status = op.deploy({"workloads/typo/workload.toml": 'requires = ["mount:/srv/medai"]\n'})
    found = workload(status, "typo")
    assert (found["state"], found["reason"]) == ("at-risk", "would-not-start")
    assert "mount /srv/medai is not mounted" in found["message"]
    assert op.user_unit("typo", "typo.service", "ActiveState")["ActiveState"] == "active"
    assert status["state"] == "at-risk"
    assert op.ctl("status")[0] == 4
    assert "would not start again" in op.ctl("why", "typo")[1]
    assert 'eventd_workload_at_risk{workload="typo"} 1.0' in op.ctl("metrics")[1]
    status = op.deploy({"workloads/typo/workload.toml": None})
    assert workload(status, "typo")["state"] == "converged"


def test_an_image_that_is_gone_from_the_store_is_told(op: Operator) -> None:
    """What runs has its image, and a start would not find it; it is over when the name is there again."""
    image = "localhost/busybox:1"
    argv = ["podman", "image", "inspect", "--format", "{{.Id}}", image]
    number = op.machine.run(argv, user="typo", cwd="/").stdout.strip()
    op.machine.run(["podman", "untag", image], user="typo", cwd="/")
    found = op.state("typo", "at-risk")
    assert f"the image {image} is not in its store" in found["message"]
    assert op.user_unit("typo", "typo.service", "ActiveState")["ActiveState"] == "active"
    op.machine.run(["podman", "tag", number, image], user="typo", cwd="/")
    op.state("typo", "converged")


def test_the_status_names_containers_and_a_file_outlives_the_daemon(op: Operator) -> None:
    """Id, image, state and health of each container, without podman; the file stays when eventd stops."""
    m = op.machine
    (box_,) = op.state("hc", "converged")["containers"]
    number = m.run(
        ["podman", "inspect", "--format", "{{.Id}} {{.Image}}", "systemd-hc"], user="hc", cwd="/"
    ).stdout
    assert f"{box_['id']} {box_['image_id']}" == number.strip()
    assert (box_["name"], box_["image"], box_["state"]) == ("systemd-hc", "localhost/busybox:1", "running")
    assert box_["health"] == "healthy"
    path = "/run/eventd/status/hc.json"
    pid = op.told()["daemon"]["pid"]
    m.run(["systemctl", "stop", "eventd.service"])
    document = json.loads(m.run(["cat", path], user="hc").stdout)
    stat = m.stat(path)
    assert stat is not None
    assert (stat["mode"] & 0o777, stat["uid"]) == (0o644, 0)
    assert (document["state"], document["daemon"]["pid"]) == ("converged", pid)
    assert document["containers"][0]["id"] == box_["id"]
    assert "log" not in document
    m.run(["systemctl", "start", "eventd.service"])
    op.until(
        lambda s: [each["id"] for each in workload(s, "hc")["containers"]] == [box_["id"]],
        "read back from the journal",
    )
