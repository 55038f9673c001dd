"""Volumes that are put away, taken out of service, pulled and moved to other disks, on a real host.

All of it beside workloads with networks of every kind, which began when the disk was mounted: their helpers (pause
processes, conmon, aardvark-dns, pasta, slirp4netns, rootlessport, the API of podman) live in mount namespaces of their
own, and each has or had the disk in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
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


HELPED = ("dns", "slirp", "other")
"""Workloads that do not use the volume."""


@pytest.fixture(scope="module")
def op(machine: Machine, bay: Bay, disk: Disk) -> Operator:
    """An operator whose eventd runs, with a container that writes to its volume all the time."""
    operator = Operator(machine)
    machine.run("ssh-keygen -q -t ed25519 -N '' -f /root/alice")
    namespaces = 'namespaces="approval@eventd"'
    machine.write("/etc/eventd/allowed_signers", f"alice {namespaces} {machine.read('/root/alice.pub')}")
    operator.install()
    bay.plug(disk, at=0)
    writes = "while :; do date >> /data/log; sync /data/log; sleep 0.05; done"
    operator.deploy({"storage.toml": MANIFEST})
    operator.until(lambda _s: is_mounted(operator), "mounted before anything else begins")
    operator.deploy(
        {
            "workloads/app/app.container": container(
                more=f"Volume=/srv/media/app:/data\nExec=sh -c '{writes}'\nNetwork=app.network"
            ),
            "workloads/app/app.network": "[Network]\n",
            "workloads/dns/dns.container": container(more="Network=dns.network\nPublishPort=8081:80"),
            "workloads/dns/dns.network": "[Network]\n",
            "workloads/slirp/slirp.container": container(more="Network=slirp4netns\nPublishPort=8082:80"),
            "workloads/other/other.container": container(more="Network=pasta\nPublishPort=8083:80"),
        }
    )
    for name in ("app", *HELPED):
        operator.state(name, "converged")
    return operator


@pytest.fixture(scope="module", autouse=True)
def podman_api(op: Operator) -> Iterator[None]:
    """The API of podman of one of them is in use all the time: by somebody who watches its events."""
    op.machine.run(["systemctl", "--user", "start", "podman.socket"], user="other")
    uid = op.machine.run(["id", "-u", "other"]).stdout.strip()
    url = "http://podman/v5.0.0/libpod/events?stream=true"
    watch = ["curl", "-sSN", "--unix-socket", f"/run/user/{uid}/podman/podman.sock", url]
    with op.machine.start(watch, user="other"):
        command = "pgrep -u other -f 'podman.* system service'"
        op.until(lambda _s: op.machine.run(command, check=False).returncode == 0, "the API of podman in use")
        yield


HELPERS = ("aardvark-dns", "pasta", "slirp4netns", "rootlessport")


def helpers(op: Operator) -> str:
    """Return the workloads beside, their helpers, and the pause processes: each has to be the same all the time."""
    found = op.machine.run(["ps", "-o", "pid=,user=,comm=", "-u", ",".join(HELPED)]).stdout
    lines = [line for line in found.splitlines() if any(kind in line for kind in HELPERS)]
    pauses = op.machine.run("for user in /run/user/*/libpod/tmp/pause.pid; do cat $user; echo; done").stdout
    return "\n".join((*sorted(lines), pauses, *(op.invocation(name) for name in HELPED)))


def resolves(op: Operator) -> bool:
    """Tell whether a container with a network of its own finds itself by its name: what aardvark-dns is for."""
    look = ["podman", "exec", "systemd-dns", "nslookup", "systemd-dns"]
    return op.machine.run(look, user="dns", check=False).returncode == 0


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
    assert resolves(op)
    before, other = helpers(op), op.invocation("other")
    assert all(kind in before for kind in HELPERS)
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
    assert helpers(op) == before
    assert resolves(op)


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
    op.machine.run(["systemd-run", "--unit=holder", "sh", "-c", "cd /srv/media; exec sleep 600"])
    pid = op.machine.show("holder.service", "MainPID")["MainPID"]
    op.until(lambda _s: op.machine.read(f"/proc/{pid}/comm") == "sleep\n", "the holder in its place")
    code, said = op.ctl("storage", "eject", "media")
    assert code == 1, said
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


STRAY = "mkdir -p /mnt/else && mount --bind /srv/media /mnt/else && exec sleep 600"


def stray(op: Operator) -> str:
    """Have somebody mount it elsewhere, in a mount namespace of their own; returns its process id."""
    private = ["unshare", "--mount", "--propagation", "private"]
    op.machine.run(["systemd-run", "--unit=stray", *private, "sh", "-c", STRAY])
    pid = op.machine.show("stray.service", "MainPID")["MainPID"]
    op.until(lambda _s: op.machine.read(f"/proc/{pid}/comm") == "sleep\n", "the stray in its place")
    return pid


def test_who_has_it_mounted_elsewhere_is_named_with_a_hint_that_helps(op: Operator) -> None:
    """It is unmounted here, and not safe to remove before that has ended too."""
    pid = stray(op)
    device = volume(op)["device"]
    code, said = op.ctl("storage", "eject", "media")
    assert code == 1, said
    assert f"sleep (pid {pid}, mount namespace) of stray.service" in said
    assert "NOT safe to remove" in said
    assert not exclusive(op, device)
    follow(op, said, "systemctl stop stray.service")
    code, said = op.ctl("storage", "eject", "media")
    assert code == 0, said
    assert exclusive(op, device)
    assert op.ctl("storage", "attach", "media")[0] == 0
    op.state("app", "converged")


def follow(op: Operator, said: str, hint: str) -> None:
    """Do what a hint says, word by word."""
    assert f"hint: {hint};" in said
    op.machine.run(hint)


def test_a_workload_that_is_in_it_unasked_is_named_and_restarted_by_the_hint(op: Operator) -> None:
    """A container that has all of /srv, and stands on the disk."""
    stands = "cd /srv/media; while :; do sleep 1; done"
    op.deploy({"workloads/files/files.container": container(more=f"Volume=/srv:/srv\nExec=sh -c '{stands}'")})
    op.state("files", "converged")
    code, said = op.ctl("storage", "eject", "media")
    assert code == 1, said
    assert "cwd) of files.service of files" in said
    follow(op, said, "eventctl restart files")
    op.until(lambda _s: volume(op)["state"] == "ejected", "ejected, as it is looked at again")
    assert op.ctl("storage", "attach", "media")[0] == 0
    op.deploy({"workloads/files": None})
    op.state("app", "converged")


def test_a_disk_that_is_pulled_and_comes_back_into_the_same_slot_goes_on(
    op: Operator, bay: Bay, disk: Disk
) -> None:
    """Nothing keeps the dead one, which would keep its slot as well; nobody beside it notices."""
    before = helpers(op)
    device = volume(op)["device"]
    bay.pull(disk)
    op.state("app", "held")
    op.until(lambda _s: not is_mounted(op), "unmounted")
    assert str(bay.plug(disk, at=0)) == device
    op.state("app", "converged")
    op.state("volume:media", "converged")
    assert helpers(op) == before
    assert resolves(op)


@pytest.mark.usefixtures("big")
def test_a_disk_is_decommissioned_and_comes_back_into_service(op: Operator) -> None:
    """It is unmounted everywhere."""
    before, device = helpers(op), volume(op, "big")["device"]
    code, said = op.ctl("storage", "decommission", "big")
    assert code == 0, said
    assert exclusive(op, device)
    assert helpers(op) == before
    code, said = op.ctl("storage", "attach", "big")
    assert code == 0, said


TREE = """
set -e
cd /srv/media
mkdir -p shared/deep/er && chmod 2775 shared && chgrp audio shared
dd if=/dev/urandom of=shared/deep/er/big bs=1M count=9 status=none
truncate -s 3M shared/sparse && ln shared/deep/er/big shared/hard && ln -s ../../etc/passwd shared/link
setfattr -n user.eventd -v yes shared/sparse && chown 12345:54321 shared/sparse
touch -d '2001-02-03 04:05:06.789' 'shared/a name
with a line' && mkfifo shared/fifo
"""
LISTING = (
    "cd {0} && find . -mindepth 1 -path ./lost+found -prune -o -printf '%P %y %m %U %G %s %n %T@ %l\\n' | sort"
    " && find . -type f -exec sha256sum {{}} + | sort && getfattr -dR -m - . 2>/dev/null | sort"
)


def listing(op: Operator, path: str = "/srv/media") -> str:
    """Return everything about a tree: kinds, modes, owners, sizes, links, times, content, attributes."""
    return op.machine.run(["sh", "-c", LISTING.format(path)]).stdout


@pytest.fixture(scope="module")
def big(op: Operator, bay: Bay) -> Disk:
    """A larger disk for the other volume."""
    found = bay.make(BIG, megabytes=64)
    bay.plug(found, at=1)
    # An unused disk that is away is in order, too.
    op.until(lambda _s: volume(op, "big")["state"] == "attached", "attached")
    return found


def kill(op: Operator) -> None:
    """Kill -9 the daemon; systemd starts it again."""
    op.machine.run("systemctl kill --signal=KILL eventd.service; systemctl stop eventd.service")
    op.machine.run("systemctl reset-failed eventd.service; systemctl start eventd.service")


def phase(op: Operator) -> str:
    """Return how far the migration is; empty: not known, as before the manifest is read after a start."""
    found: dict[str, Any] = json.loads(op.ctl("storage", "--json")[1])
    rows = [each["migration"] for each in found["volumes"] if each["name"] == "media" and each["migration"]]
    return rows[0]["phase"] if rows else ""


@pytest.mark.usefixtures("big")
def test_a_migration_without_room_changes_nothing(op: Operator) -> None:
    """The reason is said, and the container goes on."""
    before = op.invocation("app")
    op.machine.run(["fallocate", "-l", "50M", "/srv/big/full"])
    op.machine.run(["sh", "-c", TREE])
    code, said = op.ctl("storage", "migrate", "media", "--to", "big")
    assert code == 1, said
    assert "but /srv/big has only" in said
    assert op.invocation("app") == before
    op.machine.run(["rm", "/srv/big/full"])


@pytest.mark.usefixtures("big")
def test_a_copy_that_fails_is_taken_back_and_the_workload_runs_again_where_it_was(op: Operator) -> None:
    """A device node is what a copy may not make. Nothing is left on the other disk, and the reason is shown."""
    other = op.invocation("other")
    op.machine.run(["mknod", "/srv/media/node", "b", "7", "0"])
    code, said = op.ctl("storage", "migrate", "media", "--to", "big")
    assert code == 1, said
    assert "media stays on its old disk" in said
    assert "mknod" in said
    op.state("app", "converged")
    op.state("volume:media", "converged")
    assert op.invocation("other") == other
    assert op.machine.run(["findmnt", "-no", "SOURCE", "/srv/media"]).stdout.strip().startswith("/dev/loop")
    assert op.machine.run(["ls", "-A", "/srv/big"]).stdout.split() == ["lost+found"]
    units = "systemctl list-units --all --plain 'eventd-copy-*' | grep eventd-copy"
    op.until(lambda _s: not op.machine.run(units, check=False).stdout, "the unit of the copy collected")
    op.machine.run(["rm", "/srv/media/node"])


@pytest.mark.usefixtures("big")
def test_a_migration_that_somebody_is_in_the_way_of_is_taken_back_by_itself(op: Operator) -> None:
    """The workload runs again, on the old disk, without anybody doing anything, and it is said who it was."""
    pid = stray(op)
    code, said = op.ctl("storage", "migrate", "media", "--to", "big")
    assert code == 1, said
    assert "media stays on its old disk" in said
    assert f"sleep (pid {pid}, mount namespace) of stray.service" in said
    op.state("app", "converged")
    op.state("volume:media", "converged")
    follow(op, said, "systemctl stop stray.service")


@pytest.mark.usefixtures("big")
def test_a_migration_goes_on_after_kill_nine_and_what_is_there_then_is_the_same(
    op: Operator, disk: Disk
) -> None:
    """Killed in the middle of the copy and after the switch; the path, the units and every byte stay."""
    before, other = helpers(op), op.invocation("other")
    old_device = volume(op)["device"]
    code, said = op.ctl("storage", "migrate", "media", "--to", "big", "--no-wait")
    assert code == 0, said
    op.until(lambda _s: phase(op) not in ("", "prepare", "quiesce"), "copying")
    kill(op)
    op.until(lambda _s: phase(op) in ("switch", "done"), "switched")
    kill(op)
    op.state("app", "converged")
    op.until(lambda _s: phase(op) == "done", "done")
    op.until(lambda _s: volume(op)["state"] == "attached", "attached")
    assert (
        op.machine.run(["findmnt", "-no", "SOURCE", "/srv/media"]).stdout.strip().endswith("[/volume.media]")
    )
    assert op.invocation("other") == other
    assert not op.machine.run(["ls", "-A", "/run/eventd-migration/media"], check=False).stdout
    assert exclusive(op, old_device)
    assert helpers(op) == before
    op.ctl("storage", "eject", "media")
    op.machine.run("mkdir -p /root/old && mount -o ro " + disk.link + " /root/old")
    old, new = listing(op, "/root/old"), listing(op, "/srv/big/volume.media")
    op.machine.run("umount /root/old")
    assert "hard f" in old
    # The container went on writing after the switch: only its log differs.
    assert [line for line in old.splitlines() if "app" not in line] == [
        line for line in new.splitlines() if "app" not in line
    ]
    assert op.ctl("storage", "attach", "media")[0] == 0
    op.state("app", "converged")
    assert 'migrated_to = "big"' in op.ctl("storage")[1]


def old_files(op: Operator, disk: Disk) -> list[str]:
    """Return what is on the old disk."""
    op.machine.run("mkdir -p /root/old && mount -o ro " + disk.link + " /root/old")
    found = op.machine.run(["ls", "-A", "/root/old"]).stdout.split()
    op.machine.run("umount /root/old")
    return [name for name in found if name != "lost+found"]


def approve(op: Operator) -> None:
    """Sign what is asked for."""
    (request,) = json.loads(op.ctl("approvals", "--json")[1])["approvals"]
    assert "deletes everything on the disk" in json.dumps(request)
    code, said = op.ctl("approve", request["id"], "--key", "/root/alice", "--yes")
    assert code == 0, said


def test_the_old_data_is_deleted_only_once_that_is_signed(op: Operator, disk: Disk) -> None:
    """Asked for, held, approved with a key, deleted once; the volume goes on meanwhile."""
    invocation = op.invocation("app")
    code, said = op.ctl("storage", "forget-data", "media")
    assert code == 4, said
    held = op.state("volume:media", "held")
    assert held["reason"] == "needs-approval"
    assert old_files(op, disk)
    approve(op)
    op.until(lambda _s: volume(op)["migration"]["forgotten"], "deleted")
    assert old_files(op, disk) == []
    assert op.invocation("app") == invocation
    assert volume(op)["state"] == "attached"
    code, said = op.ctl("storage", "forget-data", "media")
    assert (code, "already deleted" in said) == (1, True)


def test_a_reboot_finds_the_volume_on_its_new_disk_and_an_ejected_one_ejected(op: Operator) -> None:
    """Both disks are plugged in."""
    op.ctl("storage", "eject", "media")
    op.machine.reboot()
    op.state("app", "held")
    assert volume(op)["state"] == "ejected"
    assert op.ctl("storage", "attach", "media")[0] == 0
    op.state("app", "converged")
    source = op.machine.run(["findmnt", "-no", "SOURCE", "/srv/media"]).stdout.strip()
    assert source.endswith("[/volume.media]")
