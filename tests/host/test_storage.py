"""Volumes on a real host: disks that come, go, come back elsewhere, and are not what they seem."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tests.host import outer
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


class Disks:
    """The disks of this host, and where they are plugged in."""

    def __init__(self, bay: Bay) -> None:
        self.bay = bay
        self.media = bay.make(MEDIA, label="MEDIA", megabytes=48)
        self.node = ""
        self.at = 0

    def plug(self, at: int = 0) -> None:
        """Plug in the volume's disk."""
        self.at = at
        self.node = str(self.bay.plug(self.media, at=at))


@pytest.fixture(scope="module")
def disks(bay: Bay) -> Disks:
    """A disk that is not plugged in yet."""
    return Disks(bay)


def is_mounted(op: Operator, path: str = "/srv/media") -> bool:
    """Tell whether something is mounted there."""
    return op.machine.run(["mountpoint", "-q", path], check=False).returncode == 0


def in_container(op: Operator, command: str) -> str:
    """Run a command in the container of the workload."""
    run = ["podman", "exec", "systemd-app", "sh", "-c", command]
    done = op.machine.run(run, user="app", check=False)
    return done.stdout if done.returncode == 0 else f"failed: {done.stderr}"


def failed(op: Operator, name: str, reason: str) -> dict[str, Any]:
    """Wait until it is failed for this reason; return its part of the status."""
    status = op.until(
        lambda s: any(
            (w["name"], w["state"], w["reason"]) == (name, "failed", reason) for w in s["workloads"]
        ),
        f"{name} failed: {reason}",
    )
    return workload(status, name)


def runs_on(op: Operator, disks: Disks, text: str) -> None:
    """Wait until the disk is mounted from where it is plugged in now, and what uses it runs on it and reads this."""

    def right(status: dict[str, Any]) -> bool:
        states = {each["name"]: each["state"] for each in status["workloads"]}
        source = op.machine.run(["findmnt", "-no", "SOURCE", "/srv/media"], check=False).stdout.strip()
        return source == disks.node and states.get("app") == states.get("volume:media") == "converged"

    # Also what follows is asked until it is so: what was pulled and plugged before may still have to be told.
    op.until(
        lambda s: right(s) and in_container(op, "cat /data/file") == text and right(op.status() or s),
        f"run on {disks.node}",
    )


def storage(op: Operator, name: str = "media") -> dict[str, Any]:
    """Return what eventctl says of a volume."""
    said = op.ctl("storage", name, "--json")[1]
    (volume,) = json.loads(said)["volumes"]
    return dict(volume)


def test_a_late_disk_is_mounted_and_what_waits_for_it_starts(op: Operator, disks: Disks) -> None:
    """Mounted safely, its folder made for the workload, and the container writes to the disk."""
    held = op.state("app", "held")
    assert "media" in held["message"]
    disks.plug()
    op.state("app", "converged")
    options = op.machine.run(["findmnt", "-no", "OPTIONS", "/srv/media"]).stdout
    assert {"nosuid", "nodev", "noatime", "rw"} <= set(options.strip().split(","))
    stat = op.machine.stat("/srv/media/app")
    uid = int(op.machine.run(["id", "-u", "app"]).stdout)
    assert stat is not None
    assert (stat["uid"], stat["mode"] & 0o777) == (uid, 0o700)
    assert in_container(op, "echo hello > /data/file") == ""
    assert op.machine.read("/srv/media/app/file") == "hello\n"


def test_a_disk_that_is_gone_stops_just_what_uses_it(op: Operator, disks: Disks) -> None:
    """The unit is stopped, the dead mount is gone, and nothing can be written where it was, by anybody."""
    other = op.invocation("other")
    disks.bay.pull(disks.media)
    held = op.state("app", "held")
    assert "volume media is not attached" in held["message"]
    op.until(lambda _s: not is_mounted(op), "unmounted")
    assert op.user_unit("app", "app.service", "ActiveState") == {"ActiveState": "inactive"}
    assert op.invocation("other") == other
    for user in ("app", None):
        done = op.machine.run("touch /srv/media/x || mkdir /srv/media/app", user=user, check=False)
        assert done.returncode != 0
    run = ["podman", "run", "--rm", "--pull=never", "-v", "/srv/media:/data", "localhost/busybox:1"]
    done = op.machine.run([*run, "touch", "/data/x"], user="app", check=False)
    assert done.returncode != 0
    done = op.machine.run(["systemctl", "--user", "start", "app.service"], user="app", check=False)
    assert op.machine.run(["find", "/srv/media", "-mindepth", "1"]).stdout == ""


