"""Volumes that are put away, taken out of service and moved to other disks, on a real host."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.host.disks import Bay, Disk
from tests.host.machine import Machine
from tests.host.operator import Operator, container

MEDIA = "11111111-2222-3333-4444-555555555555"
BIG = "22222222-2222-3333-4444-555555555555"
MANIFEST = f"""\
[volume.media]
uuid = "{MEDIA}"
path = "/srv/media"

[volume.big]
uuid = "{BIG}"
path = "/srv/big"
"""


@pytest.fixture(scope="module")
def machine_options() -> dict[str, Any]:
    """Loop devices to plug disks into."""
    return {"loops": 2}


@pytest.fixture(scope="module")
def bay(machine: Machine) -> Bay:
    """Where disks are plugged in."""
    return Bay(machine)


@pytest.fixture(scope="module")
def disk(bay: Bay) -> Disk:
    """The volume's disk."""
    return bay.make(MEDIA, megabytes=32)


@pytest.fixture(scope="module")
def op(machine: Machine, bay: Bay, disk: Disk) -> Operator:
    """An operator whose eventd runs, with a container that writes to its volume all the time."""
    operator = Operator(machine)
    operator.install()
    bay.plug(disk, at=0)
    writes = "while :; do date >> /data/log; sync /data/log; sleep 0.05; done"
    operator.deploy(
        {
            "storage.toml": MANIFEST,
            "workloads/app/app.container": container(
                more=f"Volume=/srv/media/app:/data\nExec=sh -c '{writes}'"
            ),
            "workloads/other/other.container": container(),
        }
    )
    operator.state("app", "converged")
    return operator


def volume(op: Operator, name: str = "media") -> dict[str, Any]:
    """Return what eventctl says of a volume."""
    _code, said = op.ctl("storage", name, "--json")
    (found,) = json.loads(said)["volumes"]
    return dict(found)


def is_mounted(op: Operator, path: str = "/srv/media") -> bool:
    """Tell whether something is mounted there."""
    return op.machine.run(["mountpoint", "-q", path], check=False).returncode == 0


def exclusive(op: Operator, device: str) -> bool:
    """Tell whether nothing in the kernel has claimed a block device: a mount in any namespace does."""
    script = f"import os; os.close(os.open({device!r}, os.O_RDONLY | os.O_EXCL))"
    return op.machine.run(["python3", "-c", script], check=False).returncode == 0


def test_eject_stops_what_writes_and_says_when_the_disk_is_safe_to_remove(op: Operator) -> None:
    """Nothing has the device any more, in any namespace; what does not use the volume is not touched."""
    other = op.invocation("other")
    device = volume(op)["device"]
    assert not exclusive(op, device)
    code, said = op.ctl("storage", "eject", "media")
    assert code == 0, said
    assert f"it is safe to remove media ({device})" in said
    assert not is_mounted(op)
    assert exclusive(op, device)
    assert op.user_unit("app", "app.service", "ActiveState") == {"ActiveState": "inactive"}
    assert op.invocation("other") == other
    assert volume(op)["state"] == "ejected"
    assert "safe to remove" in op.ctl("storage")[1]


def test_it_stays_ejected_over_a_restart_of_the_daemon(op: Operator) -> None:
    """The disk is plugged in all the time."""
    op.machine.run(["systemctl", "restart", "eventd.service"])
    op.state("app", "held")
    assert volume(op)["state"] == "ejected"
    assert not is_mounted(op)


def test_attach_brings_back_just_what_was_stopped(op: Operator) -> None:
    """The same units; the container goes on writing where it was."""
    other = op.invocation("other")
    code, said = op.ctl("storage", "attach", "media")
    assert code == 0, said
    assert "media is attached" in said
    op.state("app", "converged")
    assert op.invocation("other") == other
    assert op.machine.read("/srv/media/app/log")


def test_a_busy_mount_names_the_process_and_is_put_away_when_that_ends(op: Operator) -> None:
    """Nothing is torn from anybody: who keeps it is said, and it is not safe to remove until then."""
    op.machine.run("cd /srv/media && systemd-run --unit=holder --working-directory=/srv/media sleep 600")
    code, said = op.ctl("storage", "eject", "media")
    assert code == 1, said
    pid = op.machine.show("holder.service", "MainPID")["MainPID"]
    assert f"sleep (pid {pid}, cwd)" in said
    assert "NOT safe to remove" in said
    assert is_mounted(op)
    assert volume(op)["state"] == "ejecting"
    op.machine.run(["systemctl", "stop", "holder.service"])
    code, said = op.ctl("storage", "eject", "media")
    assert code == 0, said
    assert not is_mounted(op)
    code, said = op.ctl("storage", "attach", "media")
    assert code == 0, said
    op.state("app", "converged")
