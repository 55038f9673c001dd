"""The sources of the facts that gates need, in the daemon's own sandbox on a real host.

Mounts, devices, single paths, container health and probes run in a unit that is a copy of eventd.service but for
what it executes: a program with these sources and nothing else, which logs every event and wants what a file says.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.host.disks import Bay
from tests.host.machine import Machine, Process
from tests.host.test_local_adapters import python

PROGRAM = """
import asyncio, dataclasses, json, os, pwd, signal, sys, time
import anyio
from eventd.platform.inotify import Inotify
from eventd.platform.journal_follow import JournalFollow
from eventd.gates.adapter_prober import ProberProcess, starter
from eventd.platform.processes.unit_process import Processes
from eventd.kernel.model.facts import FactKey
from eventd.health.model_facts import HealthFact
from eventd.gates.model_predicate_parse import parse
from eventd.desired.model import Located
from eventd.mounts.source_devices import DevicesSource
from eventd.health.source import ContainerHealthSource
from eventd.mounts.source import MountsSource
from eventd.gates.source_probes import ProbesSource
from eventd.files.source_watched import WatchedFiles

def emit(origin, kind, subject, *, scope="", attributes={}, facts=()):
    shown = {str(key): dataclasses.asdict(v) if dataclasses.is_dataclass(v) else v for key, v in facts}
    print(json.dumps({"origin": origin, "kind": kind, "subject": subject, "scope": scope,
                      "attributes": dict(attributes), "facts": shown, "at": time.time()}, default=sorted), flush=True)

async def main():
    inotify = Inotify()
    files = WatchedFiles(inotify, emit)
    probes = ProbesSource(emit, ProberProcess(starter(Processes())))
    health = ContainerHealthSource(emit, JournalFollow())
    async def want():
        wanted = json.load(open("/etc/wanted.json"))
        await files.want(wanted.get("files", []))
        atoms = [parse(Located(text, "x", 0)) for text in wanted.get("probes", [])]
        probes.want({atom.text: atom.probe for atom in atoms})
        health.want({FactKey(HealthFact.CONTAINER, name, pwd.getpwuid(uid).pw_name): uid
                     for uid, name in wanted.get("containers", [])})
    async with anyio.create_task_group() as group:
        group.start_soon(inotify.run)
        for source in (MountsSource(emit, changed=files.invalidate), DevicesSource(emit), files, probes, health):
            await group.start(source.run)
        await want()
        with anyio.open_signal_receiver(signal.SIGHUP, signal.SIGUSR1) as signals:
            emit("daemon", "ready", "")  # only now: a signal before that would end it
            async for number in signals:
                if number == signal.SIGHUP:
                    await want()
                else:
                    probes.poke()