def test_it_comes_back_under_another_name_and_what_ran_runs_again(op: Operator, disks: Disks) -> None:
    """The UUID counts; just what was stopped is started, and its data is there."""
    first = disks.node
    disks.plug(at=1)
    assert disks.node != first
    op.state("app", "converged")
    op.state("volume:media", "converged")
    assert in_container(op, "cat /data/file") == "hello\n"


def test_a_copy_of_a_mounted_disk_is_reported_and_changes_nothing(op: Operator, disks: Disks) -> None:
    """What was verified when it was alone stays; the copy is an error until it is gone."""
    before = op.invocation("app")
    copy = disks.bay.copy(disks.media)
    disks.bay.plug(copy, at=2)
    failed(op, "volume:media", "duplicate-id")
    assert op.invocation("app") == before
    disks.bay.unplug(copy)
    op.state("volume:media", "converged")
    assert op.invocation("app") == before


def test_two_disks_with_one_id_are_both_left_alone(op: Operator, disks: Disks) -> None:
    """Neither is mounted: which one is meant nobody can say. With one of them gone the other is."""
    disks.bay.pull(disks.media)
    op.state("app", "held")
    op.until(lambda _s: not is_mounted(op), "unmounted")
    copy = disks.bay.copy(disks.media)
    first = disks.bay.plug(copy, at=2)
    op.state("app", "converged")
    assert op.machine.run(["findmnt", "-no", "SOURCE", "/srv/media"]).stdout.strip() == str(first)
    disks.bay.pull(copy)
    op.until(lambda _s: not is_mounted(op), "unmounted")
    op.machine.run(["systemctl", "stop", "eventd.service"])
    disks.bay.plug(copy, at=3)
    disks.plug(at=0)
    op.machine.run("udevadm settle; systemctl start eventd.service")
    failed(op, "volume:media", "duplicate-id")
    assert not is_mounted(op)
    op.state("app", "held")
    disks.bay.unplug(copy)
    op.state("app", "converged")
    op.state("volume:media", "converged")
    assert op.machine.run(["findmnt", "-no", "SOURCE", "/srv/media"]).stdout.strip() == disks.node


def test_a_disk_of_the_right_label_and_another_id_is_refused_with_the_reason(
    op: Operator, disks: Disks
) -> None:
    """A label is for people; it proves nothing."""
    disks.bay.pull(disks.media)
    op.until(lambda _s: not is_mounted(op), "unmounted")
    fake = disks.bay.make("99999999-2222-3333-4444-555555555555", label="MEDIA")
    disks.bay.plug(fake, at=2)
    found = failed(op, "volume:media", "wrong-disk")
    assert "99999999-2222-3333-4444-555555555555" in found["message"]
    assert not is_mounted(op)
    disks.bay.unplug(fake)
    disks.plug(at=0)
    op.state("app", "converged")


def test_a_disk_that_turns_read_only_is_a_fault_that_stops_what_writes_to_it(op: Operator) -> None:
    """As the kernel does when it finds errors. An operator who has seen to it says so with a sync."""
    op.machine.run(["mount", "-o", "remount,ro", "/srv/media"])
    failed(op, "volume:media", "read-only")
    op.state("app", "held")
    code, said = op.ctl("sync", "--wait")
    assert code == 0, said
    op.state("app", "converged")
    assert in_container(op, "echo again > /data/file && cat /data/file") == "again\n"


def test_a_full_disk_is_the_workloads_business_and_nobody_elses(op: Operator) -> None:
    """It gets ENOSPC from the disk, stays as it is, and the host's own file system takes nothing of it."""
    before = op.invocation("app"), op.invocation("other")
    said = in_container(op, "dd if=/dev/zero of=/data/fill bs=64k 2>&1; rm /data/fill")
    assert "No space left" in said
    assert (op.invocation("app"), op.invocation("other")) == before
    assert op.state("volume:media", "converged")


