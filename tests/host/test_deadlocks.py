"""Deadlocks on a real host: refused when they are loaded, and beside it what became of them before, a hang.

The wait lint's own verdicts are compared with systemd's in test_gates_lint.py.
"""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.host.machine import Machine
from tests.host.operator import Operator, container, workload

HTTPD = """\
[Container]
Image=localhost/busybox:1
Pull=never
Network=host
Exec=/bin/busybox httpd -f -p 8081
StopTimeout=1

[Install]
WantedBy=default.target
"""
"""It declares no port: who listens is known only from the live socket."""


@pytest.fixture(scope="module")
def installed(machine: Machine) -> Operator:
    """An operator whose eventd runs."""
    operator = Operator(machine)
    operator.install()
    return operator


@pytest.fixture
def op(installed: Operator) -> Iterator[Operator]:
    """The same; the workloads of a test leave the repository with it."""
    yield installed
    installed.deploy({"workloads": None})


def refused(op: Operator, commit: str) -> dict[str, list[dict[str, Any]]]:
    """Wait until a commit has been dealt with; return the diagnostics of each workload that it refuses."""
    op.settled(commit)
    code, said = op.ctl("plan", "--json")
    assert code in (0, 1), said
    return {row["name"]: row["diagnostics"] for row in json.loads(said)["refused"]}


def gates(op: Operator) -> tuple[int, dict[str, Any]]:
    """Return the exit status of `eventctl gates`, and its document."""
    code, said = op.ctl("gates", "--json")
    document: dict[str, Any] = json.loads(said)
    return code, document


def deploy(op: Operator, files: Mapping[str, str | None]) -> dict[str, list[dict[str, Any]]]:
    """Push a commit; see `refused`."""
    commit = op.commit(files)
    op.push()
    return refused(op, commit)


def test_two_workloads_that_wait_for_each_other_are_refused_and_the_third_converges(op: Operator) -> None:
    """Each is refused at its own line, with a sentence per edge and the ways out; nothing of them is started."""
    found = deploy(
        op,
        {
            "workloads/a/a.container": container(),
            "workloads/a/workload.toml": 'requires = ["workload:b=healthy"]\n',
            "workloads/b/b.container": container(),
            "workloads/b/workload.toml": 'requires = ["workload:a=active"]\n',
            "workloads/c/c.container": container(),
        },
    )
    assert set(found) == {"a", "b"}
    for name, other in (("a", "b"), ("b", "a")):
        (diagnostic,) = found[name]
        assert diagnostic["code"] == "circular-wait"
        assert (diagnostic["file"], diagnostic["line"]) == (f"workloads/{name}/workload.toml", 1)
        assert f"eventd starts nothing of workload {name} before workload {other} is" in diagnostic["message"]
        assert diagnostic["hint"]
    status = op.told()
    assert workload(status, "c")["state"] == "converged"
    assert {row["name"]: row["state"] for row in status["workloads"]}["a"] == "refused"
    code, said = op.ctl("sync", "--wait")
    assert code == 1, said
    assert op.machine.run(["id", "a"], check=False).returncode != 0, "something of it was begun"
    code, said = op.ctl("gates")
    assert code == 1
    assert "circular" in said
    assert "what breaks it" in said
    code, said = op.ctl("gates", "--svg", "/tmp/gates.svg")
    assert op.machine.read("/tmp/gates.svg").startswith("<svg")
    found = deploy(op, {"workloads/b/workload.toml": None})
    assert found == {}
    op.state("a", "converged")
    code, document = gates(op)
    assert (code, document["cycles"]) == (0, [])
    assert [(row["workload"], row["kind"], row["holds"]) for row in document["gates"]] == [
        ("a", "requires", True)
    ]


def test_a_proxy_that_is_healthy_once_what_waits_for_it_answers_is_refused(op: Operator) -> None:
    """Seed 002 as workloads: who answers is known from PublishPort, without either ever having run."""
    served = container().replace("[Service]", "PublishPort=127.0.0.1:8090:80\n\n[Service]")
    found = deploy(
        op,
        {
            "workloads/proxy/proxy.container": container(),
            "workloads/proxy/workload.toml": '[health]\nexpect = ["http://127.0.0.1:8090/=200"]\n',
            "workloads/dashboard/dashboard.container": served,
            "workloads/dashboard/workload.toml": 'requires = ["workload:proxy=healthy"]\n',
        },
    )
    assert set(found) == {"proxy", "dashboard"}
    (diagnostic,) = found["proxy"]
    assert "PublishPort=127.0.0.1:8090:80" in diagnostic["message"]
    assert not op.user_unit("proxy", "proxy.service", "ActiveState")["ActiveState"]