asyncio.run(main())
"""

QUADLET = """\
[Container]
Image=localhost/busybox:1
Pull=never
ContainerName={name}
Exec=/bin/sh -c 'trap "exit 0" TERM; while :; do sleep 1 & wait $!; done'
HealthCmd=test -e /ok
HealthInterval=1s
HealthRetries=1
StopTimeout=1
[Quadlet]
DefaultDependencies=false
"""


class Facts:
    """What the sources have told, as a test asks for it."""

    def __init__(self, machine: Machine, log: Process) -> None:
        self.machine = machine
        self._log = log
        self._wanted: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []
        self.facts: dict[str, Any] = {}
        self._taken = 0

    def want(self, **more: Any) -> None:
        """Set what is wanted besides what was: `files`, `probes`, `containers`."""
        self._wanted.update(more)
        # In one step: what was wanted before may still be waiting to be read.
        self.machine.write("/etc/wanted.json.new", json.dumps(self._wanted))
        self.machine.run(["mv", "/etc/wanted.json.new", "/etc/wanted.json"])
        self.machine.run(["systemctl", "kill", "--kill-whom=main", "-s", "HUP", "facts.service"])

    def take(self) -> None:
        """Take in the whole lines that were read."""
        lines = self._log.stdout.split("\n")[:-1]
        for line in lines[self._taken :]:
            event = json.loads(line)
            self.events.append(event)
            self.facts.update(event["facts"])
        self._taken = len(lines)

    def until(self, condition: Callable[[], bool], timeout: float = 120) -> None:
        """Return as soon as what was told makes it true."""
        deadline = time.monotonic() + timeout
        self.take()
        while not condition():
            seen = len(self._log.stdout)
            self._log.read_until(rf"\A(?s:.{{{seen + 1}}})", timeout=max(0.01, deadline - time.monotonic()))
            self.take()

    def is_(self, key: str, value: object = ..., timeout: float = 120) -> dict[str, Any]:
        """Wait until a fact has a value (`...`: any); return the event that told it."""

        def right() -> bool:
            now = self.facts.get(key)
            return now is not None if value is ... else now == value

        self.until(right, timeout)
        return next(event for event in reversed(self.events) if key in event["facts"])

    @property
    def main_pid(self) -> str:
        return self.machine.show("facts.service", "MainPID")["MainPID"]

    def children(self) -> list[str]:
        """Return the command lines of the processes besides the main one."""
        # By a command in the host: numbers read from out here would be those of the outer pid namespace.
        group = self.machine.show("facts.service", "ControlGroup")["ControlGroup"]
        script = f"for pid in $(cat /sys/fs/cgroup{group}/cgroup.procs); do echo $(ps -o args= $pid); done"
        lines = self.machine.run(script).stdout.splitlines()
        return [line for line in lines if line and "/opt/facts.py" not in line]

    def fence(self) -> None:
        """Return when all that was mounted, and unmounted, before this has been told."""
        self.machine.run("mkdir -p /srv/fence && mount -t tmpfs fence /srv/fence")
        self.is_("mount:/srv/fence")
        umount(self.machine, "/srv/fence")
        self.is_("mount:/srv/fence", None)


@pytest.fixture(scope="module")
def facts(machine: Machine) -> Iterator[Facts]:
    """The sources, running in the daemon's sandbox."""
    machine.write("/opt/facts.py", PROGRAM)
    machine.write("/etc/wanted.json", "{}")
    machine.write("/run/facts.log", "")
    unit = machine.read("/usr/lib/systemd/system/eventd.service")
    left_out = ("Type=", "Condition", "WatchdogSec", "ExecStart=")
    lines = [line for line in unit.splitlines() if not line.startswith(left_out)]
    lines.insert(
        lines.index("[Service]") + 1,
        "Type=exec\nExecStart=/opt/eventd/bin/python /opt/facts.py\n"
        "StandardOutput=append:/run/facts.log\nStandardError=journal",
    )
    machine.write("/etc/systemd/system/facts.service", "\n".join(lines) + "\n")
    machine.run("systemctl daemon-reload && systemctl start facts.service")
    with machine.start(["tail", "-n", "+1", "-F", "/run/facts.log"]) as log:
        found = Facts(machine, log)
        try:
            found.until(lambda: any(event["kind"] == "ready" for event in found.events))
        except Exception:
            print(machine.journal("facts.service"))  # noqa: T201
            raise
        yield found
        machine.run(["systemctl", "stop", "facts.service"])


def umount(machine: Machine, path: str) -> None:
    """Unmount; whoever looks at what is below it has it busy for a moment."""
    machine.run(["timeout", "120", "sh", "-c", 'until umount "$0"; do sleep 0.05; done', path])


@pytest.fixture(scope="module")
def bay(machine: Machine) -> Bay:
    return Bay(machine)


def user(machine: Machine, name: str) -> int:
    """Make a user whose manager runs; returns the uid."""
    machine.run(f"id {name} || useradd --create-home --skel /etc/skel {name}")
    machine.run(["loginctl", "enable-linger", name])
    uid = int(machine.run(["id", "-u", name]).stdout)
    machine.run(["systemctl", "start", f"user@{uid}.service"])
    return uid


def quadlet(machine: Machine, name: str) -> int:
    """Make a user with a container of the same name, which has a health check; returns the uid."""
    uid = user(machine, name)
    machine.write(f"/etc/containers/systemd/users/{uid}/{name}.container", QUADLET.format(name=name))
    machine.run(["systemctl", "--user", "daemon-reload"], user=name)
    # The first podman of a boot makes the pause process. As that of a unit it may be gone when systemd reads its
    # READY=1, and the start fails (see eventd-podman-pause.service, which is for units that eventd made).
    machine.run(["podman", "unshare", "true"], user=name)
    return uid


