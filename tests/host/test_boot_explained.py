"""Scope: `eventctl boot` on the real host: a boot whose network comes late and whose user managers are slow."""

import itertools
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

import pytest

from tests.host.conftest import MakeMachine
from tests.host.operator import Operator, container

pytestmark = pytest.mark.timeout(900, method="signal", func_only=True)
CONNECTED = "/run/network-is-there"
LATE_NETWORK = f"""\
[Unit]
DefaultDependencies=no
Before=network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'sleep 8; until [ -e {CONNECTED} ]; do sleep 0.1; done'
"""
SLOW_MANAGER = "[Service]\nExecStartPre=/bin/sleep 3\n"


def boot(op: Operator) -> dict[str, Any]:
    """Return `eventctl boot --json`."""
    _code, said = op.ctl("boot", "--json")
    document: dict[str, Any] = json.loads(said)
    return document


def rows(document: dict[str, Any], key: str, name: str = "name") -> dict[str, dict[str, Any]]:
    """Return a list of the document by name."""
    return {row[name]: row for row in document[key]}


@pytest.fixture
def op(fresh_machine: MakeMachine) -> Iterator[Operator]:
    """An operator whose host has converged in a boot with a late network and slow managers."""
    operator = Operator(fresh_machine())
    m = operator.machine
    operator.install()
    commit = operator.deploy(
        {
            "workloads/web/web.container": container(),
            "workloads/photos/photos.container": container(),
            "workloads/photos/workload.toml": 'requires = ["unit:network-online.target"]\n',
            "workloads/album/album.container": container(),
            "workloads/album/workload.toml": 'requires = ["workload:photos=healthy"]\n',
        }
    )["commit"]
    m.write("/etc/systemd/system/late-network.service", LATE_NETWORK)
    m.write("/etc/systemd/system/user@.service.d/slow.conf", SLOW_MANAGER)
    wants = "/etc/systemd/system/multi-user.target.wants"
    m.run(["systemctl", "add-wants", "network-online.target", "late-network.service"])
    m.run(["ln", "-s", "/usr/lib/systemd/system/network-online.target", wants])
    m.reboot(wait=False)
    operator.state(
        "web", "converged"
    )  # what needs no network does not wait for it, however slow the machine is
    m.write(CONNECTED, "")

    def at_rest(status: dict[str, Any]) -> bool:
        states = {each["state"] for each in status["workloads"]}
        # The boot is over with the run in which the last one has come up.
        return status["run"] is None and status["commit"] == commit and states == {"converged"}

    operator.until(at_rest, "converged")
    m.wait_running()
    return operator


def test_a_boot_is_explained(op: Operator) -> None:
    """What it was made of is told, from systemd's start to the last workload, and outlives the daemon."""
    document = boot(op)
    assert document["state"] == "converged", document
    assert document["origin"] == "manager"  # a container, which has no kernel of its own
    facts = rows(document, "facts", "text")
    network = facts["unit:network-online.target"]
    assert network["came"] >= 8
    # The managers were started by logind, beside eventd; their own times are told, not when eventd looked.
    manager = facts["manager:web"]
    assert manager["came"] - manager["began"] >= 2.9

    workloads = rows(document, "workloads")
    (wait,) = [s for s in workloads["photos"]["spans"] if s["kind"] == "wait"]
    assert wait["text"] == "unit:network-online.target"
    assert network["came"] - 0.2 < wait["end"] < workloads["photos"]["converged"]
    assert workloads["web"]["converged"] < network["came"] < workloads["photos"]["converged"]
    (wait,) = [s for s in workloads["album"]["spans"] if s["kind"] == "wait"]
    assert wait["text"] == "workload:photos=healthy"

    path = document["critical_path"]
    assert path[0]["begin"] == 0
    assert path[-1]["end"] == document["converged"] == workloads["album"]["converged"]
    assert all(one["end"] == two["begin"] for one, two in itertools.pairwise(path))
    assert sum(hop["share"] for hop in path) == pytest.approx(1, abs=0.01)
    longest = max(path, key=lambda hop: hop["seconds"])
    assert longest["subject"] == "late-network.service", path
    names = ("InactiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic")
    began, came = (int(op.machine.show("late-network.service", name)[name]) / 1e6 for name in names)
    assert longest["seconds"] == pytest.approx(came - began, abs=0.5)

    code, text = op.ctl("boot")
    assert code == 0
    assert "late-network.service starts; photos waits for unit:network-online.target" in text
    picture = ET.fromstring(op.ctl("boot", "--svg", "-")[1])
    assert picture.tag.endswith("svg")

    op.machine.run(["systemctl", "restart", "eventd.service"])
    op.until(lambda _s: boot(op) == document, "told as before")
    op.machine.run(["systemctl", "stop", "eventd.service"])
    op.machine.run(["systemctl", "start", "eventd.service"])
    op.until(lambda _s: boot(op) == document, "told as before")
    # Installed after the boot: there is no story of that.
    op.machine.run("systemctl stop eventd.service && rm /run/eventd/boot.json")
    op.machine.run(["systemctl", "start", "eventd.service"])
    op.until(lambda _s: boot(op)["state"] == "converged", "converged after a start by hand")
    document = boot(op)
    assert document["origin"] == "daemon"
    assert "this is its start, not the boot's" in document["caveat"]
    assert document["critical_path"][0]["subject"] == "eventd"
