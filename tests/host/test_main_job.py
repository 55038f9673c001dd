"""The main job on a real host: a push becomes running containers, and whatever drifts comes back. No timer anywhere."""

import json
import time
from typing import Any

import pytest

from tests.host.conftest import MakeMachine
from tests.host.machine import Machine
from tests.host.operator import HOOK, REMOTE, SECRET, Operator, container, workload

QUADLETS = "/etc/containers/systemd/users"


@pytest.fixture(scope="module")
def op(machine: Machine) -> Operator:
    """An operator whose eventd runs, with two workloads up."""
    operator = Operator(machine)
    operator.install()
    status = operator.deploy(
        {"workloads/web/web.container": container(), "workloads/db/db.container": container(note="db")}
    )
    assert status["state"] == "converged"
    return operator


def test_a_push_becomes_a_running_container_of_its_own_user(op: Operator) -> None:
    """The unit runs as its workload's user, loaded from the root-owned file that eventd wrote."""
    shown = op.user_unit("web", "web.service", "ActiveState", "SourcePath", "UnitFileState")
    uid = op.machine.run(["id", "-u", "web"]).stdout.strip()
    source = f"{QUADLETS}/{uid}/web.container"
    assert shown == {"ActiveState": "active", "SourcePath": source, "UnitFileState": "generated"}
    stat = op.machine.stat(source)
    assert stat is not None
    assert (stat["uid"], stat["mode"] & 0o777) == (0, 0o644)
    assert op.machine.exists("/var/lib/systemd/linger/web")
    assert op.machine.run(["podman", "ps", "--format", "{{.Names}}"], user="web").stdout == "systemd-web\n"


def test_a_signed_webhook_brings_a_push_and_a_forged_one_does_not(op: Operator) -> None:
    """The listener checks the signature as nobody in particular, and hands on nothing but a hint."""
    m = op.machine
    m.write("/etc/eventd/webhook.toml", f"daemon_timeout = 60\n{HOOK}")
    m.write("/etc/credstore/eventd-webhook.forge", SECRET, mode=0o600)
    m.run(["systemctl", "enable", "--now", "eventd-webhook.socket"])
    body = json.dumps(
        {"ref": "refs/heads/main", "after": "1" * 40, "repository": {"full_name": "op/host"}}
    ).encode()
    assert op.hook(body, "d0", secret="wrong") == "401"
    assert op.hook(body, "d1") == "202"
    assert op.hook(body, "d1") == "409"
    op.until(lambda _s: "webhook" in op.ctl("events", "--json")[1], "the push to arrive")
    user = m.show("eventd-webhook.service", "DynamicUser", "User", "MainPID")
    assert user["DynamicUser"] == "yes"
    status = m.read(f"/proc/{user['MainPID']}/status")
    (uids,) = [line.split()[1:] for line in status.splitlines() if line.startswith("Uid:")]
    assert "0" not in uids


def test_a_change_restarts_only_what_changed(op: Operator) -> None:
    """The other workload keeps its invocation."""
    before = op.invocation("web"), op.invocation("db")
    op.deploy({"workloads/web/web.container": container(note="changed")})
    after = op.invocation("web"), op.invocation("db")
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_nothing_to_do_restarts_nothing(op: Operator) -> None:
    """A sync of what is converged is a run without an action."""
    before = op.invocation("web"), op.invocation("db")
    code, _ = op.ctl("sync", "--wait")
    assert code == 0
    assert (op.invocation("web"), op.invocation("db")) == before


def test_a_unit_stopped_by_hand_comes_back(op: Operator) -> None:
    """Though nothing was pushed: the signal of the stop is the trigger."""
    before = op.invocation("web")
    op.machine.run(["systemctl", "--user", "stop", "web.service"], user="web")
    op.until(lambda _s: op.invocation("web") not in (before, ""), "web up again")
    op.state("web", "converged")


def test_a_deleted_file_is_restored_without_a_restart(op: Operator) -> None:
    """Inotify tells; the container never stops."""
    uid = op.machine.run(["id", "-u", "db"]).stdout.strip()
    before = op.invocation("db")
    op.machine.run(["rm", f"{QUADLETS}/{uid}/db.container"])
    op.until(lambda _s: op.machine.exists(f"{QUADLETS}/{uid}/db.container"), "the file back")
    op.state("db", "converged")
    assert op.invocation("db") == before