# Mounts.


def test_the_host_s_mounts_are_told_and_the_sandbox_s_are_not(facts: Facts) -> None:
    """In its own mount namespace the daemon sees process 1's table: no private /tmp, no closed /root."""
    m = facts.machine
    own = m.read(f"/proc/{facts.main_pid}/mountinfo")
    assert " /root " in own, "the sandbox has a mount there"
    assert "mount:/root" not in facts.facts
    assert facts.facts["mount:/"] is not None
    m.run("mkdir -p '/srv/a b' && mount -t tmpfs -o size=1m disk '/srv/a b'")
    told = facts.is_("mount:/srv/a b")
    assert told["kind"] == "mount"
    assert told["facts"]["mount:/srv/a b"]["fstype"] == "tmpfs"
    umount(m, "/srv/a b")
    facts.is_("mount:/srv/a b", None)


def test_a_file_on_a_disk_is_there_with_its_mount(facts: Facts, bay: Bay) -> None:
    """Inotify says nothing of a mount; the mount's own signal has the path looked at, in the sandbox as well."""
    m, disk = facts.machine, bay.make("11111111-0000-4000-8000-000000000001", label="photos")
    path = "file:/srv/photos/index"
    facts.want(files=["/srv/photos/index", "/srv/none"])
    device = bay.plug(disk)
    facts.is_(f"device:{disk.uuid}")
    m.run(f"mkdir -p /srv/photos && mount {device} /srv/photos && touch /srv/photos/index")
    facts.is_(path)
    umount(m, "/srv/photos")
    facts.is_(path, None)
    facts.is_("mount:/srv/photos", None)  # the file's watch may have told before it
    before = len(facts.events)
    m.run(["mount", str(device), "/srv/photos"])
    facts.is_(path)
    facts.is_("mount:/srv/photos")
    assert sorted(event["kind"] for event in facts.events[before:]) == ["file-changed", "mount"]
    umount(m, "/srv/photos")
    facts.is_("mount:/srv/photos", None)
    bay.unplug(disk)
    facts.is_(f"device:{disk.uuid}", None)
    assert facts.facts.get("file:/srv/none") is None


# Devices.


def test_disks_with_one_uuid_are_one_fact_with_both_nodes(facts: Facts, bay: Bay) -> None:
    """A clone of a disk, plugged in beside it: nothing is hidden, and the last one out takes the fact along."""
    first = bay.make("22222222-0000-4000-8000-000000000001", label="data")
    second = bay.make("22222222-0000-4000-8000-000000000002")
    clone = type(second)(second.image, first.uuid)
    second.image.write_bytes(first.image.read_bytes())
    key = f"device:{first.uuid}"
    began = time.time()
    node = str(bay.plug(first))
    told = facts.is_(key)
    print(f"plug to fact: {(told['at'] - began) * 1000:.0f} ms")  # noqa: T201  for the report
    shown = {name: facts.facts[key][name] for name in ("uuid", "nodes", "label", "fstype")}
    assert shown == {"uuid": first.uuid, "nodes": [node], "label": "data", "fstype": "ext4"}
    assert (told["kind"], told["subject"]) == ("device", first.uuid)
    other = str(bay.plug(type(clone)(clone.image, "clone")))
    facts.until(lambda: facts.facts[key] is not None and facts.facts[key]["nodes"] == sorted([node, other]))
    bay.unplug(first)
    facts.until(lambda: facts.facts[key] is not None and facts.facts[key]["nodes"] == [other])
    bay.unplug(type(clone)(clone.image, "clone"))
    facts.is_(key, None)


def test_a_storm_of_events_that_change_nothing_is_silent(facts: Facts, bay: Bay) -> None:
    """`udevadm trigger` tells of every block device again; no fact changes, so there is no event."""
    fence = bay.make("33333333-0000-4000-8000-000000000001")
    facts.fence()
    before = len(facts.events)
    facts.machine.run("udevadm trigger --subsystem-match=block && udevadm settle")
    bay.plug(fence)  # udev tells of things in their order
    facts.is_(f"device:{fence.uuid}")
    told = [(event["kind"], event["subject"]) for event in facts.events[before:]]
    bay.unplug(fence)
    facts.is_(f"device:{fence.uuid}", None)
    assert told == [("device", fence.uuid)]


