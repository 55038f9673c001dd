"""Updates on a real host, from a real registry: newer images are taken and verified, or what ran before runs again."""

import json
from typing import Any

import pytest

from tests.host.machine import HostError, Machine
from tests.host.operator import Operator, container, workload
from tests.host.registry import Registry

# Healthy is what has another version than `bad`; no check comes to an end while there is /srv/gate/shut on the host.
SHUT = "/srv/gate/shut"
CHECK = "while test -e /gate/shut; do sleep 0.1; done; test $V != bad"
HEALTH = f"""\
HealthCmd={CHECK}
HealthInterval=1s
HealthTimeout=600s
HealthRetries=3
HealthOnFailure=kill
Notify=healthy
Volume=/srv/gate:/gate:ro
"""
# What is bad here is not found out by a deadline, and what is good has all the time that a busy machine may need.
OPTIONS = '[health]\ndeadline = "20min"\n'
COMPOSE = '[compose]\ntimeout = "20min"\n'


def app(name: str, options: str = OPTIONS) -> dict[str, str | None]:
    """A workload of an image of the registry."""
    text = container(f"127.0.0.1:5000/{name}:1", more=HEALTH).replace("Pull=never\n", "")
    return {f"workloads/{name}/{name}.container": text, f"workloads/{name}/workload.toml": options}


def stack(name: str, options: str = OPTIONS + COMPOSE) -> dict[str, str | None]:
    """A compose stack of an image of the registry, with the same check."""
    service = {
        "image": f"127.0.0.1:5000/{name}:1",
        "command": ["/bin/sh", "-c", 'trap "exit 0" TERM; while :; do sleep 60 & wait $$!; done'],
        "stop_grace_period": "1s",
        "volumes": ["/srv/gate:/gate:ro"],
        "healthcheck": {
            "test": ["CMD-SHELL", CHECK.replace("$", "$$")],
            "interval": "1s",
            "retries": 3,
            "timeout": "600s",
        },
    }
    text = json.dumps({"services": {"main": service}})
    return {f"workloads/{name}/compose.yaml": text, f"workloads/{name}/workload.toml": options}


@pytest.fixture(scope="module")
def registry(machine: Machine) -> Registry:
    """The host's registry, with the first version of four images."""
    found = Registry(machine)
    found.push_all(dict.fromkeys(("one", "two", "three", "stack"), "v1"))
    return found


@pytest.fixture(scope="module")
def op(machine: Machine, registry: Registry) -> Operator:
    """An operator with four workloads of these images."""
    del registry
    operator = Operator(machine)
    operator.install()
    machine.run(["mkdir", "-m", "0755", "/srv/gate"])
    status = operator.deploy(
        {
            **app("one"),
            **app("two"),
            **app("three", OPTIONS + '[update]\nschedule = "Mon 04:00"\n'),
            **stack("stack", OPTIONS + COMPOSE + '[update]\nschedule = "Sun *-*-1..7 03:30"\n'),
        }
    )
    assert status["state"] == "converged", json.dumps(status)
    return operator


def version(op: Operator, name: str) -> str:
    """Which version of its image a container runs."""
    container = "stack-main-1" if name == "stack" else f"systemd-{name}"
    argv = ["podman", "exec", container, "sh", "-c", "echo $V"]
    return op.machine.run(argv, user=name, cwd="/").stdout.strip()


def images(op: Operator) -> dict[str, dict[str, Any]]:
    """What `eventctl images --json` says of each workload."""
    return {row["name"]: row for row in json.loads(op.ctl("images", "--json")[1])["workloads"]}


def local(op: Operator, name: str) -> set[str]:
    """The id of the image that a workload's reference names; empty while podman does not say."""
    code, said = op.ctl("images", name, "--json")
    rows = json.loads(said)["workloads"] if code == 0 else []
    return {image["id"] for row in rows for image in row["images"]} - {None}


def pending(op: Operator, *names: str) -> bool:
    """Whether one of them is still to be updated; a daemon that starts may not know them yet, or not answer."""
    code, said = op.ctl("images", "--json")
    if code != 0:
        return True
    rows = {row["name"]: row for row in json.loads(said)["workloads"]}
    return any(name not in rows or rows[name]["pending"] for name in names)


def report(said: str) -> dict[str, Any]:
    """The report of a run that --wait --json followed."""
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return dict(lines[-1]["run"])


def test_a_newer_image_is_seen_without_pulling_it_and_taken_when_asked(
    op: Operator, registry: Registry
) -> None:
    """--check pulls nothing; the update restarts what changed and nothing else, and says what it did."""
    code, said = op.ctl("update", "--check")
    assert code == 0, said
    registry.push("one", "v2")
    code, said = op.ctl("update", "--check", "--json")
    assert code == 4, said
    newer = {row["name"]: row["images"][0]["newer"] for row in json.loads(said)["workloads"]}
    assert newer == {"one": True, "two": False, "three": False, "stack": False}
    assert version(op, "one") == "v1"
    before = op.invocation("two")
    code, said = op.ctl("update", "--wait")
    assert code == 0, said
    assert version(op, "one") == "v2"
    assert op.invocation("two") == before
    assert op.ctl("update", "--check")[0] == 0
    code, said = op.ctl("images", "--json")
    (row,) = [w for w in json.loads(said)["workloads"] if w["name"] == "one"]
    assert row["last_update"]["ok"]
    assert row["images"][0]["running"] == row["images"][0]["verified"]
    assert any("@sha256:" in digest for digest in row["images"][0]["digests"])