def test_a_file_in_the_home_that_shadows_the_unit_is_reported_and_not_touched(op: Operator) -> None:
    """Root does not reach into a home; it says what is wrong and what to do, and sees when it is done."""
    path = "/home/web/.config/systemd/user/web.service"
    op.machine.write("/home/web/new", "[Service]\nExecStart=/bin/sleep 1000\n", owner="web")
    # It comes whole: an empty file would be a mask.
    op.machine.run(f"mkdir -p $(dirname {path}) && mv /home/web/new {path}", user="web")
    op.machine.run(["systemctl", "--user", "daemon-reload"], user="web")
    found = op.state("web", "failed")
    assert found["reason"] == "shadowed"
    assert path in found["message"]
    assert op.machine.exists(path)
    assert op.ctl("status")[0] == 1
    op.machine.run(["rm", path])
    op.machine.run(["systemctl", "--user", "daemon-reload"], user="web")
    op.state("web", "converged")


def test_an_image_that_cannot_be_pulled_fails_its_workload_alone(op: Operator) -> None:
    """The others converge, the run fails, the exit status says so, and the reason has journal lines."""
    commit = op.commit(
        {
            "workloads/bad/bad.container": container("localhost/nowhere:9"),
            "workloads/good/good.container": container(),
        }
    )
    op.push()
    status = op.settled(commit)
    assert workload(status, "good")["state"] == "converged"
    bad = workload(status, "bad")
    assert (bad["state"], bad["commit"]) == ("failed", "")

    def told(status: dict[str, Any]) -> bool:
        bad = workload(status, "bad")
        return bad["retry_at"] is not None and any("nowhere" in line for line in bad["log"])

    # Of a process that ended as it spoke, journald may no longer know whose words these are: it is tried again.
    op.until(told, "podman's words, and when it is tried again")
    code, said = op.ctl("sync", "--wait")
    assert (code, "bad" in said) == (1, True)
    op.deploy({"workloads/bad": None, "workloads/good": None})


def test_who_holds_the_lock_of_runs_is_named_at_once(op: Operator) -> None:
    """A person who waits for a sync hears which process it waits for, before that one lets go."""
    m = op.machine
    with m.start(["flock", "/run/eventd/lock", "sh", "-c", "echo held; read _"]) as holder:
        holder.read_until("held")
        with m.start(["eventctl", "sync", "--wait"]) as sync:
            sync.read_until(r"waiting: process \d+ \((flock|sh)\) holds the lock of this host's runs")
            assert [t["reason"] for t in op.told()["troubles"]] == ["host-locked"]
            holder.wait(stdin=b"let go\n")
            assert sync.wait().returncode == 0
    op.until(lambda s: not s["troubles"], "free")


def test_a_crash_loop_ends_at_systemds_limit_and_is_reported(op: Operator) -> None:
    """`Restart=always` never reads `failed` while it loops; eventd neither believes it nor feeds it."""
    text = container(service="Restart=always\nRestartSec=0.1").replace("while :;", "exit 3; while :;")
    text += "[Unit]\nStartLimitIntervalSec=1h\n"  # ten seconds are not for five starts on any machine
    op.commit({"workloads/loop/loop.container": text})
    op.push()
    gave_up = op.until(
        lambda s: any(w["name"] == "loop" and w["reason"] == "start-limit-hit" for w in s["workloads"]),
        "reported as given up",
    )
    assert workload(gave_up, "loop")["commit"] == ""
    first = op.invocation("loop")
    assert op.user_unit("loop", "loop.service", "ActiveState")["ActiveState"] == "failed"
    op.machine.run(["systemctl", "--user", "daemon-reload"], user="loop")  # events that change nothing of it
    assert op.invocation("loop") == first
    assert "eventctl sync" in workload(gave_up, "loop")["hint"]
    assert op.ctl("sync", "--wait")[0] == 1
    assert op.invocation("loop") != first, "it was tried once more, as the hint says"
    op.until(
        lambda s: workload(s, "loop")["reason"] == "start-limit-hit" and s["run"] is None, "given up again"
    )
    fixed = op.deploy({"workloads/loop/loop.container": container(note="fixed")})
    assert workload(fixed, "loop")["state"] == "converged", fixed
    op.deploy({"workloads/loop": None})


