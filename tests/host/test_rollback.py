"""Going back on a real host: a bad revision is taken back in its run, by itself or when asked; suspensions hold."""

import json

import pytest

from tests.host.machine import Machine
from tests.host.operator import Operator, container, workload

HEALTH = "HealthCmd={}\nHealthInterval=1s\nHealthRetries=1\nHealthOnFailure=none\nNotify=healthy\n"
# A bad revision is given up soon; a good one is given all the time that a busy machine may need.
OPTIONS = '[health]\non_failure = "rollback"\n'
IMPATIENT = OPTIONS + 'deadline = "6s"\n'


def web(note: str, health: str = "true") -> dict[str, str | None]:
    """A workload with a health check that goes back by itself."""
    return {
        "workloads/web/web.container": container(
            note=note, more=HEALTH.format(health) + f"Environment=NOTE={note}\n"
        ),
        "workloads/web/workload.toml": OPTIONS if health == "true" else IMPATIENT,
    }


def note_of(op: Operator) -> str:
    """What the container that runs was made with."""
    return op.machine.run(
        ["podman", "exec", "systemd-web", "sh", "-c", "echo $NOTE"], user="web"
    ).stdout.strip()


@pytest.fixture(scope="module")
def op(machine: Machine) -> Operator:
    """An operator with one workload, at a good revision."""
    operator = Operator(machine)
    operator.install()
    status = operator.deploy(web("one"))
    assert status["state"] == "converged", status
    return operator


def test_a_bad_health_check_is_taken_back_in_the_same_run(op: Operator) -> None:
    """The old container runs again; the run failed; status and why name both revisions; a restart changes nothing."""
    good = op.told()["commit"]
    commit = op.commit(web("two", health="false"))
    op.push()
    status = op.settled(commit)
    found = workload(status, "web")
    assert found["state"] == "rolled-back", found
    assert (status["state"], status["last_run"]["result"]) == ("degraded", "failed")
    assert commit[:12] in found["message"]
    assert good[:12] in found["message"]
    assert found["commit"] == good
    assert note_of(op) == "one"
    code, said = op.ctl("why", "web")
    assert code == 1
    assert "rolled back" in said
    before = op.invocation("web")
    op.machine.run(["systemctl", "restart", "eventd.service"])
    op.state("web", "rolled-back")
    assert op.invocation("web") == before
    code, said = op.ctl("sync", "--wait", "--json")
    assert code == 1
    assert op.invocation("web") == before


def test_the_next_push_of_a_fix_converges(op: Operator) -> None:
    """And ends the rollback."""
    status = op.deploy(web("three"))
    assert workload(status, "web")["state"] == "converged"
    assert note_of(op) == "three"


def test_an_operator_goes_back_and_forth(op: Operator) -> None:
    """To the verified content before, to a commit, and to what the repository has; the workload itself may, too."""
    first = op.machine.run(
        "cd /root/work && git log --format=%h --diff-filter=A -- workloads/web | tail -1"
    ).stdout.strip()
    code, said = op.ctl("rollback", "web", "--wait")
    assert code == 0, said
    assert note_of(op) == "one"
    assert op.state("web", "rolled-back")["rollback"]["automatic"] is False
    code, said = op.ctl("resume", "web", "--wait")
    assert code == 0, said
    assert note_of(op) == "three"
    done = op.machine.run(["eventctl", "rollback", "web", "--to", first, "--wait"], user="web", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert note_of(op) == "one"
    assert op.state("web", "rolled-back")["rollback"]["by"] == "web"
    code, said = op.ctl("rollback", "web", "--to", "0123456789")
    assert code != 0
    assert "no commit 0123456789" in said
    assert op.ctl("resume", "web", "--wait")[0] == 0


def test_a_suspended_workload_is_left_alone_across_a_restart_of_the_daemon(op: Operator) -> None:
    """It is neither repaired nor changed, and says why; resumed, it converges at once."""
    assert op.ctl("suspend", "web", "--reason", "moving its data")[0] == 0
    op.machine.run(["systemctl", "restart", "eventd.service"])
    op.machine.run(["systemctl", "--user", "stop", "web.service"], user="web")
    commit = op.commit(web("four"))
    op.push()
    op.settled(commit)
    found = op.state("web", "held")
    assert found["reason"] == "suspended"
    assert found["suspended"]["why"] == "moving its data"
    assert "moving its data" in op.ctl("status")[1]
    assert op.user_unit("web", "web.service", "ActiveState")["ActiveState"] == "inactive"
    assert "nothing of it" in op.ctl("why", "web")[1] or "suspended" in op.ctl("why", "web")[1]
    code, said = op.ctl("resume", "web", "--wait")
    assert code == 0, said
    assert note_of(op) == "four"
    metrics = op.ctl("metrics")[1]
    assert 'eventd_workload_suspended{workload="web"} 0.0' in metrics


# The test host has no catatonit(1), which podman makes its own infra image of.
INFRA = "PodmanArgs=--infra-image=localhost/busybox:1 --infra-command='sleep 3600'"
POD = f"[Pod]\nPodName=shop\n{INFRA}\n[Install]\nWantedBy=default.target\n"
NETWORK = "[Network]\nNetworkName=back\n"


def shop(note: str, command: str, options: str = OPTIONS) -> dict[str, str | None]:
    """A pod with two containers, a network, and a unit that is part of one of them."""
    front = container(note=note, more="Pod=shop.pod\n").replace(
        "Exec=/bin/sh -c 'trap", f"Exec=/bin/sh -c '{command}; trap"
    )
    return {
        "workloads/shop/shop.pod": POD,
        "workloads/shop/back.network": NETWORK,
        "workloads/shop/front.container": front,
        "workloads/shop/back.container": container(more="Pod=shop.pod\n"),
        "workloads/shop/data.container": container(more="Network=back.network\n"),
        "workloads/shop/tail.service": "[Unit]\nBindsTo=front.service\nAfter=front.service\n"
        "[Service]\nExecStart=/usr/bin/sleep infinity\n",
        "workloads/shop/workload.toml": options,
    }


def test_pods_networks_and_what_is_bound_are_up_after_a_rollback(op: Operator) -> None:
    """One container of the pod fails; what systemd stops along with it runs again, and was verified."""
    status = op.deploy(shop("one", "true"))
    assert workload(status, "shop")["state"] == "converged", status
    op.machine.run(["systemctl", "--user", "start", "tail.service"], user="shop")
    # Its end is waited for: on a busy machine the container may come to it some time after it is up.
    commit = op.commit(shop("two", "exit 3", OPTIONS + 'grace = "2min"\n'))
    op.push()
    status = op.settled(commit)
    assert workload(status, "shop")["state"] == "rolled-back", json.dumps(status)
    for unit in ("shop-pod", "front", "back", "data", "back-network", "tail"):
        assert op.user_unit("shop", f"{unit}.service", "ActiveState")["ActiveState"] == "active", unit
    shown = op.machine.run(
        ["podman", "ps", "--format", "{{.Names}}", "--filter", "pod=shop"], user="shop"
    ).stdout
    assert {"systemd-front", "systemd-back"} <= set(shown.split())
