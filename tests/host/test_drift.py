"""Drift of what eventd owns heals at once, whatever was done to whichever file, and nothing else is touched."""

from __future__ import annotations

import json
import time

import pytest

from tests.host.machine import Machine
from tests.host.operator import Operator, container

COMPOSE = json.dumps(
    {
        "services": {
            "main": {
                "image": "localhost/busybox:1",
                "pull_policy": "never",
                "command": ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $$!; done"],
                "stop_grace_period": "1s",
            }
        }
    }
)
OWNED = {
    "quadlet": "/etc/containers/systemd/users/{web}/web.container",
    "own drop-in": "/etc/containers/systemd/users/{web}/web.container.d/50-eventd.conf",
    "data": "/etc/containers/systemd/users/{web}/config/app.conf",
    "companion": "/etc/eventd/units/{web}/tick.timer",
    "stack": "/etc/eventd/stacks/{shop}/compose.yaml",
}
# What takes another's place does so in one step, as rename(2) does: eventd would put its own file in between.
DRIFTS = {
    "edited": "echo '# edited' >> {0}",
    "deleted": "rm {0}",
    "a link": "ln -s /root/away.$$ /root/away.$$ && mv -T --exchange /root/away.$$ {0}",
    "a folder": "mkdir /root/folder.$$ && mv -T --exchange /root/folder.$$ {0}",
    "a full folder": "mkdir /root/full.$$ && touch /root/full.$$/inside && mv -T --exchange /root/full.$$ {0}",
    "its mode": "chmod 0666 {0}",
    "its owner": "chown {1} {0}",
    # eventd may write into it again before rm(1) has come to the folder itself.
    "its folder deleted": "rm -r $(dirname {0}) || true",
    "its folder moved": "mv $(dirname {0}) /root/moved.$$",
    "its folder a link": "ln -s /root/linked.$$ /root/linked.$$"
    " && mv -T --exchange /root/linked.$$ $(dirname {0})",
}


@pytest.fixture(scope="module")
def op(machine: Machine) -> Operator:
    """A workload with every kind of Quadlet neighbour, and a stack."""
    operator = Operator(machine)
    operator.install()
    status = operator.deploy(
        {
            "workloads/web/web.container": container(more="Volume=./config:/config:ro\n"),
            "workloads/web/config/app.conf": "a = 1\n",
            "workloads/web/tick.timer": "[Timer]\nOnCalendar=yearly\n",
            "workloads/web/tick.service": "[Service]\nType=oneshot\nExecStart=/bin/true\n",
            "workloads/shop/compose.yaml": COMPOSE,
        }
    )
    assert status["state"] == "converged", json.dumps(status)
    return operator


def tree(op: Operator) -> str:
    """Everything in eventd's folders: kind, mode, owner, content; and what went away while it was read."""
    roots = "/etc/containers/systemd/users /etc/eventd/units /etc/eventd/stacks"
    done = op.machine.run(
        f"find {roots} -printf '%p %y %m %U %G\\n' | sort; find {roots} -type f -exec sha256sum {{}} + | sort",
        check=False,  # eventd may be at work there: a file of before its rename(2) is found, and gone when read
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def whole(op: Operator) -> str:
    """The tree as it is once all is done, which nobody writes into then: each test leaves it like that."""
    return tree(op)


def healed(op: Operator, before: str) -> None:
    deadline = time.monotonic() + 240
    while (now := tree(op)) != before:
        assert time.monotonic() < deadline, now
        time.sleep(0.05)
    for name in ("web", "shop"):
        op.state(name, "converged")


def path_of(op: Operator, kind: str) -> str:
    ids = {name: op.machine.run(["id", "-u", name]).stdout.strip() for name in ("web", "shop")}
    return OWNED[kind].format(**ids)


@pytest.mark.parametrize(
    ("kind", "drift"),
    # The folder is emptied by the same code whatever kind of file is wanted in it.
    [(k, d) for k in OWNED for d in DRIFTS if d != "a full folder" or k == "quadlet"],
)
def test_drift_heals_at_once_and_nothing_stops(op: Operator, whole: str, kind: str, drift: str) -> None:
    """By the event alone: no push, no sync, no restart."""
    running = op.invocation("web"), op.invocation("shop")
    op.machine.run(DRIFTS[drift].format(path_of(op, kind), "nobody"))
    if drift == "a full folder":
        # What is in it is not eventd's, so it is not deleted: said, and over when it is gone.
        found = op.state("web", "failed")
        assert path_of(op, kind) in found["message"]
        assert op.machine.exists(f"{path_of(op, kind)}/inside")
        op.machine.run(["rm", f"{path_of(op, kind)}/inside"])
    healed(op, whole)
    assert (op.invocation("web"), op.invocation("shop")) == running


def test_lingering_that_was_switched_off_is_switched_on_again(op: Operator) -> None:
    """By hand and by logind; the user's manager goes on or comes back."""
    for command in ("loginctl disable-linger web", "rm /var/lib/systemd/linger/web"):
        op.machine.run(command)
        op.until(lambda _s: op.machine.exists("/var/lib/systemd/linger/web"), "lingering again")
        op.state("web", "converged")


def test_a_file_that_cannot_be_healed_is_named(op: Operator, whole: str) -> None:
    """Immutable (chattr(1)): the workload fails with that, and heals when the attribute is gone."""
    path = path_of(op, "quadlet")
    op.machine.run(f"echo '# edited' >> {path}")
    op.machine.run(f"cp {path} /root/edited", check=False)
    healed(op, whole)
    op.machine.kill_unit("eventd.service", "STOP")  # else it may put its own file there before chattr(1)
    set_it = op.machine.run(f"echo '# edited' >> {path} && chattr +i {path}", check=False)
    op.machine.kill_unit("eventd.service", "CONT")
    if set_it.returncode != 0:
        healed(op, whole)
        pytest.fail(f"no immutable files here: {set_it.stderr.strip()}")
    try:
        found = op.state("web", "failed")
        assert path in found["message"]
    finally:
        op.machine.run(["chattr", "-i", path])
    op.machine.run(["touch", path])
    healed(op, whole)


def test_what_others_put_beside_it_stays(op: Operator) -> None:
    """A file of somebody else's in eventd's folders, or in the home, is not overwritten and not removed."""
    uid = op.machine.run(["id", "-u", "web"]).stdout.strip()
    others = [
        f"/etc/containers/systemd/users/{uid}/note.txt",
        "/home/web/.config/mine.conf",
        f"/etc/eventd/stacks/{uid}/x",
    ]
    for path in others:
        op.machine.write(path, "somebody else's\n")
    op.machine.run(f"rm {path_of(op, 'quadlet')}")
    op.until(lambda _s: op.machine.exists(path_of(op, "quadlet")), "healed")
    op.state("web", "converged")
    assert op.ctl("sync", "--wait")[0] == 0
    for path in others:
        assert op.machine.read(path) == "somebody else's\n"