def test_a_workload_that_leaves_keeps_its_account_and_data_and_can_come_back(op: Operator) -> None:
    """Its units and files go; its home does not."""
    op.deploy({"workloads/shop/shop.container": container()})
    uid = op.machine.run(["id", "-u", "shop"]).stdout.strip()
    op.machine.write("/home/shop/orders", "data", owner="shop")
    status = op.deploy({"workloads/shop": None})
    assert workload(status, "shop")["state"] == "removed"
    assert op.machine.run(["id", "-u", "shop"]).stdout.strip() == uid
    assert op.machine.read("/home/shop/orders") == "data"
    assert not op.machine.exists(f"{QUADLETS}/{uid}/shop.container")
    assert not op.machine.exists("/var/lib/systemd/linger/shop")
    assert op.machine.show(f"user@{uid}.service", "ActiveState") == {"ActiveState": "inactive"}
    back = op.deploy({"workloads/shop/shop.container": container()})
    assert workload(back, "shop")["state"] == "converged"
    assert workload(back, "shop")["uid"] == int(uid)
    op.deploy({"workloads/shop": None})


def test_an_account_that_eventd_did_not_make_is_refused(op: Operator) -> None:
    """A person called as the workload keeps everything, whatever group they are in."""
    op.machine.run("useradd -m anna && usermod -aG eventd-managed anna")
    op.machine.write("/home/anna/thesis", "mine", owner="anna")
    status = op.deploy({"workloads/anna/anna.container": container()})
    found = workload(status, "anna")
    assert (found["state"], found["reason"]) == ("failed", "account-exists")
    assert not op.machine.exists("/var/lib/systemd/linger/anna")
    storage = json.loads(op.machine.run(["eventctl", "storage", "--json"], check=False).stdout)
    assert "anna" not in [row["name"] for row in storage["workloads"]], "her home is no data of a workload"
    images = json.loads(op.machine.run(["eventctl", "images", "--json"], check=False).stdout)
    (row,) = [row for row in images["workloads"] if row["name"] == "anna"]
    assert row["error"] == "the account anna is not managed by eventd"
    op.deploy({"workloads/anna": None})
    assert op.machine.read("/home/anna/thesis") == "mine"
    assert op.machine.run(["id", "-u", "anna"]).returncode == 0


def test_check_on_the_host_asks_the_host(op: Operator) -> None:
    """What the first run would refuse is told before the push: accounts of the distribution, of people, and groups."""
    for name in ("anna", "backup", "disk", "fresh"):
        op.machine.write(f"/srv/checkout/workloads/{name}/{name}.container", container())
    op.machine.run("id anna || useradd -m anna")
    done = op.machine.run(["eventctl", "check", "/srv/checkout", "--json"], check=False)
    answer = json.loads(done.stdout)
    found = {each["file"]: each["code"] for each in answer["diagnostics"] if each["severity"] == "error"}
    assert found["workloads/anna"] == "account-exists"
    assert "workloads/backup" in found
    assert "workloads/disk" in found
    assert (done.returncode, answer["workloads"]) == (1, ["fresh"])
    elsewhere = op.machine.run(
        ["eventctl", "check", "/srv/checkout", "--host", "other", "--json"], check=False
    )
    assert "anna" in json.loads(elsewhere.stdout)["workloads"], "another host has other accounts"


def test_companion_units_are_root_owned_and_cannot_be_shadowed(op: Operator) -> None:
    """A timer beside a container is installed for its user by eventd's own generator, and started."""
    status = op.deploy(
        {
            "workloads/job/job.container": container(),
            "workloads/job/tick.timer": "[Timer]\nOnCalendar=hourly\n",
            "workloads/job/tick.service": "[Service]\nType=oneshot\nExecStart=/bin/true\n",
        }
    )
    assert workload(status, "job")["state"] == "converged", status
    assert op.user_unit("job", "tick.timer", "ActiveState") == {"ActiveState": "active"}
    assert op.user_unit("job", "tick.service", "ActiveState", "LoadState") == {
        "ActiveState": "inactive",
        "LoadState": "loaded",
    }
    op.deploy({"workloads/job": None})


