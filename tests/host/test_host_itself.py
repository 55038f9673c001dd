"""That the harness is what it claims: a host like a real one, and nothing left of it afterwards."""

import json
import os
import re
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.host import outer
from tests.host.conftest import MakeMachine
from tests.host.disks import Bay
from tests.host.machine import STATES, CommandError, HostError, Machine

QUADLET = """\
[Container]
Image=localhost/busybox:1
Exec=sh -c 'echo from the container; exec sleep infinity'
ContainerName=app
Pull=never
StopTimeout=1

[Install]
WantedBy=default.target
"""


def _until(right: Callable[[], bool], what: str, timeout: float = 120) -> None:
    """Ask until it is so."""
    deadline = time.monotonic() + timeout
    while not right():
        assert time.monotonic() < deadline, f"not {what} within {timeout} s"
        time.sleep(0.05)


def test_boots_to_running_with_the_real_thing(machine: Machine) -> None:
    """The host runs systemd 257 with logind, udev, dbus and podman, and nothing of it has failed."""
    assert machine.run(["systemctl", "is-system-running"]).stdout == "running\n"
    assert machine.run(["systemctl", "--version"]).stdout.startswith("systemd 257 ")
    assert machine.run(["podman", "--version"]).stdout.startswith("podman version 5.")
    for unit in ("systemd-logind", "systemd-udevd", "dbus", "systemd-journald"):
        assert machine.show(f"{unit}.service", "ActiveState") == {"ActiveState": "active"}
    assert machine.run(["hostname"]).stdout.strip() == "testhost"


def test_has_eventd_installed_as_an_operator_would(machine: Machine) -> None:
    """The package imports from its own environment, and its programs are where the units expect them."""
    where = machine.run(["/opt/eventd/bin/python", "-c", "import eventd; print(eventd.__file__)"]).stdout
    assert where.startswith("/opt/eventd/lib/python3.13/site-packages/")
    for name in ("eventd", "eventctl", "eventd-webhook"):
        assert machine.run(["test", "-x", f"/usr/bin/{name}"], check=False).returncode == 0


def test_run_gives_what_the_command_gave(machine: Machine) -> None:
    """Exit status, both streams, standard input and the environment pass through as they are."""
    done = machine.run("cat; echo error >&2; exit 7", input="text\n", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "text\n", "error\n")
    assert machine.run(["sh", "-c", "kill -TERM $$"], check=False).returncode == -signal.SIGTERM
    assert machine.run(["printenv", "COLOUR"], env={"COLOUR": "red"}).stdout == "red\n"
    assert len(machine.run(["head", "-c", "3000000", "/dev/zero"]).stdout) == 3_000_000
    assert machine.run(["wc", "-c"], input=b"x" * 3_000_000).stdout == "3000000\n"
    with pytest.raises(CommandError, match=r"(?s)status 3.*the reason"):
        machine.run("echo the reason; exit 3")
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        machine.run(["no-such-program"])


def test_run_ends_a_command_that_takes_too_long(machine: Machine) -> None:
    """At its deadline the command and its children die, and what they printed is in the error."""
    script = "rm -f /run/half; echo half; (touch /run/half; exec -a lingering sleep 1000) & wait"
    for seconds in (0.5, 5, 50):  # a machine may be so slow that it did not get that far in time
        with pytest.raises(CommandError, match=r"in time") as caught:
            machine.run(script, timeout=seconds)
        if machine.exists("/run/half"):
            break
    assert "half" in str(caught.value)
    # The kill follows the closing of the connection: wait for it in the host, on the process itself.
    machine.run("for pid in $(pgrep -f ^lingering); do tail --pid=$pid -f /dev/null; done", timeout=120)


def test_run_does_not_wait_for_what_stays_behind(machine: Machine) -> None:
    """A child in the background that holds the streams open does not hold up the caller."""
    assert machine.run("sleep 1000 & echo done", timeout=120).stdout == "done\n"


