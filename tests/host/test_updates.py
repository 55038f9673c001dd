"""Updates on a real host, from a real registry: newer images are taken and verified, or what ran before runs again."""

import json
from typing import Any

import pytest

from tests.host.machine import Machine
from tests.host.operator import Operator, container, workload
from tests.host.registry import Registry

# Healthy is what has another version than `bad`.
HEALTH = (
    "HealthCmd=test $V != bad\nHealthInterval=1s\nHealthRetries=1\nHealthOnFailure=none\nNotify=healthy\n"
)
OPTIONS = '[health]\ndeadline = "8s"\n'


def app(name: str, options: str = OPTIONS) -> dict[str, str | None]:
    """A workload of an image of the registry."""
    text = container(f"127.0.0.1:5000/{name}:1", more=HEALTH).replace("Pull=never\n", "")
    return {f"workloads/{name}/{name}.container": text, f"workloads/{name}/workload.toml": options}


@pytest.fixture(scope="module")
def registry(machine: Machine) -> Registry:
    """The host's registry, with the first version of three images."""
    found = Registry(machine)
    for name in ("one", "two", "three"):
        found.push(name, "v1")
    return found


@pytest.fixture(scope="module")
def op(machine: Machine, registry: Registry) -> Operator:
    """An operator with three workloads of these images."""
    del registry
    operator = Operator(machine)
    operator.install()
    status = operator.deploy(
        {**app("one"), **app("two"), **app("three", OPTIONS + '[update]\nschedule = "Mon 04:00"\n')}
    )
    assert status["state"] == "converged", json.dumps(status, indent=1)
    return operator


def version(op: Operator, name: str) -> str:
    """Which version of its image a container runs."""
    return op.machine.run(
        ["podman", "exec", f"systemd-{name}", "sh", "-c", "echo $V"], user=name
    ).stdout.strip()


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
    assert newer == {"one": True, "two": False, "three": False}
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
    status = op.status() or {}
    assert workload(status, "one")["state"] == "converged"
    before = op.invocation("one")
    code, said = op.ctl("update", "one", "--wait")
    assert code == 1
    assert "known-bad-image" in said
    assert op.invocation("one") == before
    registry.push("one", "v3")
    assert op.ctl("update", "one", "--wait")[0] == 0
    assert version(op, "one") == "v3"


def test_the_timer_of_a_workload_has_it_updated(op: Operator, registry: Registry) -> None:
    """A unit of eventd's own in the workload's manager, root-owned; its service asks for the update as the workload."""
    registry.push("three", "v2")
    shown = op.user_unit("three", "eventd-update.timer", "ActiveState", "TimersCalendar", "FragmentPath")
    assert shown["ActiveState"] == "active"
    assert "Mon *-*-* 04:00:00" in shown["TimersCalendar"]
    op.machine.run(["systemctl", "--user", "start", "eventd-update.service"], user="three")
    assert version(op, "three") == "v2"
    assert op.user_unit("three", "eventd-update.service", "Result")["Result"] == "success"


def test_killed_in_the_middle_of_an_update_it_ends_on_one_image(op: Operator, registry: Registry) -> None:
    """SIGKILL while the new image is waited for: the next daemon ends what was begun."""
    registry.push("one", "bad")
    op.machine.run("eventctl update one >/dev/null")
    op.until(
        lambda s: str(workload(s, "one")["step"]).startswith("restart-unit"), "restarting with the new image"
    )
    op.machine.kill_unit("eventd.service")
    op.until(
        lambda _s: not json.loads(op.ctl("images", "one", "--json")[1])["workloads"][0]["pending"],
        "the update to be over",
    )
    op.state("one", "converged")
    assert version(op, "one") == "v3"
