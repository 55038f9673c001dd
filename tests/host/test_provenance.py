"""Foreign unit files on a real host: noticed without a reload, blocked and told, never touched, and over when gone."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.host.machine import Machine
from tests.host.operator import Operator, container, workload

ALLOWED = "/etc/systemd/user/service.d/10-allowed.conf"
UNIT = "[Service]\nExecStart=/bin/sleep 1000\n"
DROP_IN = "[Service]\nNice=5\n"
USER = "~/.config/systemd/user"
RUN = "/run/user/$(id -u)/systemd"


@pytest.fixture(scope="module")
def op(machine: Machine) -> Operator:
    """Two workloads, one with a companion; one foreign file that the operator allows is there already."""
    operator = Operator(machine)
    machine.write(ALLOWED, "[Service]\nNice=1\n")
    operator.install(f'[provenance]\nallow = ["{ALLOWED}"]\n')
    status = operator.deploy(
        {
            "workloads/web-app/web-app.container": container(),
            "workloads/web-app/tick.timer": "[Timer]\nOnCalendar=yearly\n",
            "workloads/web-app/tick.service": "[Service]\nType=oneshot\nExecStart=/bin/true\n",
            "workloads/db/db.container": container(),
        }
    )
    assert status["state"] == "converged", status
    return operator


def put(path: str, text: str, after: str = "") -> str:
    return f"mkdir -p \"$(dirname {path})\" && printf '%s' '{text}' > {path}{after}"


RELOAD = "; systemctl --user daemon-reload"
CASES = {
    "a unit file in the home": (
        put(f"{USER}/web-app.service", UNIT),
        f"rm {USER}/web-app.service",
        "shadowed",
    ),
    "a unit file in the home, loaded": (
        put(f"{USER}/web-app.service", UNIT, RELOAD),
        f"rm {USER}/web-app.service",
        "shadowed",
    ),
    "a Quadlet file in the home": (
        put(
            "~/.config/containers/systemd/deep/web-app.container", "[Container]\nImage=localhost/busybox:1\n"
        ),
        "rm -r ~/.config/containers/systemd",
        "shadowed",
    ),
    "a drop-in of the Quadlet file": (
        put("~/.config/containers/systemd/web-app.container.d/x.conf", DROP_IN, RELOAD),
        "rm -r ~/.config/containers/systemd",
        "stray-drop-in",
    ),
    "a drop-in in the home": (
        put(f"{USER}/web-app.service.d/x.conf", DROP_IN),
        f"rm -r {USER}/web-app.service.d",
        "stray-drop-in",
    ),
    "a drop-in for a prefix": (
        put(f"{USER}/web-.service.d/x.conf", DROP_IN, RELOAD),
        f"rm -r {USER}/web-.service.d",
        "stray-drop-in",
    ),
    "systemctl edit": (
        "printf '[Service]\\nNice=3\\n' | systemctl --user edit --stdin web-app.service",
        "systemctl --user revert web-app.service",
        "stray-drop-in",
    ),
    "systemctl set-property": (
        "systemctl --user set-property --runtime web-app.service CPUWeight=50",
        "systemctl --user revert web-app.service",
        "stray-drop-in",
    ),
    "a mask": (
        "systemctl --user mask web-app.service",
        f"rm {USER}/web-app.service",
        "unit-masked",
    ),
    "a mask until the next boot": (
        "systemctl --user mask --runtime web-app.service",
        "systemctl --user unmask --runtime web-app.service",
        "unit-masked",
    ),
    "a companion in user.control": (
        put("~/.config/systemd/user.control/tick.timer", "[Timer]\nOnCalendar=daily\n"),
        "rm -r ~/.config/systemd/user.control",
        "shadowed",
    ),
}
ROOT_CASES = {
    "a unit file in /etc": (
        put("/etc/systemd/user/web-app.service", UNIT),
        "rm /etc/systemd/user/web-app.service",
        "shadowed",
    ),
    "a mask in /etc": (
        "ln -s /dev/null /etc/systemd/user/web-app.service",
        "rm /etc/systemd/user/web-app.service",
        "unit-masked",
    ),
    "a drop-in in /run": (
        put("/run/systemd/user/web-app.service.d/x.conf", DROP_IN),
        "rm -r /run/systemd/user/web-app.service.d",
        "stray-drop-in",
    ),
    "a drop-in of all users' Quadlet files": (
        put("/etc/containers/systemd/users/web-app.container.d/x.conf", DROP_IN),
        "rm -r /etc/containers/systemd/users/web-app.container.d",
        "stray-drop-in",
    ),
}


@pytest.mark.parametrize("case", [*CASES, *ROOT_CASES])
def test_a_foreign_file_blocks_its_workload_alone_until_it_is_gone(op: Operator, case: str) -> None:
    """With a reason, a finding whose command works, a file left alone; what runs goes on, and heals by event."""
    make, undo, reason = CASES.get(case) or ROOT_CASES[case]
    user = "web-app" if case in CASES else None
    before = op.invocation("web-app"), op.invocation("db")
    op.machine.run(make, user=user)
    found = op.until(
        lambda s: (workload(s, "web-app")["state"], workload(s, "web-app")["reason"]) == ("failed", reason),
        f"blocked: {reason}",
    )
    assert workload(found, "db")["state"] == "converged"

    def findings() -> list[dict[str, Any]]:
        return list(json.loads(op.ctl("audit", "web-app", "--json")[1])["workloads"][0]["findings"])

    # What the case before left loaded may be named until the manager's own reload has been heard.
    op.until(
        lambda _s: [(f["code"], op.machine.exists(f["path"])) for f in findings()] == [(reason, True)],
        "the audit names the file",
    )
    assert op.ctl("audit", "web-app")[0] == 1
    op.machine.run(findings()[0]["command"])
    # Not even a request starts it.
    assert op.ctl("sync", "--wait")[0] == 1
    op.machine.run(undo, user=user)
    op.state("web-app", "converged")
    op.until(lambda _s: op.ctl("audit")[0] == 0, "the audit finds nothing")
    assert (op.invocation("web-app"), op.invocation("db")) == before


def test_a_drop_in_for_all_services_blocks_all(op: Operator) -> None:
    """The one that is allowed does not, and is in force: reloads of eventd's own load it."""
    path = "/etc/systemd/user/service.d/20-other.conf"
    op.machine.write(path, DROP_IN)
    for name in ("web-app", "db"):
        assert op.state(name, "failed")["reason"] == "stray-drop-in"
    op.machine.run(["rm", path])
    for name in ("web-app", "db"):
        op.state(name, "converged")
        assert op.user_unit(name, f"{name}.service", "DropInPaths")["DropInPaths"] == ALLOWED