def test_eventctl_storage_shows_volumes_unknown_disks_and_what_a_backup_contains(
    op: Operator, disks: Disks
) -> None:
    """With sizes, once they have been measured in the background, with the rights of each workload's user."""
    stray = disks.bay.make("77777777-2222-3333-4444-555555555555", label="stray")
    disks.bay.plug(stray, at=3)
    op.until(lambda _s: "77777777" in op.ctl("storage")[1], "the stray disk in eventctl storage")

    document: dict[str, Any] = {}

    def measured(_status: dict[str, Any]) -> bool:
        document.update(json.loads(op.ctl("storage", "--json")[1]))
        (app_,) = [each for each in document["workloads"] if each["name"] == "app"]
        return app_["bytes"] is not None

    op.until(measured, "measured")
    (media,) = document["volumes"]
    assert (media["state"], media["users"], media["path"]) == ("attached", ["app"], "/srv/media")
    assert media["device"] == disks.node
    assert 0 < media["free"] <= media["size"]
    assert [each["label"] for each in document["unknown"] if not each["mounted_at"]] == ["stray"]
    (app_,) = [each for each in document["workloads"] if each["name"] == "app"]
    assert [(place["path"], place["included"]) for place in app_["backup"]] == [
        ("/home/app", True),
        ("/srv/media/app", True),
    ]
    assert all(isinstance(place["bytes"], int) for place in app_["backup"])
    assert not is_mounted(op, "/run/media/stray")
    code, text = op.ctl("storage", "media")
    assert (code, MEDIA in text, "/srv/media/app" in text) == (0, True, True)
    said = op.machine.run(["eventctl", "storage", "--json"], user="other").stdout
    assert json.loads(said)["volumes"] == []
    disks.bay.unplug(stray)


FRAIL = "55555555-2222-3333-4444-555555555555"
TWO = (
    MANIFEST
    + f"""
[volume.frail]
uuid = "{FRAIL}"
path = "/srv/frail"
options = ["errors=remount-ro"]
"""
)


def test_a_mount_point_with_files_in_it_is_not_mounted_over(op: Operator, disks: Disks) -> None:
    """A mount would hide them; it says so, and goes on when they have been moved."""
    op.machine.write("/srv/frail/old", "mine")
    disk = disks.bay.make(FRAIL)
    disks.bay.plug(disk, at=3)
    commit = op.commit({"storage.toml": TWO})
    op.push()
    op.settled(commit)
    failed(op, "volume:frail", "mount-point-not-empty")
    assert op.machine.read("/srv/frail/old") == "mine"
    op.machine.run(["rm", "/srv/frail/old"])
    op.ctl("sync", "--wait")
    op.state("volume:frail", "converged")
    assert is_mounted(op, "/srv/frail")
    disks.bay.pull(disk)
    op.until(lambda _s: not is_mounted(op, "/srv/frail"), "unmounted")