def test_two_syncs_at_once_are_one_run(op: Operator) -> None:
    """Both are answered, by the same run: the next one, for another is on while they ask."""
    held = "ExecStartPre=/bin/sh -c 'until [ -e /tmp/go ]; do sleep 0.1; done'"
    op.commit({"workloads/db/db.container": container(note="two syncs", service=held)})
    op.push()
    op.until(
        lambda _s: op.user_unit("db", "db.service", "SubState")["SubState"] == "start-pre", "a run is on"
    )
    script = "for n in 1 2; do (eventctl sync --wait --json > /tmp/sync.$n) & done; wait"
    with op.machine.start(script) as both:
        for n in (1, 2):
            op.until(
                lambda _s, n=n: (
                    op.machine.run(["grep", "-q", "queued", f"/tmp/sync.{n}"], check=False).returncode == 0
                ),
                "the sync to be queued",
            )
        op.machine.write("/tmp/go", "")
        both.wait()
    ids = set()
    for n in (1, 2):
        lines = [json.loads(line) for line in op.machine.read(f"/tmp/sync.{n}").splitlines()]
        ids.add(lines[-1]["run"]["id"])
    assert len(ids) == 1, ids


def test_facts_are_read_again_after_systemd_and_the_users_bus_restart(op: Operator) -> None:
    """A stop that comes after either is seen: the subscriptions are those of the new processes."""
    op.machine.run(["systemctl", "daemon-reexec"])
    before = op.invocation("web")
    op.machine.run(["systemctl", "--user", "stop", "web.service"], user="web")
    op.until(lambda _s: op.invocation("web") not in (before, ""), "healed after the re-exec")
    op.machine.run(["systemctl", "--user", "restart", "dbus.service"], user="web", check=False)
    op.state("web", "converged")
    op.until(lambda _s: op.invocation("web") != "", "to be asked, over the bus or beside it")
    before = op.invocation("web")
    op.machine.run(["systemctl", "--user", "stop", "web.service"], user="web", check=False)
    op.until(lambda _s: op.invocation("web") not in (before, ""), "healed after the bus's restart")
    op.state("web", "converged")


@pytest.mark.parametrize("pause", [0.0, 0.05, 0.1, 0.2, 0.3])
def test_killed_in_the_middle_of_a_run_it_converges_after_its_restart(op: Operator, pause: float) -> None:
    """SIGKILL at some moment of the deployment of a new workload and a changed one; systemd starts eventd again."""
    name = f"k{int(pause * 100)}"
    commit = op.commit(
        {
            f"workloads/{name}/{name}.container": container(note=name),
            "workloads/web/web.container": container(note=name),
        }
    )
    op.push()
    time.sleep(pause)
    op.machine.run(["systemctl", "reset-failed", "eventd.service"])  # its own start limit is not tested here
    op.machine.kill_unit("eventd.service")
    op.until(lambda s: s["commit"] == commit and s["state"] == "converged", f"converged at {commit}")
    assert op.user_unit(name, f"{name}.service", "ActiveState")["ActiveState"] == "active"
    code, said = op.ctl("plan", "--json")
    assert (code, json.loads(said)["workloads"]) == (0, [])
    op.deploy({f"workloads/{name}": None})


def test_bad_files_are_refused_with_their_place_and_the_rest_goes_on(op: Operator) -> None:
    """A spelling mistake costs one workload, and says where it is."""
    commit = op.commit({"workloads/typo/typo.container": "[Container]\nImag=localhost/busybox:1\n"})
    op.push()
    status = op.settled(commit)
    found = workload(status, "typo")
    assert found["state"] == "refused"
    assert "workloads/typo/typo.container:2" in found["message"]
    assert workload(status, "web")["state"] == "converged"
    op.deploy({"workloads/typo": None})


@pytest.mark.timeout(900, method="signal", func_only=True)
def test_a_boot_converges_with_no_push_and_no_timer(fresh_machine: MakeMachine) -> None:
    """After a reboot everything runs again, the repository unreachable, at the commit on the disk."""
    op = Operator(fresh_machine())
    op.install()
    op.deploy(
        {
            "workloads/web/web.container": container(),
            "workloads/late/late.container": container().partition("[Install]")[0],
        }
    )
    commit = (op.status() or {})["commit"]
    op.machine.run(["mv", REMOTE, f"{REMOTE}.away"])
    op.machine.reboot()
    op.until(
        lambda s: s["commit"] == commit and {w["state"] for w in s["workloads"]} == {"converged"}, "converged"
    )
    op.until(lambda s: s["fetch_failure"] is not None, "the fetch has failed")
    for name in ("web", "late"):
        assert op.user_unit(name, f"{name}.service", "ActiveState")["ActiveState"] == "active"
    timers = op.machine.run(["systemctl", "list-timers", "--all", "--no-legend"]).stdout
    assert "eventd" not in timers