def test_files_go_in_and_out(machine: Machine, tmp_path: Path) -> None:
    """Files keep bytes, mode and owner; links are the host's, not the outer machine's."""
    machine.write("/srv/some/where", "text", mode=0o640, owner="nobody:games", fsync=True)
    assert machine.read("/srv/some/where") == "text"
    found = machine.stat("/srv/some/where")
    assert found is not None
    assert (found["mode"], found["uid"], found["gid"], found["size"]) == (0o640, 65534, 60, 4)
    machine.run(["ln", "-s", "/etc/hostname", "/srv/link"])
    assert machine.read("/srv/link") == "testhost\n"
    assert machine.exists("/srv/link")
    assert not machine.exists("/srv/nothing")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").write_text("copied")
    machine.copy_in(tmp_path, "/srv/copy")
    assert machine.read("/srv/copy/folder/file") == "copied"
    with pytest.raises(FileNotFoundError):
        machine.read("/srv/nothing")


def test_a_rootless_quadlet_of_a_new_user_runs(machine: Machine) -> None:
    """The manager of a new user with linger runs a container from /etc/containers/systemd/users/<uid>/."""
    machine.run(["useradd", "--create-home", "web"])
    uid = int(machine.run(["id", "-u", "web"]).stdout)
    assert machine.show("network-online.target", "ActiveState") == {"ActiveState": "inactive"}
    machine.run(["systemctl", "start", "network-online.target"])
    machine.run(["loginctl", "enable-linger", "web"])
    machine.run(["systemctl", "start", f"user@{uid}.service"])
    # Podman's first command of a boot makes the user's pause process. When that is the unit's own, the
    # READY=1 comes from a child that is gone by the time a busy systemd reads it ("Notify sender died before
    # message is processed"), and the start fails with result `protocol`. So the unit comes after it.
    machine.run(["podman", "unshare", "true"], user="web")
    machine.write(f"/etc/containers/systemd/users/{uid}/app.container", QUADLET)
    machine.run(["systemctl", "--user", "daemon-reload"], user="web")
    machine.run(["systemctl", "--user", "start", "app.service"], user="web")

    unit = machine.show("app.service", "ActiveState", "SourcePath", "UnitFileState", user="web")
    assert unit == {
        "ActiveState": "active",
        "SourcePath": f"/etc/containers/systemd/users/{uid}/app.container",
        "UnitFileState": "generated",
    }
    names = machine.run(["podman", "ps", "--format", "{{.Names}} {{.Image}}"], user="web").stdout
    assert names == "app localhost/busybox:1\n"
    invocation = machine.show("app.service", "InvocationID", user="web")
    machine.kill_unit("app.service", user="web")
    with machine.start(["podman", "wait", "app"], user="web") as process:
        process.wait(120)
    machine.run(["systemctl", "--user", "restart", "app.service"], user="web")
    assert machine.show("app.service", "InvocationID", user="web") != invocation
    # The words of the container's monitor, which stays: whose the last words of a process are that ended as it
    # spoke, journald may not know.
    _until(lambda: "from the container" in machine.journal(user_unit="app.service"), "logged")


def test_both_images_are_there_and_different(machine: Machine) -> None:
    """An update from one tag to the other changes the image, and no registry is needed."""
    machine.run(["useradd", "--create-home", "images"])
    ids = machine.run(["podman", "images", "--format", "{{.Tag}} {{.Id}}"], user="images").stdout.split()
    assert set(ids[0::2]) == {"1", "2"}
    assert len(set(ids[1::2])) == 2
    command = [
        "podman",
        "run",
        "--rm",
        "--pull=never",
        "localhost/busybox:2",
        "sh",
        "-c",
        "id -u; touch /x /etc/y",
    ]
    assert machine.run(command, user="images").stdout == "0\n"


def test_a_session_is_one_that_logind_knows(machine: Machine) -> None:
    """A user who is logged in is so for logind, until the end of the block."""
    machine.run(["useradd", "--create-home", "someone"])
    with machine.session("someone") as session:
        shown = machine.run(["loginctl", "show-session", session, "-p", "Name", "-p", "Class"]).stdout
        assert sorted(shown.split()) == ["Class=user", "Name=someone"]
    state = ["loginctl", "show-session", session, "-p", "State"]
    _until(lambda: machine.run(state, check=False).stdout != "State=active\n", "ended for logind")


