"""docs/how-to/break-glass.md, walked from top to bottom on a host: what is written there is what is run."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.host import outer
from tests.host.machine import Machine
from tests.host.operator import Operator, container

PAGE = Path(outer.CHECKOUT) / "docs/how-to/break-glass.md"
SIGNERS = "/etc/eventd/allowed_signers"


def block(heading: str, kind: str = "sh") -> str:
    """Return the one block of a kind below a heading."""
    section = PAGE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    (text,) = re.findall(rf"^```{kind}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return str(text)


@pytest.fixture(scope="module")
def op(machine: Machine) -> Operator:
    """A host with a workload, one that has left with its data to be deleted, and a key that may approve it."""
    operator = Operator(machine)
    machine.run("ssh-keygen -q -t ed25519 -N '' -f /root/lost")
    machine.write(SIGNERS, f'ann namespaces="approval@eventd" {machine.read("/root/lost.pub")}')
    operator.install()
    old = {
        "workloads/old/old.container": container(),
        "workloads/old/workload.toml": '[remove]\ndata = "delete"\n',
    }
    operator.deploy({"workloads/web/web.container": container(), **old})
    operator.deploy({"workloads/old": None})
    until(lambda: bool(approvals(operator)), "the deletion of old held")
    return operator


def until(right: Callable[[], bool], what: str) -> None:
    """Wait for something that no status tells."""
    deadline = time.monotonic() + 240
    while not right():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def approvals(op: Operator) -> list[str]:
    """Return the ids of what waits for a signature."""
    code, said = op.ctl("approvals", "--json")
    return [row["id"] for row in json.loads(said)["approvals"]] if code in (0, 4) else []


def active(op: Operator) -> bool:
    """Whether the workload's unit is up."""
    return op.user_unit("web", "web.service", "ActiveState")["ActiveState"] == "active"


def test_how_things_are_can_be_read_without_the_daemon(op: Operator) -> None:
    """Containers, logs, accounts, runs and the repository, with eventd stopped."""
    m = op.machine
    m.run(["systemctl", "stop", "eventd.service"])
    said = m.run(f"set -e\n{block('See the state without the daemon')}").stdout
    m.run(["systemctl", "start", "eventd.service"])
    op.told()
    assert re.search(r"^web +web +running", said, re.MULTILINE), said
    assert "web.service" in said
    assert '"ownership": "created"' in said
    assert re.search(r"^\d+ \d{4}-\d\d-\d\d .* ok [0-9a-f]{40}$", said, re.MULTILINE), said
    assert re.search(r"^[0-9a-f]{7,} change$", said, re.MULTILINE), said


def test_a_daemon_that_does_not_start_says_why_and_comes_back(op: Operator) -> None:
    """A mistake in the configuration, found by the page's commands, corrected, and the start limit lifted."""
    m = op.machine
    config = m.read("/etc/eventd/eventd.toml")
    m.write("/etc/eventd/eventd.toml", config.replace("url =", "ulr ="))
    m.run("systemctl restart eventd.service", check=False)
    until(lambda: m.show("eventd.service", "ActiveState")["ActiveState"] == "failed", "the start limit")
    done = m.run(f"set -e\n{block('The daemon does not start')}")
    assert "ulr" in done.stdout + done.stderr
    m.write("/etc/eventd/eventd.toml", config)
    m.run(f"set -e\n{block('The daemon does not start', 'sh again')}")
    op.told()


def test_a_repair_by_hand_is_not_overruled(op: Operator) -> None:
    """Suspended, with the daemon up and with it down: what was stopped stays stopped until it is resumed."""
    m = op.machine
    heading = "Repair a workload by hand, without eventd interfering"
    m.run(f"set -e\n{block(heading, 'sh with')}")
    assert active(op)
    said = m.run(f"set -e\n{block(heading, 'sh down')}").stdout
    assert "is suspended when it starts" in said
    row = op.state("web", "held")
    assert row["suspended"]["why"] == "repair by hand"
    assert not active(op)
    assert m.run("ls /var/lib/eventd/suspend").stdout == ""
    m.run(["eventctl", "resume", "web", "--wait"])
    assert active(op)


def test_a_host_boots_without_eventd_and_back(op: Operator) -> None:
    """Masked, booted, started by hand as the page says, and given back to eventd."""
    m = op.machine
    heading = "Boot without eventd"
    m.run(f"set -e\n{block(heading)}")
    m.reboot()
    m.run(f"set -e\n{block(heading, 'sh start')}")
    assert active(op)
    m.run(f"set -e\n{block(heading, 'sh back')}")
    op.state("web", "converged")


def test_a_key_that_is_lost_is_replaced_and_one_that_is_stolen_counts_no_more(op: Operator) -> None:
    """The old key is refused at once, the new one is taken, and after the theft none is."""
    m = op.machine
    until(lambda: bool(approvals(op)), "the deletion of old held")
    (identity,) = approvals(op)
    m.run(f"set -e\n{block('The signing key is lost')}")
    assert op.ctl("approve", identity, "--key", "/root/lost", "--yes")[0] == 1
    m.run(f"set -e\n{block('The signing key is stolen')}")
    assert op.ctl("approve", identity, "--key", "/root/new-key", "--yes")[0] == 1
    assert m.exists("/home/old")
    reasons = {row["reason"] for row in json.loads(op.ctl("approvals", "--all", "--json")[1])["refused"]}
    assert reasons & {"unknown-key"}


def test_what_cannot_wait_is_done_by_hand_and_the_request_goes(op: Operator) -> None:
    """The account is deleted without the daemon; when it is back there is nothing left to be approved."""
    m = op.machine
    m.run(["systemctl", "stop", "eventd.service"])
    m.run(f"set -e\n{block('An approval without the daemon', 'sh delete')}")
    assert not m.exists("/home/old")
    m.run(["systemctl", "start", "eventd.service"])
    op.told()
    m.run(f"set -e\n{block('An approval without the daemon', 'sh withdraw')}")
    assert approvals(op) == []
    op.state("web", "converged")
