"""Gates on a real host: a slow boot that converges without a failure, a health gate, and a gate that opens too late."""

import json

import pytest

from tests.host.conftest import MakeMachine
from tests.host.machine import Machine
from tests.host.operator import Operator, container, workload

SLOW = "[Service]\nExecStartPre=/bin/sleep 5\n"
# Longer than eventd waits for a bus, and until the workload beside it is up.
SLOW_MANAGER = """\
[Service]
TimeoutStartSec=15min
ExecStartPre=/bin/sh -c 'sleep 40; until test -e /run/beside-is-up; do sleep 0.1; done'
"""
LATE_NETWORK = """\
[Unit]
Description=A network that takes its time
DefaultDependencies=no
Before=network-online.target
Wants=network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sleep 8

[Install]
WantedBy=multi-user.target
"""
HEALTHY = """\
HealthCmd=test -e /run/ready
HealthInterval=1s
HealthRetries=1
HealthStartPeriod=1800s
Notify=healthy
"""


@pytest.fixture(scope="module")
def op(machine: Machine) -> Operator:
    """An operator whose eventd runs."""
    operator = Operator(machine)
    operator.install()
    return operator


def runs(op: Operator) -> list[dict[str, object]]:
    """Return the runs of this life of the daemon, oldest first."""
    code, said = op.ctl("runs", "--json")
    assert code == 0
    started = op.told()["daemon"]["started"]
    found: list[dict[str, object]] = json.loads(said)["runs"]
    return [run for run in reversed(found) if float(str(run["started"])) >= started]


@pytest.mark.timeout(900, method="signal", func_only=True)
def test_a_slow_boot_converges_without_a_failed_run(fresh_machine: MakeMachine) -> None:
    """The network comes after 8 s, logind after 5, a user manager after 40: nothing fails, and nothing is polled."""
    op = Operator(fresh_machine())
    m = op.machine
    op.install()
    op.deploy(
        {
            "workloads/web/web.container": container(),
            "workloads/web/workload.toml": 'requires = ["unit:network-online.target"]\n[health]\ndeadline = "20min"\n',
            "workloads/db/db.container": container(),
        }
    )
    m.write("/etc/systemd/system/late-network.service", LATE_NETWORK)
    m.write("/etc/systemd/system/systemd-logind.service.d/slow.conf", SLOW)
    uid = m.run(["id", "-u", "db"]).stdout.strip()
    m.write(f"/etc/systemd/system/user@{uid}.service.d/slow.conf", SLOW_MANAGER)
    m.run(["systemctl", "enable", "late-network.service"])
    m.reboot(wait=False)
    # By its gate, and not by what comes next: there is nothing else to come.
    op.state("web", "converged")
    m.write("/run/beside-is-up", "")
    op.until(lambda s: {w["state"] for w in s["workloads"]} == {"converged"}, "converged", timeout=400)
    results = [run["result"] for run in runs(op)]
    assert "failed" not in results, runs(op)
    assert len(results) < 12, "it looked again and again"
    entered = "ActiveEnterTimestampMonotonic"
    started = int(op.user_unit("web", "web.service", entered)[entered])
    assert started > int(m.show("network-online.target", entered)[entered]), "it started before its gate held"


LATE = 'requires = ["file:/srv/ready"]\n[health]\ndeadline = "{}"\n'


def test_a_gate_that_times_out_is_a_failure_and_opens_all_the_same(op: Operator) -> None:
    """The status names what is missing; its arrival starts the workload without a push."""
    op.commit(
        {
            "workloads/late/late.container": container(),
            "workloads/late/workload.toml": LATE.format("1h"),
        }
    )
    op.push()
    held = op.state("late", "held")
    assert held["waits_for"] == ["file:/srv/ready"]
    assert op.ctl("status", "late")[0] == 4
    commit = op.commit(
        {
            "workloads/tardy/tardy.container": container(),
            "workloads/tardy/workload.toml": LATE.format("2s"),
        }
    )
    op.push()
    failed = op.state("tardy", "failed")
    assert failed["reason"] == "gate-timeout"
    assert op.ctl("status", "tardy")[0] == 1
    assert "file /srv/ready is not there" in op.ctl("why", "tardy")[1]
    assert op.user_unit("tardy", "tardy.service", "ActiveState")["ActiveState"] == "inactive"
    assert op.user_unit("late", "late.service", "ActiveState")["ActiveState"] == "inactive"
    op.machine.write("/srv/ready", "")
    op.state("tardy", "converged")
    op.state("late", "converged")
    assert op.settled(commit)["state"] == "converged"
    op.deploy({"workloads/late": None, "workloads/tardy": None})


def test_a_new_revision_is_not_blocked_by_the_gate_that_it_fixes(op: Operator) -> None:
    """The old revision waits for what never comes; the new one does not ask for it."""
    op.commit(
        {
            "workloads/fix/fix.container": container(),
            "workloads/fix/workload.toml": 'requires = ["file:/srv/never"]\n[health]\ndeadline = "1h"\n',
        }
    )
    op.push()
    op.state("fix", "held")
    status = op.deploy({"workloads/fix/workload.toml": None})
    assert workload(status, "fix")["state"] == "converged"
    op.deploy({"workloads/fix": None})


