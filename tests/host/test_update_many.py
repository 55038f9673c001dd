"""Ten compose stacks are updated at once, two of them to no good: eight new, two as before, one summary of both."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.host.machine import Machine
from tests.host.operator import Operator, workload
from tests.host.registry import Registry

STACKS = tuple(f"s{number}" for number in range(10))
UNHEALTHY, GONE = "s3", "s7"
# Ten at once take their time on a busy machine; what is bad here is not found out by a deadline.
OPTIONS = '[health]\ndeadline = "20min"\n[compose]\ntimeout = "20min"\n'
# The check does not come to an end while there is /srv/gate/shut on the host.
SHUT = "/srv/gate/shut"
CHECK = "while test -e /gate/shut; do sleep 0.1; done; test $$V != bad"
RUNS = 'trap "exit 0" TERM; while :; do sleep 60 & wait $$!; done'


def stack(name: str) -> dict[str, str | None]:
    """A stack of one service; only the one that will be unhealthy is checked, each check being a process."""
    service: dict[str, Any] = {
        "image": f"127.0.0.1:5000/{name}:1",
        "command": ["/bin/sh", "-c", RUNS],
        "stop_grace_period": "1s",
    }
    if name == UNHEALTHY:
        check = ["CMD-SHELL", CHECK]
        service["healthcheck"] = {"test": check, "interval": "1s", "retries": 3, "timeout": "600s"}
        service["volumes"] = ["/srv/gate:/gate:ro"]
    return {
        f"workloads/{name}/compose.yaml": json.dumps({"services": {"main": service}}),
        f"workloads/{name}/workload.toml": OPTIONS,
    }


@pytest.fixture(scope="module")
def registry(machine: Machine) -> Registry:
    """The host's registry, with the first version of all."""
    found = Registry(machine)
    found.push_all(dict.fromkeys(STACKS, "v1"))
    return found


@pytest.fixture(scope="module")
def op(machine: Machine, registry: Registry) -> Operator:
    """An operator with ten stacks that run the first version."""
    del registry
    operator = Operator(machine)
    operator.install()
    machine.run(["mkdir", "-m", "0755", "/srv/gate"])
    files: dict[str, str | None] = {}
    for name in STACKS:
        files |= stack(name)
    commit = operator.commit(files)
    operator.push()
    status = operator.settled(commit, timeout=600)
    assert status["state"] == "converged", json.dumps(status)
    return operator


def digest(op: Operator, name: str) -> str:
    """The reference of the image that a stack runs, by its digest."""
    (row,) = json.loads(op.ctl("images", name, "--json")[1])["workloads"]
    return str(row["images"][0]["digests"][0])


def images(op: Operator) -> dict[str, dict[str, Any]]:
    """What `eventctl images --json` says of each stack's only image."""
    code, said = op.ctl("images", "--json")
    assert code == 0, said
    rows = json.loads(said)["workloads"]
    return {row["name"]: row["images"][0] for row in rows}


def version(op: Operator, name: str) -> str:
    """Which version of its image the stack's container runs."""
    argv = ["podman", "exec", f"{name}-main-1", "sh", "-c", "echo $V"]
    return op.machine.run(argv, user=name, cwd="/").stdout.strip()


def run_of(op: Operator, said: str) -> dict[str, Any]:
    """The report of the run that somebody has watched."""
    number = re.search(r"^run (\d+)", said, re.MULTILINE)
    assert number, said
    runs = json.loads(op.ctl("runs", "--json")[1])["runs"]
    (found,) = [run for run in runs if run["id"] == int(number[1])]
    return dict(found)


