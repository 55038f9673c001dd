"""The matrix of seed 001, T01 to T12 by their names, on a real host, for Quadlet workloads and compose stacks alike.

"Rebuild" of the seed is a push or `eventctl sync` here, "activation" a run. Each test goes through `evidence.case`,
which writes down what was done and seen; `make matrix` makes the report.
"""

# ruff: noqa: N802  the names of the seed's matrix

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.host.evidence import Evidence, case
from tests.host.machine import Machine
from tests.host.operator import Operator, container, workload
from tests.host.registry import Registry

QUADLET, STACK = "app", "stack"
KINDS = pytest.mark.parametrize("name", [QUADLET, STACK], ids=["quadlet", "compose"])
KIND = {QUADLET: "quadlet", STACK: "compose"}
HEALTH = (
    "HealthCmd=test -e /run/ok\nHealthInterval=1s\nHealthRetries=2\nHealthOnFailure=none\nNotify=healthy\n"
    "HealthStartPeriod=0s\n"
)
LIVES = 'trap "exit 0" TERM; touch /run/ok; while :; do sleep 1 & wait $!; done'
SICK = 'trap "exit 0" TERM; while :; do sleep 1 & wait $!; done'


def app(shell: str = LIVES, *, note: str = "", image: str = "localhost/busybox:1", more: str = "") -> str:
    """Return a Quadlet file with a health check that the start waits for; not for long if that is in vain."""
    limit = 15 if shell == SICK else 300
    text = container(image, note=note, service=f"TimeoutStartSec={limit}", more=HEALTH + more)
    old = text.partition("Exec=")[2].partition("\n")[0]
    return text.replace(old, f"/bin/sh -c '{shell}'")


def stack(shell: str = LIVES, *, note: str = "", image: str = "localhost/busybox:1", **more: object) -> str:
    """Return a compose file of one service with a health check (JSON is YAML)."""
    one = {
        "image": image,
        "pull_policy": "missing",
        "command": ["/bin/sh", "-c", shell.replace("$", "$$")],
        "stop_grace_period": "2s",
        "labels": {"note": note},
        "healthcheck": {"test": ["CMD-SHELL", "test -e /run/ok"], "interval": "1s", "retries": 2},
        **more,
    }
    return json.dumps({"services": {"main": one}})


def files(name: str, text: str) -> dict[str, str | None]:
    """Return the workload's files."""
    file = f"{name}.container" if name == QUADLET else "compose.yaml"
    return {f"workloads/{name}/{file}": text}


def good(name: str, note: str = "") -> dict[str, str | None]:
    """Return the workload as it is in good order."""
    return files(name, (app if name == QUADLET else stack)(note=note))


def unit(name: str) -> str:
    return f"{name}.service"


def box(name: str) -> str:
    """Return the name of the container."""
    return "systemd-app" if name == QUADLET else "stack-main-1"


def container_id(op: Operator, name: str) -> str:
    """Return the id of the running container, empty if there is none."""
    argv = ["podman", "ps", "--quiet", "--no-trunc", "--filter", f"name={box(name)}"]
    return op.machine.run(argv, user=name, cwd="/", check=False).stdout.strip()


def uid(op: Operator, name: str) -> str:
    return op.machine.run(["id", "-u", name]).stdout.strip()


def owned(op: Operator, name: str) -> str:
    """Return the unit file of eventd's that the unit is made from."""
    if name == QUADLET:
        return f"/etc/containers/systemd/users/{uid(op, name)}/app.container"
    return f"/etc/eventd/units/{uid(op, name)}/stack.service"


def fragment(op: Operator, name: str) -> str:
    folder = "generator" if name == QUADLET else "generator.early"
    return f"/run/user/{uid(op, name)}/systemd/{folder}/{unit(name)}"


def eventually(right: Callable[[], bool], what: str, timeout: float = 240) -> None:
    """Ask from outside until it is so."""
    deadline = time.monotonic() + timeout
    while not right():
        assert time.monotonic() < deadline, f"not {what} within {timeout} s"
        time.sleep(0.05)


def in_order(e: Evidence, name: str) -> None:
    """Hold everything that the seed wants to see against what it has to be."""
    wanted = {"ActiveState": "active", "NeedDaemonReload": "no"}
    eventually(lambda: e.op.user_unit(name, unit(name), *wanted) == wanted, "reloaded and up")
    shown = e.collect(name, unit(name))
    assert shown["FragmentPath"] == fragment(e.op, name)
    assert (shown["DropInPaths"], shown["NeedDaemonReload"]) == ("", "no")
    assert (shown["ActiveState"], shown["Result"]) == ("active", "success")
    mine = next(c for c in e.document["seen"][-1]["podman"] if c["name"] == box(name))
    assert (mine["state"], mine["health"], mine["unit"]) == ("running", "healthy", unit(name))