def test_one_workload_waits_until_another_is_healthy(op: Operator) -> None:
    """`Notify=healthy` keeps the first one's start job open until its health check passes; the second starts then."""
    op.commit(
        {
            "workloads/db/db.container": container(more=HEALTHY, service="TimeoutStartSec=1800"),
            "workloads/db/workload.toml": '[health]\ndeadline = "20min"\n',
            "workloads/app/app.container": container(),
            "workloads/app/workload.toml": 'requires = ["workload:db=healthy"]\n',
        }
    )
    op.push()
    op.state("app", "held")
    op.until(lambda _s: op.user_unit("db", "db.service", "SubState")["SubState"] == "start", "db is starting")
    op.until(
        lambda _s: (
            op.machine.run(
                ["podman", "exec", "systemd-db", "touch", "/run/ready"], user="db", check=False
            ).returncode
            == 0
        ),
        "the container to run",
    )
    op.state("app", "converged")
    op.state("db", "converged")
    op.deploy({"workloads/db": None, "workloads/app": None})


def test_a_push_cuts_short_a_run_that_only_waits_for_an_older_revisions_health(op: Operator) -> None:
    """The fix is deployed at once, not after the broken revision's deadline of an hour."""
    broken = HEALTHY.replace("/run/ready", "/never")
    op.commit(
        {
            "workloads/cut/cut.container": container(more=broken, service="TimeoutStartSec=3600"),
            "workloads/cut/workload.toml": '[health]\ndeadline = "1h"\n',
        }
    )
    op.push()
    op.until(lambda _s: op.user_unit("cut", "cut.service", "SubState")["SubState"] == "start", "it waits")
    status = op.deploy({"workloads/cut/cut.container": container(note="fixed")})
    assert workload(status, "cut")["state"] == "converged"
    op.deploy({"workloads/cut": None})


HTTPD = """\
[Container]
Image=localhost/busybox:1
Pull=never
Network=host
Exec=httpd -f -p 127.0.0.1:{port} -h /bin
StopTimeout=1
{more}
[Install]
WantedBy=default.target
"""


def test_a_revision_counts_when_its_url_answers_and_fails_when_it_does_not(op: Operator) -> None:
    """The answer is fetched by a process without rights, while it is waited for and while the workload is up."""
    expect = '[health]\nexpect = ["http://127.0.0.1:{}/{}=200"]\ndeadline = "{}"\n'
    op.commit(
        {
            "workloads/page/page.container": HTTPD.format(port=8091, more=""),
            "workloads/page/workload.toml": expect.format(8091, "busybox", "20min"),
            "workloads/gone/gone.container": HTTPD.format(port=8092, more=""),
            "workloads/gone/workload.toml": expect.format(8092, "nothing-here", "45s"),
        }
    )
    op.push()
    op.state("page", "converged")
    gone = op.state("gone", "failed")  # seldom for long: it is tried again
    assert (gone["reason"], gone["commit"]) == ("not-healthy-in-time", "")
    assert op.user_unit("gone", "gone.service", "ActiveState")["ActiveState"] == "active"
    op.deploy({"workloads/gone": None})
    op.machine.kill_unit("page.service", "STOP", user="page")
    silent = op.state("page", "failed")
    assert silent["reason"] == "unhealthy"
    assert op.user_unit("page", "page.service", "ActiveState")["ActiveState"] == "active"
    op.machine.kill_unit("page.service", "CONT", user="page")
    op.state("page", "converged")
    op.deploy({"workloads/page": None})
    op.until(
        lambda _s: op.machine.run(["pgrep", "-f", "eventd.gates.probe"], check=False).returncode == 1,
        "the prober gone",
    )


def test_a_containers_health_is_heard_from_podmans_events(op: Operator) -> None:
    """With `Notify=false` the start job ends at once, and the health comes by an event of its own."""
    more = "HealthCmd=test -e /run/ready\nHealthInterval=1s\nHealthRetries=1\nNotify=false\n"
    op.commit(
        {
            "workloads/heal/heal.container": container(more=more),
            "workloads/heal/workload.toml": '[health]\nexpect = ["container:heal=healthy"]\ndeadline = "20min"\n',
            "workloads/user/user.container": container(),
            "workloads/user/workload.toml": 'requires = ["workload:heal=healthy"]\n',
        }
    )
    op.push()
    op.state("heal", "verifying")
    op.state("user", "held")
    op.until(
        lambda _s: (
            op.machine.run(
                ["podman", "exec", "systemd-heal", "touch", "/run/ready"], user="heal", check=False
            ).returncode
            == 0
        ),
        "the container to run",
    )
    op.state("heal", "converged")
    op.state("user", "converged")
    op.deploy({"workloads/heal": None, "workloads/user": None})


def test_a_workload_waits_for_a_mount_and_why_says_so(op: Operator) -> None:
    """The mount's arrival starts it; the sentence names what is missing and nothing else."""
    op.commit(
        {
            "workloads/vault/vault.container": container(),
            "workloads/vault/workload.toml": 'requires = ["mount:/srv/disk"]\n',
        }
    )
    op.push()
    op.state("vault", "held")
    code, said = op.ctl("why", "vault")
    assert code == 4
    assert "mount /srv/disk is not mounted; everything else it needs is ready" in said
    op.machine.run("mkdir -p /srv/disk && mount -t tmpfs disk /srv/disk")
    op.state("vault", "converged")
    op.deploy({"workloads/vault": None})
    op.machine.run(["umount", "/srv/disk"])