@pytest.mark.timeout(1500, method="signal", func_only=True)
def test_of_ten_stacks_eight_are_new_and_two_are_as_before(op: Operator, registry: Registry) -> None:
    """One cannot be pulled, one is unhealthy: both run the digest of before, one summary names them, exit 1."""
    before = images(op)
    registry.push_all({name: "bad" if name == UNHEALTHY else "v2" for name in STACKS if name != GONE})
    registry.forget(GONE)
    invocation = op.invocation(GONE)
    op.machine.write(SHUT, "")
    with op.machine.start(["eventctl", "update", "--wait"]) as first:
        op.until(lambda s: str(workload(s, UNHEALTHY)["step"]).startswith("restart-unit"), "on")
        with op.machine.start(["eventctl", "update", UNHEALTHY, "--wait"]) as second:
            second.read_until("^queued")
            op.machine.run(["rm", SHUT])
            done, following = first.wait(timeout=900), second.wait(timeout=900)
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert following.returncode == 1, following.stdout + following.stderr
    assert "known-bad-image" in following.stdout, (
        "the one that asked meanwhile has a run of its own, after the first"
    )
    after = images(op)
    for name in STACKS:
        same = after[name]["running"] == before[name]["running"]
        assert same is (name in (UNHEALTHY, GONE)), said
        assert after[name]["running"] == after[name]["id"], "the tag names what runs"
        assert op.user_unit(name, f"{name}.service", "StatusText")["StatusText"] == "1 of 1 containers up"
    assert [version(op, name) for name in ("s0", UNHEALTHY, GONE)] == ["v2", "v1", "v1"]
    assert op.invocation(GONE) == invocation, "nothing is touched where the pull fails"
    run, another = (run_of(op, each.stdout) for each in (done, following))
    assert another["started"] >= run["ended"], "one run at a time"
    assert [row["name"] for row in another["workloads"] if row["result"] != "unchanged"] == [UNHEALTHY]
    rows = {row["name"]: row for row in run["workloads"]}
    assert {name: row["reason"] for name, row in rows.items() if row["result"] != "ok"} == {
        UNHEALTHY: "update-rolled-back",
        GONE: "pull-failed",
    }
    assert before[UNHEALTHY]["running"][:12] in rows[UNHEALTHY]["message"]
    for name in STACKS:
        op.state(name, "converged")
    assert op.ctl("sync", "--wait")[0] == 0
    told = op.told()["updates"]
    assert told["workloads"] == len(STACKS)
    assert {each["workload"]: each["reason"] for each in told["failed"]} == {
        UNHEALTHY: "known-bad-image",  # it was asked for a second time
        GONE: "pull-failed",
    }, "in sum, until a good one: a good run does not make up for it"
    assert f"updates: the last one failed for 2 of {len(STACKS)} workloads" in op.ctl("status")[1]


def test_stacks_that_are_pinned_or_held_or_named_by_a_variable_stay(op: Operator, registry: Registry) -> None:
    """A digest is what it is, a hold says so to whoever asks, and what a variable stands for only podman knows."""
    pinned = json.loads(str(stack("s0")["workloads/s0/compose.yaml"]))
    pinned["services"]["main"]["image"] = digest(op, "s0")
    hold = f"{OPTIONS}[update]\nhold = true\n"
    variable = str(stack("s9")["workloads/s9/compose.yaml"]).replace("/s9:1", "/s9:${TAG:-1}")
    op.deploy(
        {
            "workloads/s0/compose.yaml": json.dumps(pinned),
            "workloads/s1/workload.toml": hold,
            "workloads/s9/compose.yaml": variable,
        }
    )
    registry.push_all(dict.fromkeys(("s0", "s1", "s2", "s9"), "v3"))
    before = [op.invocation(name) for name in ("s0", "s1", "s9")]
    assert [op.ctl("update", name, "--wait")[0] for name in ("s0", "s2", "s9")] == [0, 0, 0]
    code, said = op.ctl("update", "s1", "--wait")
    assert code == 1, said
    assert "held" in said
    assert [version(op, name) for name in ("s0", "s1", "s2")] == ["v2", "v2", "v3"]
    assert [op.invocation(name) for name in ("s0", "s1", "s9")] == before
    found = images(op)
    assert (found["s0"]["fixed"], found["s9"]["fixed"]) == ("pinned", "variable")
    assert found["s9"]["running"]