@pytest.fixture(scope="module")
def op(machine: Machine) -> Operator:
    """Both workloads, up and healthy."""
    operator = Operator(machine)
    operator.install()
    status = operator.deploy({**good(QUADLET), **good(STACK)})
    assert status["state"] == "converged", status
    return operator


@pytest.fixture(autouse=True)
def _in_good_order(op: Operator) -> None:
    """Each test begins with both workloads as they have to be."""
    op.deploy({**good(QUADLET), **good(STACK)})
    op.until(lambda s: s["state"] == "converged", "in good order")


@KINDS
def test_T01_a_rebuild_without_a_change_restarts_nothing(op: Operator, name: str) -> None:
    """A push that changes nothing of it, and a sync."""
    with case("T01", KIND[name], "no-op rebuild idempotency", op) as e:
        before = op.invocation(name), container_id(op, name)
        e.deploy({"README.md": f"another text {name}\n"}, "nothing of any workload")
        e.run("eventctl sync --wait")
        e.run("systemctl restart eventd.service")
        for each in (QUADLET, STACK):
            e.state(each, "converged")
        assert e.run("eventctl plan --json").count('"verb"') == 0
        assert (op.invocation(name), container_id(op, name)) == before
        in_order(e, name)


@KINDS
def test_T02_a_restart_that_succeeds_is_verified(op: Operator, name: str) -> None:
    """`systemctl --user restart` returns 0 when the new container is healthy, and not before."""
    with case("T02", KIND[name], "verified restart success path", op) as e:
        before = container_id(op, name)
        e.run(f"systemctl --user restart {unit(name)}", user=name)
        health = e.run(
            f"cd / && podman inspect --format '{{{{.State.Health.Status}}}}' {box(name)}", user=name
        )
        assert health == "healthy"
        assert container_id(op, name) not in ("", before)
        in_order(e, name)
        e.state(name, "converged")

        def told() -> bool:
            rows = workload(op.told(), name)["containers"]
            mine = [(row["id"], row["state"], row["health"]) for row in rows if row["name"] == box(name)]
            return (
                bool(mine)
                and mine[0][0].startswith(container_id(op, name))
                and mine[0][1:] == ("running", "healthy")
            )

        eventually(told, "the new container in the status")


@KINDS
def test_T03_a_restart_that_fails_returns_non_zero(op: Operator, name: str) -> None:
    """The container is never healthy: systemctl itself says so, so does the run, and the other workload goes on."""
    other = STACK if name == QUADLET else QUADLET
    with case("T03", KIND[name], "verified restart failure path returns non-zero", op) as e:
        before = container_id(op, other)
        e.push(files(name, (app if name == QUADLET else stack)(SICK)), "a container that is never healthy")
        found = e.state(name, "failed", "start-failed")
        assert found["log"]
        e.run(f"systemctl --user restart {unit(name)}", user=name, status=-1)
        shown = e.collect(name, unit(name), containers=False)
        assert shown["ActiveState"] != "active"
        e.run("eventctl sync --wait", status=1)
        assert container_id(op, other) == before
        e.state(other, "converged")


def test_T03_a_quadlet_that_does_not_wait_for_its_health_fails_as_well(op: Operator) -> None:
    """A health check and no `Notify=`: eventd has the start wait, so a restart by hand is as truthful as a stack's."""
    with case("T03", "quadlet-without-notify", "verified restart failure path returns non-zero", op) as e:
        text = app().replace("Notify=healthy\n", "")
        e.deploy(files(QUADLET, text), "a container with a health check that nothing waits for")
        in_order(e, QUADLET)
        before = container_id(op, STACK)
        e.push(files(QUADLET, app(SICK).replace("Notify=healthy\n", "")), "one that is never healthy")
        e.state(QUADLET, "failed", "start-failed")
        e.run(f"systemctl --user restart {unit(QUADLET)}", user=QUADLET, status=-1)
        shown = e.collect(QUADLET, unit(QUADLET), containers=False)
        assert shown["ActiveState"] != "active"
        e.run("eventctl sync --wait", status=1)
        e.state(STACK, "converged")
        assert container_id(op, STACK) == before


