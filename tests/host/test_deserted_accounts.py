"""An account that is deleted under its running workload: what runs on is named, nobody kills it, and the cure cures."""

import json

from tests.host.machine import Machine
from tests.host.operator import Operator, container


def troubles(op: Operator) -> dict[str, str]:
    """Return the hint of each trouble of a deleted account, by its name."""
    rows = op.told()["troubles"]
    return {each["name"]: each["hint"] for each in rows if each["reason"] == "account-deserted"}


def check(op: Operator) -> list[str]:
    """Return what `eventctl doctor` says of deleted accounts."""
    _, said = op.ctl("doctor", "--json")
    return [each["message"] for each in json.loads(said)["checks"] if "former account" in each["name"]]


def test_the_old_manager_is_named_until_somebody_stops_it(machine: Machine) -> None:
    """Before the account is made anew, beside the new one, and after a restart; then `systemctl stop` ends it all."""
    op, m = Operator(machine), machine
    op.install()
    op.deploy({"workloads/web/web.container": container()})
    op.state("web", "converged")
    uid = m.run(["id", "-u", "web"]).stdout.strip()
    manager = f"user@{uid}.service"
    old = m.show(manager, "InvocationID", "MainPID")
    m.run("userdel --force web", check=False)
    assert op.state("web", "failed")["reason"] == "home-exists"
    op.until(lambda _s: bool(troubles(op)), "the old manager is named")
    m.run("mv /home/web /home/web.old")
    op.state("web", "converged")
    assert m.run(["id", "-u", "web"]).stdout.strip() != uid
    m.run(["systemctl", "restart", "eventd.service"])
    op.state("web", "converged")
    op.until(lambda _s: bool(troubles(op)), "the old manager is named after a restart")
    hint = troubles(op)["former account web"]
    assert op.told()["state"] == "degraded"
    assert manager in op.ctl("status")[1]
    assert check(op)
    assert op.ctl("sync", "--wait")[0] == 0, "no run fails by it"
    assert m.show(manager, "InvocationID", "MainPID") == old, "nobody has killed it"
    started = op.invocation("web")
    m.run(hint.partition("what runs; ")[2].partition(" ends it")[0])
    op.until(lambda s: s["state"] == "converged", "nothing is left")
    assert not m.run(f"ps -o cmd= -u {uid} -U {uid}", check=False).stdout
    assert not check(op)
    assert op.invocation("web") == started