def test_dropped_events_are_noticed(machine: Machine) -> None:
    """A receive buffer that overflows (ENOBUFS) is an error with a name, after which everything is read again."""
    found = python(
        machine,
        """
        import subprocess
        from eventd.mounts.adapter_udev import BlockMonitor
        from eventd.kernel.model.errors import TemporaryError
        async def main():
            monitor = BlockMonitor(buffer=2048)
            for _ in range(20):
                subprocess.run(["udevadm", "trigger", "--settle", "--subsystem-match=block"], check=True)
            try:
                for _ in range(100):
                    monitor.receive()
            except TemporaryError as error:
                return [error.reason, error.message]
            return ["nothing was lost", ""]
        """,
    )
    assert found[0] == "udev-lost", found


# Probes.


@pytest.fixture(scope="module")
def httpd(machine: Machine) -> int:
    """A web server on loopback that has /index.html; returns the port."""
    machine.write("/srv/www/index.html", "hello\n")
    machine.run("systemd-run -q --unit=httpd busybox httpd -f -p 127.0.0.1:8095 -h /srv/www")
    # A question that comes before it listens is answered with no, and a no that stays one is no news.
    machine.run("timeout 120 sh -c 'until curl -sf http://127.0.0.1:8095/ >/dev/null; do sleep 0.05; done'")
    return 8095


def test_answers_of_the_network_become_facts(facts: Facts, httpd: int) -> None:
    """TCP, DNS and HTTP, good and bad, asked by a process without rights that is there only while needed."""
    url = f"http://127.0.0.1:{httpd}"
    facts.machine.run("echo 127.0.0.1 known.example >> /etc/hosts")
    wanted = {
        f"tcp:127.0.0.1:{httpd}": True,
        "tcp:127.0.0.1:1": False,
        "dns:known.example": True,
        "dns:unknown.example": False,
        f"{url}/index.html=200": True,
        f"{url}/none=200": False,
        f"{url}/none=404": True,
        f"https://127.0.0.1:{httpd}/": False,
    }
    assert facts.children() == []
    facts.want(probes=list(wanted))
    for text, good in wanted.items():
        facts.is_(f"probe:{text}", good)
    outcomes = {e["subject"]: e["attributes"]["outcome"] for e in facts.events if e["kind"] == "probed"}
    assert outcomes["tcp:127.0.0.1:1"] == "refused"
    assert outcomes[f"https://127.0.0.1:{httpd}/"] == "tls"
    assert outcomes["dns:unknown.example"] in ("no-such-name", "no-resolver")


def test_the_prober_has_no_rights(facts: Facts, httpd: int) -> None:
    """A unit and a uid of its own, no capability, no way to get one; and it ends when nothing is wanted."""
    m = facts.machine
    facts.want(probes=[f"tcp:127.0.0.1:{httpd}"])
    facts.is_(f"probe:tcp:127.0.0.1:{httpd}", True)
    assert facts.children() == []
    pid = m.run(["pgrep", "-xf", "/opt/eventd/bin/python -I -m eventd.gates.probe"]).stdout.strip()
    assert "/system.slice/eventd-probe-" in m.read(f"/proc/{pid}/cgroup")
    status = dict(row.split(":\t", 1) for row in m.read(f"/proc/{pid}/status").splitlines() if ":\t" in row)
    (uid,) = set(status["Uid"].split())
    assert 61184 <= int(uid) <= 65519  # systemd's, for dynamic users
    assert status["Groups"].split() == [uid]
    assert [int(status[name], 16) for name in ("CapPrm", "CapEff", "CapAmb", "CapInh")] == [0, 0, 0, 0]
    assert status["NoNewPrivs"] == "1"
    descriptors = m.run(f"readlink /proc/{pid}/fd/* || true").stdout.split()  # some are closed meanwhile
    assert descriptors
    assert not [name for name in descriptors if name.startswith("/") and name != "/dev/null"]
    rollup = m.read(f"/proc/{pid}/smaps_rollup")
    print(f"prober: {status['VmRSS']} resident, {rollup.split('Pss:')[1].split('kB')[0].strip()} kB its own")  # noqa: T201
    facts.want(probes=[])
    facts.is_(f"probe:tcp:127.0.0.1:{httpd}", None)
    m.run(["timeout", "120", "sh", "-c", f"while [ -e /proc/{pid} ]; do sleep 0.05; done"])


