"""Scope: what the simulated systemd says is what the real one says, scenario for scenario.

The trace of the real one is a file here (`traces/debian13.json`), recorded by the test at the end, which
also holds the file against the real host wherever that can be booted.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventd_simulators.wire import WireHost
from tests.host import layers, outer
from tests.host.machine import Machine
from tests.simulated import fidelity
from tests.simulated.recorder import record

RECORDED = Path(__file__).parent / "traces" / "debian13.json"
HOST_REQUIRED = bool(os.environ.get("CI")) or os.environ.get("EVENTD_REQUIRE_HOST", "0") not in {"", "0"}


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="simhost-") as name:
        yield Path(name)


@pytest.mark.timeout(300)
async def test_the_simulated_systemd_says_what_the_real_one_says(folder: Path) -> None:
    """Starts, stops, failures, crash loops, health, dependencies, reloads: the same trace, unit for unit."""
    async with WireHost(folder) as host:
        account = host.accounts.add("web")
        quadlets = folder / f"etc/containers/systemd/users/{account.uid}"
        quadlets.mkdir(parents=True)
        for name, text in fidelity.place(str(quadlets)).items():
            (quadlets / name).write_text(text)
        for unit, behaviour in fidelity.BEHAVIOURS.items():
            host.behaviours.units["web", unit] = behaviour
        host.model.logind.set_linger(account, enable=True)
        await host.reached(account)
        await record(host.user_address.format(uid=account.uid), quadlets, [["settle", 1]])
        trace = await record(host.user_address.format(uid=account.uid), quadlets, fidelity.STEPS)
    real = fidelity.normalise(json.loads(RECORDED.read_text()))
    for (step, simulated), (_, expected) in zip(fidelity.normalise(trace), real, strict=True):
        assert simulated == expected, step


@pytest.mark.host
@pytest.mark.skipif(bool(outer.why_not()) and not HOST_REQUIRED, reason=str(outer.why_not()))
@pytest.mark.timeout(600, func_only=True)
def test_the_recorded_trace_is_what_the_real_host_says() -> None:
    """Systemd 257 and podman 5.4 of Debian 13; EVENTD_RECORD=1 writes the file anew."""
    with Machine(layers.installed()) as host:
        host.run(["systemctl", "start", "network-online.target"])
        host.run(["useradd", "--create-home", "web"])
        uid = host.run(["id", "-u", "web"]).stdout.strip()
        host.run(["loginctl", "enable-linger", "web"])
        host.run(["systemctl", "start", f"user@{uid}.service"])
        # The first podman of a user makes the pause process; were it a unit's, its READY=1 might be lost.
        host.run(["podman", "unshare", "true"], user="web")
        quadlets = f"/etc/containers/systemd/users/{uid}"
        for name, text in fidelity.place(quadlets).items():
            host.write(f"{quadlets}/{name}", text)
        host.run(["mkdir", f"{quadlets}/go"])
        host.run(["chown", "-R", "web", quadlets])  # the recorder changes files, as the user
        host.run(["systemctl", "--user", "daemon-reload"], user="web")
        host.run(["systemctl", "--user", "start", "web.service"], user="web")
        recorder = Path(__file__).parent / "recorder.py"
        host.write("/tmp/recorder.py", recorder.read_text(), mode=0o644)
        done = host.run(
            ["/opt/eventd/bin/python", "/tmp/recorder.py", f"unix:path=/run/user/{uid}/bus", quadlets],
            user="web",
            input=json.dumps(fidelity.STEPS),
            timeout=240,
        )
    trace = json.loads(done.stdout)
    if os.environ.get("EVENTD_RECORD"):
        rows = ",\n".join(json.dumps({"step": row["step"], "lines": row["lines"]}) for row in trace)
        RECORDED.write_text(f"[\n{rows}\n]\n")
    assert fidelity.normalise(trace) == fidelity.normalise(json.loads(RECORDED.read_text()))