def test_a_disk_that_is_plugged_in_is_seen_by_udev(machine: Machine, fresh_machine: MakeMachine) -> None:
    """Attaching gives a change event with the UUID, and a link; detaching one without it."""
    bay = Bay(machine)
    disk = bay.make("5eed0000-0000-4000-8000-000000000001")
    other = fresh_machine()
    argv = ["stdbuf", "-oL", "udevadm", "monitor", "--udev", "--property", "--subsystem-match=block"]
    with machine.start(argv) as monitor:
        monitor.read_until(r"^UDEV - the event")
        device = bay.plug(disk)
        monitor.read_until(rf"^ACTION=change\n(?:.+\n)*DEVNAME={device}\n(?:.+\n)*ID_FS_UUID={disk.uuid}\n")
        assert machine.run(["realpath", disk.link]).stdout.strip() == str(device)
        machine.run(["mount", disk.link, "/mnt"])
        machine.write("/mnt/file", "kept")
        machine.run(["umount", "/mnt"])
        bay.unplug(disk)
        monitor.read_until(
            rf"^ACTION=change\n(?:(?!ID_FS_UUID=).+\n)*DEVNAME={device}\n(?:(?!ID_FS_UUID=).+\n)*\n"
        )
        _until(lambda: not machine.exists(disk.link), "without the link")
    other.run(["udevadm", "settle"])
    assert not other.exists(disk.link)


def test_reboot_keeps_the_disk(fresh_machine: MakeMachine) -> None:
    """After a reboot there is a new boot id, what was on the disk, and the journal of the boot before."""
    machine = fresh_machine(files={"/etc/placed": "before the first boot\n"})
    assert machine.read("/etc/placed") == "before the first boot\n"
    machine.write("/var/lib/kept", "kept")
    machine.write("/home/kept", "kept")
    machine.write("/run/lost", "lost")
    machine.run(["logger", "a line of the first boot"])
    machine_id, boot = machine.read("/etc/machine-id"), machine.boot_id
    machine.reboot()
    assert machine.boot_id != boot
    assert machine.read("/proc/sys/kernel/random/boot_id").strip() == machine.boot_id
    assert machine.read("/var/lib/kept") == machine.read("/home/kept") == "kept"
    assert machine.read("/etc/machine-id") == machine_id
    assert not machine.exists("/run/lost")
    assert "a line of the first boot" in machine.journal(boot="-1")


def test_a_power_cut_keeps_what_was_synced(fresh_machine: MakeMachine) -> None:
    """All processes die at once, no unit is stopped, and what was synced to the disk is there afterwards."""
    machine = fresh_machine()
    machine.write("/var/lib/kept", "kept", fsync=True)
    with machine.start(["sleep", "infinity"]) as process:
        machine.power_cut()
        with pytest.raises(CommandError, match="went away"):
            process.wait(60)
    with pytest.raises(HostError):
        machine.run(["true"])
    machine.boot()
    assert machine.read("/var/lib/kept") == "kept"
    assert "Journal stopped" not in machine.journal(boot="-1")


def test_off_and_on_again(fresh_machine: MakeMachine) -> None:
    """A host that was powered off in good order boots from its disk."""
    machine = fresh_machine()
    machine.write("/var/lib/kept", "kept")
    machine.poweroff()
    machine.boot()
    assert machine.read("/var/lib/kept") == "kept"
    assert "Journal stopped" in machine.journal(boot="-1")


