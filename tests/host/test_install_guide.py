"""docs/how-to/install.md, run as it is written on a fresh host, from the first command to the removal.

What takes the network (apt, pip) is not run: the layers under the host did the same. The editor is a sed.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from tests.host import outer
from tests.host.conftest import MakeMachine
from tests.host.disks import Bay
from tests.host.machine import Machine

MEDIA = "11111111-2222-3333-4444-555555555555"
STACK = """\
services:
  one: {image: localhost/busybox:1, pull_policy: never, stop_grace_period: 1s, command: [sleep, infinity]}
"""
GUIDE = Path(outer.CHECKOUT) / "docs/how-to/install.md"
QUADLET = """\
[Container]
Image=localhost/busybox:1
Exec=sleep infinity
ContainerName=web
Pull=never
StopTimeout=1
"""


def blocks(kind: str = "sh") -> list[tuple[str, str]]:
    """Return the heading and the text of each block of a kind: plain `sh` by default."""
    found = []
    for section in re.split(r"^## ", GUIDE.read_text(), flags=re.MULTILINE)[1:]:
        heading = section.partition("\n")[0]
        found += [
            (heading, text)
            for text in re.findall(rf"^```{kind}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        ]
    return found


@pytest.mark.timeout(900, method="signal", func_only=True)
def test_the_guide_leads_to_a_converged_host_and_back(fresh_machine: MakeMachine) -> None:
    """Following the guide, a pushed Quadlet runs; after its last section eventd is gone, and it runs on."""
    machine = fresh_machine(loops=1)
    # The layer has the folder over / and the links already: undo that, to see the guide do it.
    machine.copy_in(Path(outer.CHECKOUT) / "systemd", "/srv/checkout/systemd")
    machine.run("cd /srv/checkout/systemd; find . -type f | (cd /; xargs rm)")
    machine.run("rm -r /usr/bin/event* /etc/eventd")
    machine.run("groupdel eventd-managed; userdel eventd-git; userdel eventd-check; systemctl daemon-reload")
    machine.run("git init -q --bare -b main /srv/hosts.git && git init -q -b main /srv/work")
    machine.write("/srv/work/workloads/web/web.container", QUADLET)
    machine.run("cd /srv/work; git add -A; git -c user.name=a -c user.email=a@b commit -qm 1")
    machine.run("cd /srv/work; git push -q ../hosts.git main")
    editor = {"EDITOR": "sed -i 's#^url = .*#url = \"/srv/hosts.git\"#'", "HOME": "/root"}
    before = machine.run("stat -c '%a %n' / /usr /usr/bin /etc /usr/lib/systemd/system").stdout
    for heading, text in blocks():
        if heading == "Remove":
            _converged(machine)
            assert (
                machine.run("stat -c '%a %n' / /usr /usr/bin /etc /usr/lib/systemd/system").stdout == before
            )
            _deliver(machine)
        if heading == "Trigger it by pushes":
            _everything(machine)
        said = machine.run(
            f"set -e\n{text}".replace("${EDITOR:-vi}", editor["EDITOR"]), cwd="/srv/checkout"
        ).stdout
    assert _containers(machine, "web") == ["web"]
    assert not machine.exists("/usr/bin/eventd")
    assert not machine.exists("/usr/lib/systemd/system/eventd.service")
    assert machine.run(["systemctl", "is-active", "eventd.service"], check=False).stdout.strip() == "inactive"
    _without_eventd(machine, said)
    ((_, erase),) = blocks("sh erase")
    machine.run(f"set -e\n{erase}")
    left = "/etc /usr/lib /usr/bin /var/lib /srv/media /etc/containers/systemd/users /home"
    found = machine.run(
        f"find {left} -name '*eventd*' -o -name web; getent group; getent passwd", check=False
    )
    assert "eventd" not in found.stdout, found.stdout
    assert "web" not in found.stdout, found.stdout


def _without_eventd(machine: Machine, said: str) -> None:
    """After a boot without eventd all that ran runs again: gated, a stack, and, with its disk, what uses that."""
    # `eventctl disown --all` says it.
    (line,) = [each for each in said.splitlines() if each.startswith(f"UUID={MEDIA} /srv/media ")]
    machine.reboot(wait=False)
    machine.wait_running()
    for user, container in (("web", "web"), ("asks", "asks"), ("stack", "stack-one-1")):
        _await(machine, user, container)
    assert machine.run("find /srv/media -mindepth 1").stdout == "", "something was written beside the disk"
    machine.run(f"echo '{line}' >>/etc/fstab; mount /srv/media")
    machine.run(["systemctl", "--user", "restart", "photos.service"], user="photos")
    assert _containers(machine, "photos") == ["photos"]
    machine.run("loginctl terminate-user photos; umount /srv/media", check=False)
    failed = machine.run(["systemctl", "--user", "--failed", "--no-legend"], user="stack").stdout
    assert failed == ""


def _everything(machine: Machine) -> None:
    """Each program that eventd installs is used: a volume on a disk, a stack, a probe, an update by its timer.

    And when one of them is not there, three commands name it: doctor, why (from the workload that waits), storage.
    """
    bay = Bay(machine)
    disk = bay.make(MEDIA, label="MEDIA", megabytes=32)
    bay.plug(disk)
    machine.run("rm /usr/bin/eventd-volume")
    machine.run("systemd-run -q --unit=page python3 -m http.server --bind 127.0.0.1 --directory /srv 8099")
    files = {
        "storage.toml": f'[volume.media]\nuuid = "{MEDIA}"\nlabel = "MEDIA"\npath = "/srv/media"\n',
        "workloads/photos/photos.container": QUADLET.replace("=web", "=photos")
        + "Volume=/srv/media/photos:/data\n",
        "workloads/stack/compose.yaml": STACK,
        "workloads/asks/asks.container": QUADLET.replace("=web", "=asks"),
        "workloads/asks/workload.toml": 'requires = ["http://127.0.0.1:8099/"]\n[update]\nschedule = "yearly"\n',
    }
    for path, text in files.items():
        machine.write(f"/srv/work/{path}", text)
    machine.run("cd /srv/work; git add -A; git -c user.name=a -c user.email=a@b commit -qm 2")
    machine.run("cd /srv/work; git push -q ../hosts.git main")
    machine.run(["eventctl", "sync", "--wait"], timeout=300, check=False)
    program = "/usr/bin/eventd-volume"
    for command in (["doctor"], ["why", "photos"], ["storage"]):
        said = machine.run(["eventctl", *command], check=False)
        assert said.returncode != 0, command
        assert program in said.stdout, said.stdout
        assert "ln -sf /opt/eventd/bin/event* /usr/bin/" in said.stdout
    _await_degraded(machine)
    assert "because volume:media" in machine.run(["eventctl", "why", "photos"], check=False).stdout
    machine.run("ln -sf /opt/eventd/bin/event* /usr/bin/")
    machine.run(["eventctl", "sync", "--wait"], timeout=300)
    assert machine.run(["eventctl", "status"]).returncode == 0
    doctor = machine.run(["eventctl", "doctor"], check=False)
    assert "BAD" not in doctor.stdout, doctor.stdout
    machine.run(["systemctl", "--user", "start", "eventd-update.service"], user="asks", timeout=300)
    machine.run("mountpoint -q /srv/media")
    _sick(machine)


def _sick(machine: Machine) -> None:
    """A full disk and a provider that is gone are seen by doctor, with numbers, though nothing has failed yet."""
    git = "/var/lib/eventd-git"
    machine.run(f"mv /usr/bin/docker-compose /root/; mount -t tmpfs -o size=4m none {git}")
    machine.run(f"dd if=/dev/zero of={git}/fill bs=1M count=8", check=False)
    deadline = time.monotonic() + 120
    bad: dict[str, str] = {}
    while "compose provider" not in bad:  # the daemon learns of it by inotify
        assert time.monotonic() < deadline, bad
        done = machine.run(["eventctl", "doctor", "--json"], check=False)
        assert done.returncode == 1
        bad = {each["name"]: each["message"] for each in json.loads(done.stdout)["checks"] if not each["ok"]}
    machine.run(f"umount {git}; mv /root/docker-compose /usr/bin/")
    assert bad["free space"].startswith(git)
    assert bad["free space"].endswith(": 0 B of 4.0 MiB free")
    assert "stacks on this host: stack" in bad["compose provider"]
    machine.run(["eventctl", "sync", "--wait"], timeout=300)


def _converged(machine: Machine) -> None:
    machine.run(["eventctl", "sync", "--wait"], timeout=300)
    assert machine.run(["podman", "ps", "--format", "{{.Names}}"], user="web").stdout == "web\n"


def _deliver(machine: Machine) -> None:
    """The listener, which is nobody, passes on what is signed with the guide's secret, and nothing else."""
    script = """
    zeros=00000000000000000000000000000000000000
    body='{"ref":"refs/heads/main","before":"01'$zeros'","after":"02'$zeros'",'
    body=$body'"repository":{"full_name":"team/hosts"}}'
    key=$(cat /etc/credstore/eventd-webhook.secret)
    good=$(printf %s "$body" | openssl dgst -sha256 -hmac "$key" -r | cut -d" " -f1)
    for signature in "$good" "${good%????}0000"; do
        curl -sS -o /dev/null -w '%{http_code} ' -d "$body" -H 'Content-Type: application/json' \\
            -H 'X-Forgejo-Event: push' -H "X-Forgejo-Delivery: d-$signature" \\
            -H "X-Forgejo-Signature: $signature" \\
            http://127.0.0.1:8787/hooks/forge
    done
    """
    accepted, refused = machine.run(script).stdout.split()
    assert (accepted[0], refused[0]) == ("2", "4"), machine.journal("eventd-webhook.service")
    deadline = time.monotonic() + 240
    while "webhook" not in machine.run(["eventctl", "events"]).stdout:
        assert time.monotonic() < deadline, machine.journal("eventd-webhook.service")
        time.sleep(0.1)
    user = machine.show("eventd-webhook.service", "User", "DynamicUser")
    assert user == {"User": "eventd-listener", "DynamicUser": "yes"}


def _containers(machine: Machine, user: str) -> list[str]:
    return machine.run(["podman", "ps", "--format", "{{.Names}}"], user=user).stdout.split()


def _await(machine: Machine, user: str, container: str) -> None:
    deadline = time.monotonic() + 240
    while container not in _containers(machine, user):
        assert time.monotonic() < deadline, machine.journal()
        time.sleep(0.2)


def _await_degraded(machine: Machine) -> None:
    """Ask doctor until no retry is on: while one is, the status says `converging`."""
    deadline = time.monotonic() + 120
    while True:
        said = machine.run(["eventctl", "doctor"], check=False).stdout
        if re.search(r"^BAD status .*degraded: ", said, re.MULTILINE):
            return
        assert re.search(r"^ok  status .*converging: ", said, re.MULTILINE), said
        assert time.monotonic() < deadline, said
        time.sleep(0.2)