@KINDS
def test_T04_a_missing_env_file_is_named(op: Operator, name: str) -> None:
    """Nothing starts without it, and the reason has its name."""
    missing = f"/etc/secrets/{name}.env"
    with case("T04", KIND[name], "missing env or secret path", op) as e:
        e.run(f"ls {missing}", status=2)
        text = app(more=f"EnvironmentFile={missing}\n") if name == QUADLET else stack(env_file=[missing])
        e.push(files(name, text), f"an env file that is not there, {missing}")
        found = e.state(name, "failed")
        e.run(f"systemctl --user restart {unit(name)}", user=name, status=-1)
        assert container_id(op, name) == ""

        journal = f"journalctl -q -o cat _UID={uid(op, name)} _SYSTEMD_USER_UNIT={unit(name)}"

        def named(status: dict[str, Any]) -> bool:
            now = workload(status, name)
            said = op.machine.run(journal, check=False).stdout
            return missing in " ".join((now["message"], *now["log"], said))

        # Of a process that ended as it spoke, journald may no longer know whose words these are: it is tried again.
        op.until(named, f"failed for {missing}")
        e.collect(name, unit(name), containers=False)
        assert name == QUADLET or f"cannot read {missing}: No such file or directory" in found["message"], (
            found
        )
        op.machine.write(missing, "A=1\n")
        e.note(f"{missing} is written")
        e.run("eventctl sync --wait")
        in_order(e, name)


@KINDS
@pytest.mark.parametrize(
    "drift",
    ["printf '[Service]\\nExecStart=/bin/false\\n' > {}", "rm {}", "ln -sf /dev/null {}", "chmod 600 {}"],
    ids=["replaced", "deleted", "link", "mode"],
)
def test_T05_drift_of_an_owned_file_is_healed_without_a_rebuild(op: Operator, name: str, drift: str) -> None:
    """At once, by the event; the container never stops."""
    with case(
        "T05", f"{KIND[name]}-{drift.split(maxsplit=1)[0]}", "drift of a managed unit file is auto-healed", op
    ) as e:
        path = owned(op, name)
        before = op.machine.read(path), op.machine.stat(path)["mode"], container_id(op, name)  # type: ignore[index]
        e.run(drift.format(path))

        def healed() -> bool:
            stat = op.machine.stat(path)
            return stat is not None and stat["mode"] == before[1] and op.machine.read(path) == before[0]

        eventually(healed, "healed")
        e.state(name, "converged")
        e.run(f"cat {path}")
        in_order(e, name)
        assert container_id(op, name) == before[2]


@KINDS
@pytest.mark.parametrize("where", ["etc", "home"])
def test_T06_a_stray_drop_in_is_detected(op: Operator, name: str, where: str) -> None:
    """It blocks the workload and alarms, is not loaded by eventd and not deleted, and its end is seen."""
    folder = "/etc/systemd/user" if where == "etc" else f"/home/{name}/.config/systemd/user"
    path, user = f"{folder}/{unit(name)}.d/50-stale.conf", "" if where == "etc" else name
    with case("T06", f"{KIND[name]}-{where}", "stale drop-in detection", op) as e:
        before = container_id(op, name)
        e.run(f"mkdir -p {folder}/{unit(name)}.d && printf '[Service]\\nNice=5\\n' > {path}", user=user)
        e.state(name, "failed", "stray-drop-in", said=path)
        assert path in e.run(f"eventctl audit {name}", status=1)
        e.run("eventctl sync --wait", status=1)
        assert op.machine.exists(path)
        shown = e.collect(name, unit(name))
        assert (shown["DropInPaths"], shown["NeedDaemonReload"]) == ("", "yes")
        e.run(f"rm -r {folder}/{unit(name)}.d", user=user)
        e.state(name, "converged")
        eventually(lambda: op.ctl("audit")[0] == 0, "without a finding")
        e.run("eventctl audit")
        in_order(e, name)
        assert container_id(op, name) == before


@KINDS
@pytest.mark.parametrize("how", ["touched", "generated"])
def test_T07_a_needed_reload_is_done_when_it_is_safe(op: Operator, name: str, how: str) -> None:
    """Nothing is foreign, only newer than what is loaded: reloaded at once, with nothing restarted."""
    path = owned(op, name) if how == "touched" else fragment(op, name)
    with case("T07", f"{KIND[name]}-{how}", "NeedDaemonReload handling", op) as e:
        before = container_id(op, name)
        last = op.machine.run("eventctl runs --json | head -c 300", check=False).stdout
        e.run(
            f"touch {path}" if how == "touched" else f"echo '# edited' >> {path}",
            user="" if how == "touched" else name,
        )
        show = ["systemctl", "--user", "show", "--value", "-p", "NeedDaemonReload", unit(name)]

        def reloaded() -> bool:
            fresh = op.machine.run("eventctl runs --json | head -c 300", check=False).stdout != last
            return fresh and op.machine.run(show, user=name).stdout.strip() == "no"

        eventually(reloaded, "reloaded")
        e.state(name, "converged")
        in_order(e, name)
        assert container_id(op, name) == before