def test_nothing_new_is_loaded_while_something_foreign_waits(op: Operator) -> None:
    """A push is written and not reloaded, since the reload would load the foreign drop-in too."""
    stray = "/home/db/.config/systemd/user/db.service.d/x.conf"
    op.machine.run(put(stray, DROP_IN), user="db")
    op.state("db", "failed")
    before = op.invocation("db")
    commit = op.commit({"workloads/db/db.container": container(note="while blocked")})
    op.push()
    op.settled(commit)
    shown = op.user_unit("db", "db.service", "Description", "DropInPaths", "NeedDaemonReload")
    assert shown == {"Description": "test", "DropInPaths": ALLOWED, "NeedDaemonReload": "yes"}
    op.machine.run(["rm", stray])  # by root: the user's manager sees it all the same
    op.state("db", "converged")
    shown = op.user_unit("db", "db.service", "Description", "NeedDaemonReload")
    assert shown == {"Description": "test while blocked", "NeedDaemonReload": "no"}
    assert op.invocation("db") != before


def test_what_a_generator_wrote_is_restored_by_a_reload(op: Operator) -> None:
    """The user owns that folder and may edit it; the manager's own watch tells."""
    before = op.invocation("web-app")
    for spoil in (
        f"echo Nice=4 >> {RUN}/generator/web-app.service",
        f"rm {RUN}/generator/web-app.service",
        f"rm -r {RUN}/generator.early || true",  # a reload may write into it again before rm(1) is through
        put("$XDG_RUNTIME_DIR/spoil/x.conf", DROP_IN)
        + f" && mv -T $XDG_RUNTIME_DIR/spoil {RUN}/generator.early/web-app.service.d",
    ):
        # A reload of before, which makes these folders anew, may still be on.
        again = f"for _ in $(seq 600); do {{ {spoil}; }} && exit 0; sleep 0.1; done; exit 1"
        op.machine.run(again, user="web-app")
        deadline = time.monotonic() + 240
        while True:
            whole = op.machine.run(
                f"test -s {RUN}/generator.early/tick.timer && ! test -e {RUN}/generator.early/web-app.service.d"
                f" && test -s {RUN}/generator/web-app.service && ! grep -q Nice=4 {RUN}/generator/web-app.service",
                user="web-app",
                check=False,
            )
            if whole.returncode == 0:
                break
            assert time.monotonic() < deadline, spoil
            time.sleep(0.05)
        op.state("web-app", "converged")
    assert op.invocation("web-app") == before