def test_two_hosts_at_once_are_two_hosts(fresh_machine: MakeMachine) -> None:
    """They share no disk, no users, no processes and no network."""
    one, two = fresh_machine(hostname="one"), fresh_machine(hostname="two")
    one.run(["useradd", "web"])
    one.run(["ip", "link", "add", "mine", "type", "veth", "peer", "name", "yours"])
    assert two.run(["id", "web"], check=False).returncode == 1
    assert two.run(["ip", "link", "show", "mine"], check=False).returncode == 1
    assert one.read("/etc/machine-id") != two.read("/etc/machine-id")
    assert (one.read("/etc/hostname"), two.read("/etc/hostname")) == ("one\n", "two\n")


def test_a_host_that_does_not_boot_says_why(fresh_machine: MakeMachine) -> None:
    """The error of a boot that fails has the console and the journal in it."""
    broken = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo the cause; exit 1'\n"
    machine = fresh_machine(
        boot=False,
        files={
            "/etc/systemd/system/broken.service": broken,
            "/etc/systemd/system/systemd-logind.service.d/x.conf": "[Unit]\nWants=broken.service\n",
        },
    )
    with pytest.raises(HostError, match=r"(?s)degraded.*broken\.service.*console.*journal.*the cause"):
        machine.boot()


CRASHER = """
    import json, sys, time
    from pathlib import Path
    from tests.host.machine import Machine
    machine = Machine([Path(path) for path in json.loads(sys.argv[1])], loops=1)
    machine.boot()
    print(json.dumps([machine._holder.pid, str(machine._state), str(machine.loops[0])]), flush=True)
    time.sleep(1000)
"""


def _crash(host_layers: list[Path], *, holder_too: bool) -> tuple[Path, Path]:
    """Boot a host from a process of its own, and kill that; returns its folder and its loop device."""
    layers = json.dumps([str(path) for path in host_layers])
    argv = [sys.executable, "-c", textwrap.dedent(CRASHER), layers]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=outer.CHECKOUT) as process:
        assert process.stdout
        pid, state, loop = json.loads(process.stdout.readline())
        holder = os.pidfd_open(pid)
        try:
            if holder_too:
                signal.pidfd_send_signal(holder, signal.SIGKILL)
            process.kill()
            assert select.select([holder], [], [], 120)[0], "the holder outlived its test run"
        finally:
            os.close(holder)
    return Path(state), Path(loop)


def _cgroups(state: Path) -> list[Path]:
    mounts = re.findall(r"^\S+ (\S+) cgroup2 ", Path("/proc/mounts").read_text(), re.MULTILINE)
    return [path for mount in mounts if (path := Path(mount) / f"eventd-host-{state.name}").exists()]


def _is_populated(cgroup: Path) -> bool:
    try:
        return "populated 1" in (cgroup / "cgroup.events").read_text()
    except OSError:  # a host of another test run has swept it meanwhile
        return False


def test_nothing_is_left_of_a_run_that_was_killed(host_layers: list[Path]) -> None:
    """When the test run is killed, its host's processes, mounts, cgroup, loop device and folder go."""
    state, loop = _crash(host_layers, holder_too=False)
    assert not state.exists()
    assert not loop.exists()
    assert not _cgroups(state)
    assert str(STATES) not in Path("/proc/mounts").read_text()


def test_the_next_host_sweeps_what_a_killed_holder_left(
    host_layers: list[Path], fresh_machine: MakeMachine
) -> None:
    """When the holder is killed too, the host dies with it, and the next one to start removes the rest."""
    state, loop = _crash(host_layers, holder_too=True)
    deadline = time.monotonic() + 120
    # The kernel kills the host's processes; there is no event out here for when the last one is gone.
    while any(map(_is_populated, _cgroups(state))):
        assert time.monotonic() < deadline, "the host outlived its holder"
        time.sleep(0.05)
    fresh_machine(boot=False)
    assert not state.exists()
    assert not loop.exists()
    assert not _cgroups(state)


def test_close_leaves_nothing(host_layers: list[Path]) -> None:
    """A closed host has left no folder, mount, cgroup or loop device, and can be closed again."""
    with Machine(host_layers, loops=1) as machine:
        state, loop = machine._state, machine.loops[0]
        assert loop.exists()
    machine.close()
    assert not state.exists()
    assert not loop.exists()
    assert not _cgroups(state)