TROUBLES = {
    "masked": (
        "systemctl mask user@{0}.service && systemctl stop user@{0}.service",
        "systemctl unmask user@{0}.service",
    ),
    "no bus": (
        "rm /run/user/{0}/bus && pkill -KILL -U {0} -x dbus-daemon",
        "systemctl restart user@{0}.service",
    ),
    "process stopped": (
        "systemctl kill -s STOP --kill-whom=main user@{0}.service",
        "systemctl kill -s CONT --kill-whom=main user@{0}.service",
    ),
    "frozen": ("systemctl freeze user-{0}.slice", "systemctl thaw user-{0}.slice"),
}


@KINDS
@pytest.mark.parametrize("cause", TROUBLES)
def test_T08_a_user_manager_that_cannot_be_used_is_explicit(op: Operator, name: str, cause: str) -> None:
    """With its name, reason and remedy, while the other workload goes on; and it is over by an event."""
    other = STACK if name == QUADLET else QUADLET
    break_it, mend = TROUBLES[cause]
    number = uid(op, name)
    with case("T08", f"{KIND[name]}-{cause.replace(' ', '-')}", "user manager unavailable", op) as e:
        before = container_id(op, other)
        e.run(break_it.format(number))
        e.push(good(name, note=f"while {cause}"), "a change")
        # A call that was under way when it broke may have failed for its own reason first.
        found = e.state(name, "failed", "user-manager-unavailable", said=f"({cause})")
        assert found["hint"]
        e.run(f"eventctl why {name}", status=1)
        e.state(other, "converged")
        e.run(mend.format(number))
        e.state(name, "converged")
        in_order(e, name)
        assert container_id(op, other) == before


@KINDS
def test_T08_a_user_manager_that_was_killed_comes_back(op: Operator, name: str) -> None:
    """With everything in it; podman's records, which say that the dead containers run, do not keep it from that."""
    with case("T08", f"{KIND[name]}-killed", "user manager killed, with all its containers", op) as e:
        before = container_id(op, name)
        e.run(f"systemctl kill -s KILL user@{uid(op, name)}.service")
        eventually(lambda: container_id(op, name) not in ("", before), "another container")
        e.state(name, "converged")
        in_order(e, name)


@KINDS
@pytest.mark.parametrize("state", ["unhealthy", "killed", "left"])
def test_T09_a_stale_container_is_cleaned_up(op: Operator, name: str, state: str) -> None:
    """One that is unhealthy, exited, or left by another unit is found before the start, and replaced."""
    with case("T09", f"{KIND[name]}-{state}", "stale or unhealthy container cleanup", op) as e:
        before = container_id(op, name)
        if state == "left":
            e.run(f"systemctl --user stop {unit(name)}", user=name)
            eventually(lambda: container_id(op, name) not in ("", before), "started again")
            op.state(name, "converged")
            before = container_id(op, name)
            e.run(f"cd / && podman exec {box(name)} rm /run/ok", user=name)
        elif state == "unhealthy":
            e.run(f"cd / && podman exec {box(name)} rm /run/ok", user=name)
            health = f"cd / && podman inspect --format '{{{{.State.Health.Status}}}}' {box(name)}"
            eventually(
                lambda: (
                    op.machine.run(health, user=name, check=False).stdout.strip() != "healthy"
                    or container_id(op, name) != before
                ),
                "unhealthy",
            )
        else:
            e.run(f"cd / && podman kill {box(name)}", user=name)
        e.run(f"systemctl --user restart {unit(name)}", user=name)
        e.state(name, "converged")
        in_order(e, name)
        assert container_id(op, name) not in ("", before)
        names = e.run("cd / && podman ps --all --format '{{.Names}}'", user=name).split()
        assert names == [box(name)]


UPDATED = {"upq": "quadlet", "ups": "compose"}
MARKED = 'trap "exit 0" TERM; echo version $V; touch /run/ok; while :; do sleep 1 & wait $!; done'
WELL = "test $V != bad"