def test_a_killed_prober_is_replaced(facts: Facts, httpd: int) -> None:
    """A crash says nothing about the network: the fact stays, and the next question starts another."""
    m, text = facts.machine, f"tcp:127.0.0.1:{httpd}"
    facts.want(probes=[text])
    facts.is_(f"probe:{text}", True)
    m.run(["pkill", "-KILL", "-f", "eventd.gates.probe"])
    m.run(["systemctl", "stop", "httpd.service"])
    m.run(["systemctl", "kill", "--kill-whom=main", "-s", "USR1", "facts.service"])
    facts.is_(f"probe:{text}", False, timeout=120)
    facts.want(probes=[])
    probers = "systemctl list-units --all --no-legend 'eventd-probe-*'"
    m.run(["timeout", "120", "sh", "-c", f"while {probers} | grep -q .; do sleep 0.05; done"])


# Container health.


def test_health_is_heard_as_podman_says_it(facts: Facts) -> None:
    """Each check's result is a fact a moment after it; with the container the fact goes."""
    m, uid = facts.machine, quadlet(facts.machine, "web")
    key = "container:web/web"
    facts.want(containers=[[uid, "web"]])
    m.run(["systemctl", "--user", "start", "web.service"], user="web")
    facts.is_(key, "unhealthy")
    m.run(["podman", "exec", "web", "touch", "/ok"], user="web")
    told = facts.is_(key, "healthy")
    logged = json.loads(
        m.run(
            "journalctl --output=json PODMAN_EVENT=health_status PODMAN_HEALTH_STATUS=healthy --lines=+1 --merge"
        ).stdout.splitlines()[0]
    )
    late = told["at"] - int(logged["__REALTIME_TIMESTAMP"]) / 1e6
    print(f"journal entry to fact: {late * 1000:.1f} ms")  # noqa: T201  for the report
    assert late < 60
    (line,) = facts.children()
    assert line.startswith("journalctl ")
    pid = m.run(["pgrep", "-xf", line.replace("+", "."), "-n"]).stdout.strip()
    rollup = m.read(f"/proc/{pid}/smaps_rollup")
    sizes = {
        name: rollup.split(f"\n{name}:")[1].split("kB")[0].strip() for name in ("Rss", "Pss", "Anonymous")
    }
    print(f"journalctl: {sizes} kB")  # noqa: T201  for the report
    m.run(["systemctl", "--user", "stop", "web.service"], user="web")
    facts.is_(key, None)


def test_what_was_said_before_anybody_asked_is_read_back(facts: Facts) -> None:
    """The container has been healthy for a while, and its next check is far away: it is known at once."""
    m, uid = facts.machine, quadlet(facts.machine, "old")
    m.run(["systemctl", "--user", "start", "old.service"], user="old")
    m.run(["podman", "exec", "old", "touch", "/ok"], user="old")
    # Until it is said, not until podman knows it: that comes a moment before.
    said = f"journalctl --quiet --lines=1 _UID={uid} PODMAN_NAME=old PODMAN_HEALTH_STATUS=healthy | grep -q ."
    m.run(["timeout", "120", "sh", "-c", f"until {said}; do sleep 0.1; done"])
    m.run(
        "systemctl --user stop 'old*.timer' $(systemctl --user list-units --plain --no-legend"
        " --type=timer | cut -d' ' -f1 | grep -E '^[0-9a-f]{64}')",
        user="old",
        check=False,
    )
    began = time.time()
    facts.want(containers=[[uid, "old"]])
    told = facts.is_("container:old/old", "healthy")
    assert told["kind"] == "read"
    print(f"asked to known: {(told['at'] - began) * 1000:.0f} ms")  # noqa: T201  for the report


