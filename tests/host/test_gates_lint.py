"""`eventctl gates --units` on a real Debian 13: no false alarm, no invented ordering, and a deadlock that is one.

The lint says what systemd would do. Here systemd is asked: whether it has every ordering that is claimed, and
whether the deploy of seed 002 hangs as found, and its fixes do not.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.host.machine import Machine

UNITS = Path(__file__).parents[1] / "fixtures" / "units"
INSTALLED = "/usr/lib/systemd/system"
LINT = ["eventctl", "gates", "--json"]
SCRIPT = """#!/bin/sh
# What a deploy starts goes on when it is done; the proxy's ends by polling its health URL, as in the seed.
case "$1" in
dashboard) systemd-run --quiet --unit=deploy-web python3 -m http.server --bind 127.0.0.1 8099 ;;
traefik) curl --silent --output /dev/null --retry 999 --retry-delay 1 --retry-connrefused http://127.0.0.1:8099/ ;;
esac
"""


def lint(machine: Machine, *folders: str) -> tuple[int, dict]:
    """Run the installed command; its exit status and its answer."""
    argv = [*LINT, *(word for folder in folders for word in ("--units", folder))]
    done = machine.run(argv, check=False)
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize(
    "folders",
    [
        (INSTALLED,),
        ("/etc/systemd/system", INSTALLED),
        ("/etc/systemd/user", "/usr/lib/systemd/user"),
    ],
    ids=["installed", "enabled", "user"],
)
def test_what_debian_installs_is_clean(machine, folders):
    """No unit file of the distribution is found circular, with or without what is enabled on this host."""
    status, answer = lint(machine, *folders)
    assert answer["cycles"] == []
    assert status == 0
    assert answer["units"] > 20


def test_every_ordering_that_is_claimed_is_systemds_own(machine):
    """Each ordering of the graph between units that run here is in what systemd itself says, implied or not."""
    _, answer = lint(machine, "/etc/systemd/system", INSTALLED)
    # A unit is loaded as long as a loaded one names it; then it has the orderings that others give it, too.
    units = [node["label"] for node in answer["nodes"] if node["kind"] == "unit"]
    text = "[Unit]\nDefaultDependencies=no\n" + "".join(f"After={name}\n" for name in units)
    machine.write("/run/systemd/system/everything.target", text)
    machine.run(["systemctl", "start", "everything.target"])
    argv = ["systemctl", "show", "--property=Id,Names,After,LoadState", *units]
    loaded: dict[str, set[str]] = {}
    names: dict[str, str] = {}
    for block in machine.run(argv).stdout.split("\n\n"):
        fields = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if fields.get("LoadState") == "loaded":
            loaded[fields["Id"]] = set(fields["After"].split())
            names |= dict.fromkeys(fields["Names"].split(), fields["Id"])
    claimed = [
        (edge["from"].removeprefix("unit:"), edge["to"].removeprefix("unit:"), edge)
        for edge in answer["edges"]
        if edge["kind"] == "order"
    ]
    checked, invented = 0, []
    for later, earlier, edge in claimed:
        if later not in names or earlier not in names:
            continue
        checked += 1
        after = {names.get(name, name) for name in loaded[names[later]]}
        if names[earlier] not in after:
            invented.append(edge["sentence"])
    assert checked > 200
    # Links in .wants folders are what enables a unit: one that only its [Install] names is not ordered by it.
    assert [sentence for sentence in invented if "WantedBy=" not in sentence] == []


@pytest.fixture
def seed(machine, request) -> Iterator[str]:
    """The units of a fixture, installed with scripts that serve and wait as those of seed 002 do."""
    name = request.param
    machine.copy_in(UNITS / name, f"/root/{name}")
    machine.write("/usr/local/bin/warm_reconcile.py", SCRIPT, mode=0o755)
    limit = 8 if name == "seed-002" else 200  # what does not hang is in time on any machine
    machine.run(
        f"cp /root/{name}/deploy-proxy.service /root/{name}/deploy-dashboard.service /run/systemd/system/"
        " && sed -i 's/docker.service//; s/network-online.target//;"
        f" s/^TimeoutStartSec=900/TimeoutStartSec={limit}/'"
        " /run/systemd/system/deploy-*.service && systemctl daemon-reload"
    )
    try:
        yield name
    finally:
        machine.run("systemctl stop 'deploy-*'; rm /run/systemd/system/deploy-*; systemctl daemon-reload")


@pytest.mark.parametrize(
    ("seed", "circular"),
    [("seed-002", True), ("fix-2-concurrent", False), ("fix-3-reversed", False)],
    indirect=["seed"],
)
def test_the_verdict_is_what_systemd_does(machine, seed, circular):
    """Where the lint finds a circle, starting both units ends in the proxy's timeout; where not, both come up."""
    status, answer = lint(machine, f"/root/{seed}")
    assert (status, bool(answer["cycles"])) == ((1, True) if circular else (0, False))
    machine.run(["systemctl", "start", "deploy-proxy.service", "deploy-dashboard.service"], check=False)
    seen = machine.show("deploy-proxy.service", "Result", "ActiveState")
    assert seen == (
        {"Result": "timeout", "ActiveState": "failed"}
        if circular
        else {"Result": "success", "ActiveState": "active"}
    )
    # The dashboard was held back only by the proxy's start job: once that has failed, it comes up.
    assert machine.show("deploy-dashboard.service", "ActiveState")["ActiveState"] == "active"