def updated(name: str) -> dict[str, str | None]:
    """Return a workload whose image is the registry's, and is healthy unless it is the bad one."""
    image = f"127.0.0.1:5000/{name}:1"
    if name == "upq":
        text = app(MARKED, image=image).replace("test -e /run/ok", WELL).replace("Pull=never\n", "")
        return {"workloads/upq/upq.container": text}
    check = {"test": ["CMD-SHELL", WELL.replace("$", "$$")], "interval": "1s", "retries": 2}
    return {"workloads/ups/compose.yaml": stack(MARKED, image=image, healthcheck=check)}


def version(e: Evidence, name: str) -> str:
    """Return the marker of the image that runs, as its log has it."""
    ask = f"cd / && podman logs {'systemd-upq' if name == 'upq' else 'ups-main-1'}"
    eventually(lambda: "version" in e.op.machine.run(ask, user=name).stdout, "its marker in the log")
    return e.run(ask, user=name).splitlines()[-1]


@pytest.fixture(scope="module")
def registry(op: Operator) -> Registry:
    """A registry on this host, and two workloads of its images."""
    found = Registry(op.machine)
    for name in UPDATED:
        found.push(name, "v1")
    status = op.deploy({**updated("upq"), **updated("ups")})
    assert status["state"] == "converged", status
    return found


@pytest.mark.parametrize("name", UPDATED, ids=UPDATED.values())
def test_T10_an_update_brings_the_new_image(op: Operator, registry: Registry, name: str) -> None:
    """v1 to v2: another image runs, verified, and its log has the new marker."""
    with case("T10", UPDATED[name], "controlled update, v1 to v2", op) as e:
        assert version(e, name) == "version v1"
        registry.push(name, "v2")
        e.note(f"v2 is pushed to the registry as {name}:1")
        e.run(f"eventctl update {name} --check", status=4)
        e.run(f"eventctl update {name} --wait")
        assert version(e, name) == "version v2"
        e.run(f"eventctl update {name} --check")
        e.run(f"eventctl images {name}")
        assert e.collect(name, unit(name))["ActiveState"] == "active"
        e.state(name, "converged")


def test_T11_failed_updates_are_summed_up_and_fail(op: Operator, registry: Registry) -> None:
    """One image is sick, one cannot be pulled: each is named, old containers run, and the whole fails."""
    with case("T11", "both", "controlled update, negative cases", op) as e:
        before = {name: version(e, name) for name in UPDATED}
        registry.push("ups", "bad")
        e.note("an image that is never healthy is pushed to the registry as ups:1")
        e.run("rm -rf /var/lib/test-registry/docker/registry/v2/repositories/upq")
        said = e.run("eventctl update --wait", status=1)
        assert "pull-failed" in said
        assert "update-rolled-back" in said
        assert {name: version(e, name) for name in UPDATED} == before
        for name in UPDATED:
            e.run(f"eventctl update {name} --wait", status=1)
            assert e.collect(name, unit(name))["ActiveState"] == "active"
            e.state(name, "converged")


def test_T12_after_all_kinds_of_faults_everything_is_reconciled(op: Operator) -> None:
    """A bad push, drift, kills, a foreign file, a broken manager, the daemon killed: reverted, both are in order."""
    with case("T12", "both", "rollback and reconciliation after induced faults", op) as e:
        e.push({**files(QUADLET, app(SICK)), **files(STACK, stack(SICK))}, "both never healthy")
        for name in (QUADLET, STACK):
            e.state(name, "failed", timeout=300)
        e.run(f"rm {owned(op, QUADLET)}")
        e.run("systemctl kill -s KILL eventd.service")
        e.run(f"systemctl kill -s KILL user@{uid(op, STACK)}.service")
        e.run(
            "mkdir -p ~/.config/systemd/user && ln -s /dev/null ~/.config/systemd/user/app.service",
            user=QUADLET,
        )
        e.state(QUADLET, "failed", "unit-masked")
        e.deploy({**good(QUADLET), **good(STACK)}, "both are reverted")
        e.state(STACK, "converged", timeout=300)
        e.state(QUADLET, "failed", "unit-masked")
        e.run("rm ~/.config/systemd/user/app.service", user=QUADLET)
        e.state(QUADLET, "converged", timeout=300)
        e.run("eventctl sync --wait")
        assert json.loads(e.run("eventctl plan --json"))["workloads"] == []
        eventually(lambda: op.ctl("audit")[0] == 0, "without a finding")
        e.run("eventctl audit")
        for name in (QUADLET, STACK):
            in_order(e, name)
            e.state(name, "converged")