def forge(machine: Machine, writer: str, fields: Mapping[str, str]) -> None:
    """Log an entry as a user with a program of its own: whatever fields it likes."""
    entry = "".join(f"{name}={value}\n" for name, value in fields.items())
    machine.run(["logger", "--journald"], user=writer, input=entry)


def test_a_workload_lies_about_itself_and_nobody_else(facts: Facts) -> None:
    """Made-up entries of another user, also with that user's name and a made-up _UID, change nothing."""
    m = facts.machine
    good, evil = user(m, "good"), user(m, "evil")
    facts.want(containers=[[good, "app"], [evil, "app"]])
    facts.until(lambda: {"container:good/app", "container:evil/app"} <= facts.facts.keys())
    fields = {
        "MESSAGE": "x",
        "PODMAN_EVENT": "health_status",
        "PODMAN_NAME": "app",
        "PODMAN_ID": "f" * 64,
        "PODMAN_HEALTH_STATUS": "healthy",
    }
    forge(m, "evil", {**fields, "_UID": str(good), "USER_UNIT": "good", "_SYSTEMD_OWNER_UID": str(good)})
    facts.is_("container:evil/app", "healthy")
    assert facts.facts["container:good/app"] is None
    forge(m, "evil", {**fields, "PODMAN_HEALTH_STATUS": "x" * 100_000})
    forge(m, "evil", {**fields, "PODMAN_HEALTH_STATUS": "\x1b[2J"})
    facts.is_("container:evil/app", None)
    forge(m, "good", {**fields, "PODMAN_HEALTH_STATUS": "unhealthy"})
    facts.is_("container:good/app", "unhealthy")


def test_a_killed_journalctl_is_a_gap_and_nothing_is_missed(facts: Facts) -> None:
    """What was logged while nobody followed is read back."""
    m, uid = facts.machine, user(facts.machine, "good")
    facts.want(containers=[[uid, "gap"]])
    facts.until(lambda: "container:good/gap" in facts.facts)
    gaps = len([event for event in facts.events if event["kind"] == "gap"])
    m.run(["pkill", "-STOP", "-f", "journalctl --quiet"])
    fields = {"MESSAGE": "x", "PODMAN_EVENT": "health_status", "PODMAN_NAME": "gap", "PODMAN_ID": "1"}
    forge(m, "good", {**fields, "PODMAN_HEALTH_STATUS": "healthy"})
    m.run(["pkill", "-KILL", "-f", "journalctl --quiet"])
    facts.is_("container:good/gap", "healthy")
    assert len([event for event in facts.events if event["kind"] == "gap"]) == gaps + 1


def test_after_a_power_cut_nothing_is_healthy_from_before(fresh_machine: Callable[..., Machine]) -> None:
    """The last word of the boot before was "healthy", and nobody logged that the container died."""
    m = fresh_machine()
    uid = user(m, "cut")
    m.run(["mkdir", "-p", "/var/log/journal"])
    m.run("systemctl restart systemd-journald && journalctl --flush")
    fields = {"MESSAGE": "x", "PODMAN_EVENT": "health_status", "PODMAN_NAME": "app", "PODMAN_ID": "1"}
    forge(m, "cut", {**fields, "PODMAN_HEALTH_STATUS": "healthy"})
    m.run(["journalctl", "--sync"])
    program = f"""
        import anyio
        from eventd.platform.journal_follow import JournalFollow
        from eventd.kernel.model.facts import FactKey
        from eventd.health.model_facts import HealthFact
        from eventd.health.source import ContainerHealthSource
        async def main():
            seen = []
            read = asyncio.Event()
            def emit(*_, facts=(), **__):
                seen.extend(value for _, value in facts)
                read.set()
            source = ContainerHealthSource(emit, JournalFollow())
            async with anyio.create_task_group() as group:
                await group.start(source.run)
                source.want({{FactKey(HealthFact.CONTAINER, "app", "cut"): {uid}}})
                await asyncio.wait_for(read.wait(), 120)
                group.cancel_scope.cancel()
            return seen
        """
    assert python(m, program) == ["healthy"]
    m.power_cut()
    m.boot()
    assert "healthy" in m.run(["journalctl", "PODMAN_NAME=app", "-o", "json", "--boot", "all"]).stdout
    assert python(m, program) == [None]