def test_an_unhealthy_image_goes_back_and_the_others_go_on(op: Operator, registry: Registry) -> None:
    """One fails its health check, one cannot be pulled, one is updated: one summary names both, exit 1."""
    registry.push("one", "bad")
    registry.push("two", "v2")
    op.deploy(app("four") | {"workloads/four/four.container": container(more="")})
    op.machine.run(["rm", "-rf", "/var/lib/test-registry/docker/registry/v2/repositories/three"])
    code, said = op.ctl("update", "--wait", "--json")
    assert code == 1, said
    rows = {row["name"]: row for row in report(said)["workloads"]}
    assert rows["one"]["reason"] == "update-rolled-back", said
    assert rows["three"]["reason"] == "pull-failed", said
    assert rows["two"]["result"] == "ok", said
    assert (version(op, "one"), version(op, "two"), version(op, "three")) == ("v2", "v2", "v1")
    op.state("one", "converged")
    before = op.invocation("one")
    code, said = op.ctl("update", "one", "--wait")
    assert code == 1
    assert "known-bad-image" in said
    assert op.invocation("one") == before
    registry.push("one", "v3")
    assert op.ctl("update", "one", "--wait")[0] == 0
    assert version(op, "one") == "v3"


@pytest.mark.parametrize(
    ("name", "written", "calendar"),
    [
        ("three", "Mon 04:00", "Mon *-*-* 04:00:00"),
        ("stack", "Sun *-*-1..7 03:30", "Sun *-*-01..07 03:30:00"),
    ],
    ids=["quadlet", "compose"],
)
def test_the_timer_of_a_workload_has_it_updated(
    op: Operator, registry: Registry, name: str, written: str, calendar: str
) -> None:
    """A unit of eventd's own in the workload's manager, root-owned; its service asks for the update as the workload."""
    registry.push(name, "v2")
    shown = op.user_unit(name, "eventd-update.timer", "ActiveState", "TimersCalendar", "FragmentPath")
    assert shown["ActiveState"] == "active"
    assert calendar in shown["TimersCalendar"]
    assert "Next elapse" in op.machine.run(["systemd-analyze", "calendar", written]).stdout
    uid = op.machine.run(["id", "-u", name]).stdout.strip()
    written_by = op.machine.stat(f"/etc/eventd/units/{uid}/eventd-update.timer")
    assert written_by is not None
    assert written_by["uid"] == 0
    op.machine.run(["systemctl", "--user", "start", "eventd-update.service"], user=name)
    assert version(op, name) == "v2"
    assert op.user_unit(name, "eventd-update.service", "Result")["Result"] == "success"
    registry.push(name, "bad")
    with pytest.raises(HostError):
        op.machine.run(["systemctl", "--user", "start", "eventd-update.service"], user=name)
    assert version(op, name) == "v2"


def test_killed_in_the_middle_of_an_update_it_ends_on_one_image(op: Operator, registry: Registry) -> None:
    """SIGKILL while the new image is waited for: the next daemon ends what was begun."""
    registry.push("one", "bad")
    op.machine.write(SHUT, "")
    op.machine.run("eventctl update one >/dev/null")
    op.until(
        lambda s: str(workload(s, "one")["step"]).startswith("restart-unit"), "restarting with the new image"
    )
    op.machine.kill_unit("eventd.service")
    op.machine.run(["rm", SHUT])
    op.until(lambda _s: not pending(op, "one"), "the update to be over")
    op.state("one", "converged")
    assert version(op, "one") == "v3"


@pytest.mark.parametrize("how", ["reboot", "cut"])
def test_a_reboot_in_the_middle_of_an_update_ends_on_one_image(
    op: Operator, registry: Registry, how: str
) -> None:
    """Cut off while a stack and a container restart: on the new image, or on that of before, as it is recorded."""
    registry.start()
    registry.push_all({"one": how, "two": "bad", "stack": how})
    before, good = images(op), version(op, "two")
    old_one = before["one"]["images"][0]["id"]
    op.machine.write(SHUT, "")
    op.machine.run("eventctl update >/dev/null")
    # The registry is gone after the cut: what had not been pulled by then would stay on its old image.
    op.until(
        lambda s: bool(
            all(
                str(workload(s, each)["step"]).startswith(("restart-unit", "verify"))
                for each in ("two", "stack")
            )
            and local(op, "one") - {old_one}
        ),
        "restarting with the new images",
    )
    if how == "reboot":
        op.machine.reboot(wait=False)
    else:
        op.machine.power_cut()
        op.machine.boot(wait=False)
    op.machine.run(["rm", SHUT])
    op.until(lambda _s: not pending(op, *before), "no update on its way")
    op.until(lambda s: s["state"] == "converged", "converged")
    after = images(op)
    for name, row in after.items():
        (image,), (old,) = row["images"], before[name]["images"]
        assert image["running"] == image["id"], f"{name} runs what its reference names"
        if name in ("one", "two", "stack"):
            same = image["running"] == old["running"]
            assert same is not bool(row["last_update"]["ok"]), row
    assert (version(op, "one"), version(op, "two"), version(op, "stack")) == (how, good, how)
    assert "interrupted" in op.ctl("runs")[1]