def test_a_file_system_that_the_kernel_gave_up_is_found_out(op: Operator, disks: Disks) -> None:
    """A disk whose writes fail aborts its journal; nothing signals that but what fails because of it."""
    small = op.machine.scratch / "small"
    small.mkdir()
    outer.checked(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", small], timeout=10)
    try:
        disk = disks.bay.make(FRAIL, megabytes=48, folder=small)
        disks.bay.plug(disk, at=3)
        op.deploy({"workloads/frail/frail.container": app(path="/srv/frail/frail")})
        op.state("frail", "converged")
        other = op.invocation("other")
        fill = "dd if=/dev/zero of=/data/f bs=1M count=20; sync; for i in $(seq 500); do mkdir /data/$i || break; done"
        op.machine.run(["podman", "exec", "systemd-frail", "sh", "-c", fill], user="frail", check=False)
        options = "grep ' /srv/frail ' /proc/1/mountinfo | sed 's/.* - [^ ]* [^ ]* //' | tr , '\\n'"
        given_up = f"sync; {options} | grep -Eqx 'emergency_ro|ro'"
        op.until(lambda _s: op.machine.run(given_up, check=False).returncode == 0, "given up by the kernel")
        # Unless it has been found out and stopped by now, because of something else that happened.
        op.machine.run(["podman", "kill", "--signal=KILL", "systemd-frail"], user="frail", check=False)
        failed(op, "volume:frail", "read-only")
        op.state("frail", "held")
        assert storage(op, "frail")["state"] == "degraded"
        assert op.invocation("other") == other
        disks.bay.pull(disk)
        op.until(lambda _s: not is_mounted(op, "/srv/frail"), "unmounted")
        op.deploy({"storage.toml": MANIFEST, "workloads/frail": None})
    finally:
        outer.checked(["umount", "-l", small], timeout=10)


def test_a_broken_manifest_takes_no_disk_away(op: Operator) -> None:
    """Not even over a restart of the daemon: the last good manifest is remembered."""
    before = op.invocation("app")
    commit = op.commit({"storage.toml": MANIFEST.replace("path =", "paht =")})
    op.push()
    status = op.settled(commit)
    assert "did you mean path" in json.dumps(status)
    assert workload(status, "app")["state"] == "refused"
    op.machine.run(["systemctl", "restart", "eventd.service"])
    op.settled(commit)
    assert is_mounted(op)
    assert op.invocation("app") == before
    op.deploy({"storage.toml": MANIFEST})
    op.state("app", "converged")
    assert op.invocation("app") == before


CYCLES = int(os.environ.get("EVENTD_STORAGE_CYCLES", "40"))
"""Attachments in a row; `make storage-cycles` has 200."""


def footprint(op: Operator) -> dict[str, int]:
    """Return what the daemon and the host hold: each number has to be what it was after any number of cycles."""
    pid = op.machine.show("eventd.service", "MainPID")["MainPID"]
    script = f"""
        ls /proc/{pid}/fd | wc -l
        systemctl list-units --all --no-legend --plain | grep -c 'eventd-volume\\|eventd-detach\\|srv-media' || true
        wc -l < /proc/1/mountinfo
        wc -l < /proc/{pid}/mountinfo
        ls /run/eventd/volume | wc -l
        ls /run/systemd/transient | wc -l
        awk '/^VmRSS/ {{ print $2 }}' /proc/{pid}/status
    """
    numbers = [int(line) for line in op.machine.run(["bash", "-c", script]).stdout.split()]
    names = ("descriptors", "units", "mounts", "own mounts", "orders", "transient", "memory")
    return dict(zip(names, numbers, strict=True))


@pytest.mark.timeout(1800, method="signal", func_only=True)
def test_attaching_and_detaching_over_and_over_ends_converged_and_leaks_nothing(
    op: Operator, disks: Disks
) -> None:
    """The cable is pulled and plugged without waiting for anybody, under changing names; what is left is one mount."""
    before = footprint(op)
    invocation = op.invocation("other")
    for turn in range(CYCLES):
        disks.bay.pull(disks.media)
        disks.plug(at=(disks.at + 1) % 4)
        if turn % 8 == 7:
            runs_on(op, disks, "again\n")  # not only storms: also attachments that get all the way
    runs_on(op, disks, "again\n")
    was = before.pop("memory")
    # Some of it goes a moment later (units are collected, a child's pipes closed); what has leaked does not.
    op.until(
        lambda _s: all(now <= before.get(name, now) for name, now in footprint(op).items()),
        f"at most {before} again",
    )
    memory = footprint(op)["memory"]
    assert memory < was + 8 * 1024, f"{was} KiB before, {memory} KiB after {CYCLES} cycles"
    assert op.invocation("other") == invocation


@pytest.mark.timeout(900, method="signal", func_only=True)
def test_no_repository_seals_a_folder_of_the_system_and_what_left_is_opened(op: Operator) -> None:
    """A volume "at" /var/lib/private, of no disk, would take every DynamicUser= service of the host with it for good.

    And a folder that was sealed for a volume goes once the volume has left the manifest.
    """
    m = op.machine
    nowhere = '[volume.bad]\nuuid = "99999999-2222-3333-4444-555555555555"\npath = "{}"\n'
    op.deploy({"storage.toml": MANIFEST + nowhere.format("/var/lib/private")})
    said = op.ctl("check", "/root/work")[1]
    assert "/var/lib/private is outside of the folders where this host allows volumes" in said
    assert "i" not in m.run("lsattr -d /var/lib/private | cut -d' ' -f1", check=False).stdout
    m.run(["systemd-run", "--wait", "-q", "-p", "DynamicUser=yes", "-p", "StateDirectory=tried", "/bin/true"])
    op.deploy({"storage.toml": MANIFEST + nowhere.format("/srv/bad")})
    op.until(lambda _s: m.exists("/srv/bad"), "sealed")
    op.until(lambda _s: m.run("echo x > /srv/bad/x", check=False).returncode != 0, "closed also for root")
    op.deploy({"storage.toml": MANIFEST})
    op.until(lambda _s: not m.exists("/srv/bad"), "opened, and taken away")


def test_a_disk_that_is_there_at_boot_is_mounted_before_its_workload_starts(
    op: Operator, disks: Disks
) -> None:
    """A reboot with the disk attached converges by itself."""
    op.machine.reboot()
    runs_on(op, disks, "again\n")
    op.until(
        lambda s: {w["state"] for w in s["workloads"]} <= {"converged", "removed"},
        "converged after the boot",
    )
