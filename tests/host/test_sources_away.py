"""A daemon that starts without logind on a real host: it is ready, answers, says what cures it, and does the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.host.machine import Machine
from tests.host.operator import Operator, container, workload

LOGIND = "systemd-logind.service"
SLOW = "[Service]\nExecStartPre=/bin/sh -c 'until test -e /run/go-on; do sleep 0.1; done'\n"


@pytest.fixture(scope="module")
def op(machine: Machine) -> Operator:
    """An operator whose eventd runs, with a workload up."""
    operator = Operator(machine)
    operator.install()
    assert operator.deploy({"workloads/web/web.container": container()})["state"] == "converged"
    return operator


def trouble(status: dict[str, Any]) -> dict[str, Any]:
    """Return what is said of logind; empty: nothing."""
    found = [each for each in status["troubles"] if each["name"] == "logind"]
    return dict(found[0]) if found else {}


def away(op: Operator, said: str) -> dict[str, Any]:
    """Wait until logind is said to be away, and why."""
    status = op.until(lambda s: said in trouble(s).get("message", ""), f"logind: {said}")
    assert trouble(status)["reason"] == "logind-unavailable"
    assert op.ctl("status")[0] == 1
    return trouble(status)


def cured(op: Operator) -> None:
    """Wait until all is as it should be."""
    op.until(lambda s: s["state"] == "converged" and not s["troubles"], "converged")


def test_after_dbus_was_killed_a_daemon_starts_and_names_the_cure(op: Operator) -> None:
    """Without a bus logind runs on. What does not need it goes on; a new workload waits, and comes with the cure."""
    m = op.machine
    m.run(["systemctl", "stop", "eventd.service"])
    m.kill_unit("dbus.service")
    m.run(["systemctl", "--user", "stop", "web.service"], user="web")
    m.run(["systemctl", "start", "eventd.service"], timeout=60)
    found = away(op, "not on the bus")
    op.until(
        lambda _s: op.user_unit("web", "web.service", "ActiveState")["ActiveState"] == "active", "web up"
    )
    op.commit({"workloads/new/new.container": container()})
    op.push()
    held = op.state("new", "held")
    assert (held["reason"], held["hint"]) == ("logind-unavailable", found["hint"])
    m.run(found["hint"])
    cured(op)
    assert m.show("eventd.service", "NRestarts") == {"NRestarts": "0"}


def test_a_running_daemon_says_it_when_logind_goes_for_good(op: Operator) -> None:
    """Masked and stopped under it; the command of the hint brings it back."""
    op.machine.run(["systemctl", "mask", "--now", LOGIND])
    found = away(op, "masked")
    assert op.ctl("sync", "--wait")[0] == 1
    events = [json.loads(line) for line in op.ctl("events", "--json")[1].splitlines() if line.startswith("{")]
    assert any(e["kind"] == "gap" and "masked" in str(e["attributes"].get("error")) for e in events)
    op.machine.run(found["hint"])
    cured(op)


def test_a_boot_without_logind_is_over_and_the_daemon_answers(op: Operator) -> None:
    """`multi-user.target` is reached, nothing has failed, and what waits for logind says so."""
    op.machine.run(["systemctl", "mask", LOGIND])
    op.machine.reboot()
    found = away(op, "masked")
    assert workload(op.told(), "web")["reason"] == "logind-unavailable"
    op.machine.run(found["hint"])
    cured(op)


def test_a_boot_with_a_slow_logind_does_not_wait_in_eventd(op: Operator) -> None:
    """The daemon is up and says what it waits for while logind's start goes on."""
    m = op.machine
    m.write(f"/etc/systemd/system/{LOGIND}.d/slow.conf", SLOW)
    m.reboot(wait=False)
    away(op, "still starting")
    assert m.show("eventd.service", "ActiveState", "Job") == {"ActiveState": "active", "Job": ""}
    assert m.show(LOGIND, "ActiveState") == {"ActiveState": "activating"}
    m.write("/run/go-on", "")
    cured(op)
    m.run(f"rm -r /etc/systemd/system/{LOGIND}.d && systemctl daemon-reload")


def test_without_the_systems_bus_it_is_ready_and_says_so(op: Operator) -> None:
    """There is no bus: nothing can be done, the status is answered, and when it is back everything goes on."""
    m = op.machine
    m.run(["systemctl", "stop", "eventd.service"])
    m.run(["systemctl", "mask", "--runtime", "--now", "dbus.socket", "dbus.service"])
    m.run(["systemctl", "start", "eventd.service"], timeout=60)
    status = op.until(lambda s: any(t["name"] == "systemd" for t in s["troubles"]), "systemd is missed")
    assert status["state"] == "starting"
    m.run("systemctl unmask --runtime dbus.socket dbus.service && systemctl start dbus.socket")
    m.run(["systemctl", "restart", LOGIND])
    cured(op)
