"""Volumes on a real host: disks that come, go, come back elsewhere, and are not what they seem."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.host.disks import Bay
from tests.host.machine import Machine
from tests.host.operator import Operator, container, workload

MEDIA = "11111111-2222-3333-4444-555555555555"
MANIFEST = f"""\
[volume.media]
uuid = "{MEDIA}"
label = "MEDIA"
path = "/srv/media"
options = ["noatime"]
"""


@pytest.fixture(scope="module")
def machine_options() -> dict[str, Any]:
    """Loop devices to plug disks into."""
    return {"loops": 4}


def app(*, path: str = "/srv/media/app", note: str = "") -> str:
    """Return a container that uses the volume."""
    return container(note=note, more=f"Volume={path}:/data")


@pytest.fixture(scope="module")
def bay(machine: Machine) -> Bay:
    """Where disks are plugged in."""
    return Bay(machine)


@pytest.fixture(scope="module")
def op(machine: Machine) -> Operator:
    """An operator whose eventd runs, with a workload that waits for its disk, and one that needs none."""
    operator = Operator(machine)
    operator.install()
    operator.deploy(
        {
            "storage.toml": MANIFEST,
            "workloads/app/app.container": app(),
            "workloads/other/other.container": container(),
        }
    )
    return operator


def test_a_late_disk_is_mounted_and_what_waits_for_it_starts(op: Operator, bay: Bay) -> None:
    """Mounted safely, its folder made for the workload, and the container writes to the disk."""
    held = op.state("app", "held")
    assert "media" in held["message"]
    disk = bay.make(MEDIA, label="MEDIA")
    bay.plug(disk)
    op.state("app", "converged")
    options = op.machine.run(["findmnt", "-no", "OPTIONS", "/srv/media"]).stdout
    assert {"nosuid", "nodev", "noatime", "rw"} <= set(options.strip().split(","))
    stat = op.machine.stat("/srv/media/app")
    uid = int(op.machine.run(["id", "-u", "app"]).stdout)
    assert stat is not None
    assert (stat["uid"], stat["mode"] & 0o777) == (uid, 0o700)
    op.machine.run(["podman", "exec", "systemd-app", "sh", "-c", "echo hello > /data/file"], user="app")
    assert op.machine.read("/srv/media/app/file") == "hello\n"