def test_who_listens_is_known_from_the_socket(op: Operator) -> None:
    """A server on the host's network publishes nothing; its open port shows who it is, and the circle is seen."""
    found = deploy(
        op,
        {
            "workloads/front/front.container": container(),
            "workloads/front/workload.toml": '[health]\nexpect = ["http://127.0.0.1:8081/=404"]\n',
            "workloads/back/back.container": HTTPD,
            "workloads/back/workload.toml": 'requires = ["workload:front=active"]\n',
        },
    )
    assert found == {}
    op.state("front", "converged")
    op.state("back", "converged")
    _, document = gates(op)
    sentences = [edge["sentence"] for edge in document["edges"] if edge["kind"] == "served"]
    assert [text for text in sentences if "back.service" in text and "it listens on port 8081" in text], (
        sentences
    )
    found = deploy(op, {"workloads/back/workload.toml": 'requires = ["workload:front=healthy"]\n'})
    assert set(found) == {"front", "back"}
    assert op.user_unit("back", "back.service", "ActiveState")["ActiveState"] == "active", "it was touched"


def test_the_live_units_are_read_soon_and_are_in_no_circle(op: Operator) -> None:
    """Of a gate on a system's unit, the graph knows what that comes after; a whole host is no false alarm."""
    found = deploy(
        op,
        {
            "workloads/web/web.container": container(),
            "workloads/web/workload.toml": 'requires = ["unit:multi-user.target"]\n',
        },
    )
    assert found == {}
    op.state("web", "converged")
    began = time.monotonic()
    code, document = gates(op)
    took = time.monotonic() - began
    assert (code, document["cycles"]) == (0, [])
    assert took < 60, took


URL = "http://127.0.0.1:{}/"
PROXY = """\
[Unit]
Description=A deploy that ends by waiting until a site answers
{order}
[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=8
{before}
ExecStart=/bin/sh -c 'until curl -fso /dev/null --max-time 2 {url}; do sleep 0.2; done'
"""
SITE = """\
[Unit]
Description=A site
{order}
[Service]
ExecStart=/usr/bin/python3 -m http.server --bind 127.0.0.1 {port}
"""
WAITS = """\
[[wait]]
unit = "deploy-proxy.service"
for = "{url}"
served_by = "{server}"
"""
AFTER_PROXY = "After=deploy-proxy.service"
OWN = "ExecStart=systemd-run --quiet --unit=deploy-own python3 -m http.server --bind 127.0.0.1 8097"
DASHBOARD, DRONE, ITSELF = "deploy-dashboard.service", "deploy-drone.service", "deploy-proxy.service"
PORTS = {DASHBOARD: 8099, DRONE: 8098, ITSELF: 8097}


def case(server: str, *, proxy: str = "", dashboard: str = AFTER_PROXY) -> dict[str, str]:
    """Return a folder of units whose proxy waits for what `server` answers."""
    url = URL.format(PORTS[server])
    return {
        ITSELF: PROXY.format(order=proxy, before=OWN if server == ITSELF else "", url=url),
        DASHBOARD: SITE.format(order=dashboard, port=PORTS[DASHBOARD]),
        DRONE: SITE.format(order=AFTER_PROXY, port=PORTS[DRONE]),
        "waits.toml": WAITS.format(url=url, server=server),
    }


@pytest.mark.parametrize(
    ("files", "circular"),
    [
        pytest.param(case(DASHBOARD), True, id="as it was"),
        pytest.param(case(ITSELF), False, id="fix 1, a probe that the proxy answers"),
        pytest.param(case(DRONE), True, id="fix 1, a probe that another after the proxy answers"),
        pytest.param(case(DASHBOARD, dashboard=""), False, id="fix 2, started side by side"),
        pytest.param(
            case(DASHBOARD, dashboard="", proxy=f"After={DASHBOARD}\nWants={DASHBOARD}"),
            False,
            id="fix 3, reversed",
        ),
    ],
)
def test_the_old_way_hangs_until_its_timeout_where_the_lint_finds_a_circle(
    machine: Machine, files: dict[str, str], circular: bool
) -> None:
    """Systemd runs the units of seed 002 and of its fixes; what hangs is what was found before it was started."""
    folder, units = "/root/deploy", [name for name in files if name.endswith(".service")]
    limit = 8 if circular else 200  # what does not hang is in time on any machine
    for name, text in files.items():
        machine.write(f"{folder}/{name}", text.replace("TimeoutStartSec=8", f"TimeoutStartSec={limit}"))
    lint = machine.run(["eventctl", "gates", "--units", folder], check=False)
    assert lint.returncode == (1 if circular else 0), lint.stdout + lint.stderr
    assert ("deploy-proxy.service does not finish starting before" in lint.stdout) is circular
    machine.run(f"cp {folder}/*.service /run/systemd/system/ && systemctl daemon-reload")
    try:
        began = time.monotonic()
        machine.run(["systemctl", "start", *units], check=False)
        took = time.monotonic() - began
        seen = machine.show(ITSELF, "Result", "ActiveState")
        if circular:
            assert seen == {"Result": "timeout", "ActiveState": "failed"}
            assert took >= 8, took
        else:
            assert seen == {"Result": "success", "ActiveState": "active"}
    finally:
        machine.run(
            f"systemctl stop 'deploy-*.service'; systemctl reset-failed 'deploy-*.service'; rm -r {folder}"
            " /run/systemd/system/deploy-*.service; systemctl daemon-reload"
        )
