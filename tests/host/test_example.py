"""Scope: examples/repository on the real host. Its images are stand-ins of the same names: there is no registry."""

import json
import re
from pathlib import Path

import pytest

from tests.host.machine import Machine
from tests.host.operator import Operator

EXAMPLE = Path(__file__).parents[2] / "examples/repository"
STAND_IN = """\
FROM localhost/busybox:1
CMD ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait; done"]
"""
STORE = "/usr/lib/containers/storage"


@pytest.fixture(scope="module")
def op(machine: Machine) -> Operator:
    """An operator of a host that has the example's images."""
    files = {str(p.relative_to(EXAMPLE)): p.read_text() for p in EXAMPLE.rglob("*") if p.is_file()}
    images = set(re.findall(r"^Image=(.*)$", "".join(files.values()), re.MULTILINE))
    assert len(images) == 4
    machine.write("/tmp/Containerfile", STAND_IN)
    for image in sorted(images):
        build = f"podman --root {STORE} build -q --network=none -t {image} -f /tmp/Containerfile /tmp"
        machine.run(build)
    machine.run(["chmod", "-R", "a+rX", STORE])
    operator = Operator(machine)
    operator.install()
    commit = operator.commit(dict(files))
    operator.push()
    operator.settled(commit)
    return operator


def test_the_example_converges(op: Operator) -> None:
    """Everything in it runs: network, volume, gate on another workload, timer."""
    status = op.until(lambda s: s["state"] == "converged", "converged")
    assert {w["name"] for w in status["workloads"]} == {"feeds", "site", "prune"}
    for user, unit in (
        ("feeds", "feeds.service"),
        ("feeds", "feeds-db.service"),
        ("feeds", "feeds-network.service"),
        ("site", "site.service"),
        ("prune", "prune.timer"),
    ):
        assert op.user_unit(user, unit, "ActiveState") == {"ActiveState": "active"}, unit


def test_what_a_workload_requires_is_up_before_it(op: Operator) -> None:
    """`requires = ["workload:feeds=active"]`: the web server was started after the feed reader."""
    feeds = op.user_unit("feeds", "feeds.service", "ActiveEnterTimestampMonotonic")
    site = op.user_unit("site", "site.service", "InactiveExitTimestampMonotonic")
    assert int(*site.values()) > int(*feeds.values())


def test_the_hosts_own_generator_accepts_it(op: Operator) -> None:
    """`eventctl check` has nothing to say, not even a warning."""
    code, said = op.ctl("check", "/root/work", "--json")
    found = json.loads(said)
    assert (code, found["refused"], found["diagnostics"]) == (0, [], [])