def test_a_user_who_floods_the_folders_is_blocked_alone_and_watched_again(op: Operator) -> None:
    """Systemd stops watching at its trigger limit; the daemon takes no part in the flood."""
    events = json.loads(op.ctl("events", "--json")[1].splitlines()[-1])["sequence"]
    # Until it is noticed: how many of them make a trigger each depends on the machine.
    folder = "/home/web-app/.config/systemd/user"
    flood = f"mkdir -p {folder}; for i in $(seq 4000); do touch {folder}/x$i; sleep 0.03; done"
    op.machine.run(["systemd-run", "--user", "--quiet", "--unit=flood", "bash", "-c", flood], user="web-app")
    found = op.state("web-app", "failed")
    op.machine.run(f"systemctl --user stop flood.service; rm -f {folder}/x*", user="web-app")
    assert found["reason"] == "cannot-be-audited"
    op.state("db", "converged")
    op.state("web-app", "converged")
    after = json.loads(op.ctl("events", "--json")[1].splitlines()[-1])["sequence"]
    assert after - events < 400
    # And stopping the watch is answered by starting it.
    op.machine.run("systemctl --user stop 'eventd-audit-*.path'", user="web-app")
    op.machine.run(put(f"{USER}/web-app.service", UNIT), user="web-app")
    op.state("web-app", "failed")
    op.machine.run(f"rm {USER}/web-app.service", user="web-app")
    op.state("web-app", "converged")


def test_a_workload_sees_its_own_audit_and_no_other(op: Operator) -> None:
    """By the table of rights."""
    done = op.machine.run(["eventctl", "audit", "--json"], user="db", check=False)
    assert [row["name"] for row in json.loads(done.stdout)["workloads"]] == ["db"]


def test_the_alarm_is_told_once(op: Operator) -> None:
    """One event, one line of the journal with priority err, one metric."""
    path = "/home/db/.config/systemd/user/db.service.d/y.conf"
    op.machine.run(put(path, DROP_IN), user="db")
    op.state("db", "failed")
    op.ctl("sync", "--wait")

    def alarms() -> int:
        lines = op.machine.run(
            ["journalctl", "-u", "eventd.service", "-p", "err", "-o", "cat", "--no-pager"]
        ).stdout.splitlines()
        return len([line for line in lines if "audit of db" in line and path in line])

    op.until(lambda _s: alarms() > 0, "the alarm in the journal")  # journald may be some time behind
    op.machine.run(["journalctl", "--sync"])
    assert alarms() == 1
    assert 'eventd_provenance_findings{workload="db"} 1.0' in op.ctl("metrics")[1]
    events = [json.loads(line) for line in op.ctl("events", "--json")[1].splitlines()]
    told = [
        e
        for e in events
        if e["kind"] == "provenance" and e["subject"] == "db" and e["attributes"]["findings"]
    ]
    assert path in told[-1]["attributes"]["message"]
    op.machine.run(["rm", path])
    op.state("db", "converged")
