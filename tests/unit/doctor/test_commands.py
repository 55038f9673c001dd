"""Scope: `eventctl doctor`: each check on a made-up host that lacks one thing, and the daemon's checks."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from eventd.doctor import commands_checks as doctor
from eventd.doctor import commands_doctor as doctor_command
from eventd.doctor.adapter_host import HostProbe, Place, Space
from tests.unit.cli.cli_runner import eventctl
from tests.unit.cli.fake_daemon import Answer, FakeDaemon, short_path

FOLDER = Place(folder=True, mode=0o755, owner="root", group="root", executable=True)
PROGRAM = Place(folder=False, mode=0o755, owner="root", group="root", executable=True)
SETUID = replace(PROGRAM, mode=0o4755)
FILE = Place(folder=False, mode=0o644, owner="root", group="root")
CONFIG = "/etc/eventd/eventd.toml"
SOCKET = "/run/eventd/eventd.sock"
OPERATORS = "/run/eventd/operators.sock"
UNIT = "/usr/lib/systemd/system/eventd.service"
ROOMY = Space(device=1, size=100 << 30, free=50 << 30, inodes=1_000_000, inodes_free=900_000)
GENERATOR = "/usr/lib/systemd/user-generators/podman-user-generator"


@dataclass
class MadeUp:
    """A host as dictionaries: everything eventd needs, until a test takes something away."""

    places: dict[str, Place] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    commands: dict[str, str] = field(default_factory=dict)
    """Name -> what `--version` prints."""
    names: set[str] = field(default_factory=set)
    capabilities: set[str] = field(default_factory=set)
    unreadable: set[str] = field(default_factory=set)
    logind: str = "active"
    rooms: dict[str, Space] = field(default_factory=dict)

    def entries(self, folder: str) -> list[str]:
        below = [
            each[len(folder) + 1 :] for each in (*self.texts, *self.places) if each.startswith(f"{folder}/")
        ]
        return sorted({each.split("/")[0] for each in below})

    def space(self, path: str) -> Space | None:
        return self.rooms.get(path)

    def homes(self) -> list[str]:
        return ["/home"]

    def read(self, path: str) -> str | None:
        return self.texts.get(path)

    def place(self, path: str) -> Place | None:
        return self.places.get(path)

    def readable(self, path: str) -> bool:
        return path in self.texts and path not in self.unreadable

    def command(self, name: str) -> str | None:
        return f"/usr/bin/{name}" if name in self.commands else None

    def output(self, *argv: str) -> str | None:
        if argv[1:] == ("is-active", "systemd-logind.service"):
            return self.logind or None
        if argv[1:] == ("show", "-p", "ProtectSystem,ReadWritePaths", "eventd.service"):
            return "ProtectSystem=strict\nReadWritePaths=/etc -/home /srv/homes/"
        return self.commands.get(argv[0]) or None

    def capable(self, path: str) -> bool:
        return path in self.capabilities

    def user(self, name: str) -> bool:
        return name in self.names

    def group(self, name: str) -> bool:
        return name in self.names


def host() -> MadeUp:
    """A Debian 13 with everything."""
    return MadeUp(
        places={
            CONFIG: FILE,
            "/home": FOLDER,
            "/run/systemd/system": FOLDER,
            "/sys/fs/cgroup/cgroup.controllers": FILE,
            "/run/dbus/system_bus_socket": FILE,
            "/usr/lib/systemd/user/dbus.socket": FILE,
            GENERATOR: PROGRAM,
            doctor.UNIT_GENERATOR: PROGRAM,
            "/usr/bin/newuidmap": SETUID,
            "/usr/bin/newgidmap": SETUID,
            "/etc/subuid": FILE,
            "/etc/subgid": FILE,
            SOCKET: replace(FILE, mode=0o666),
            OPERATORS: replace(FILE, mode=0o660, group="eventd"),
            "/usr/bin/eventd": PROGRAM,
            "/usr/bin/eventd-compose": PROGRAM,
        },
        rooms=dict.fromkeys(("/var/lib/eventd", "/home"), ROOMY),
        texts={
            UNIT: "[Service]\nExecStart=/usr/bin/eventd --config x\n",
            CONFIG: '[repository]\nurl = "/srv/x"\n',
            "/etc/login.defs": "SUB_UID_COUNT\t\t   65536\n",
            "/proc/sys/kernel/osrelease": "6.12.48+deb13-amd64\n",
            "/proc/sys/user/max_user_namespaces": "63000\n",
        },
        commands={
            "systemctl": "systemd 257 (257.8-1~deb13u2)\n+PAM +AUDIT",
            "podman": "podman version 5.4.2",
            "git": "git version 2.47.3",
            "ssh-keygen": "?",
            "pasta": "?",
            "newuidmap": "?",
            "newgidmap": "?",
        },
        names={"eventd-git", "eventd-check", "eventd"},
    )


def bad(probe: MadeUp) -> list[tuple[str, str, str]]:
    """Name, message and hint of every check that is not fine."""
    return [(each.name, each.message, each.hint) for each in doctor.examine(probe, CONFIG) if not each.ok]


def test_a_host_with_everything_is_fine() -> None:
    """No check complains without a reason."""
    assert bad(host()) == []


def drop(*paths: str) -> MadeUp:
    probe = host()
    for path in paths:
        probe.places.pop(path, None)
        probe.texts.pop(path, None)
        probe.commands.pop(path, None)
    return probe


def with_text(path: str, text: str) -> MadeUp:
    probe = host()
    probe.texts[path] = text
    return probe


def with_version(command: str, text: str) -> MadeUp:
    probe = host()
    probe.commands[command] = text
    return probe


def with_place(path: str, place: Place) -> MadeUp:
    probe = host()
    probe.places[path] = place
    return probe


def with_homes(folder: str) -> MadeUp:
    """Return a host whose homes are elsewhere."""
    probe = host()
    probe.places[folder] = FOLDER
    probe.texts["/etc/default/useradd"] = f"SHELL=/bin/sh\nHOME={folder}\n"
    return probe


def with_room(**changes: int) -> MadeUp:
    probe = host()
    probe.rooms["/home"] = replace(ROOMY, device=2, **changes)
    return probe


def without_name(name: str) -> MadeUp:
    probe = host()
    probe.names.remove(name)
    return probe


@pytest.mark.parametrize(
    ("probe", "name", "told"),
    [
        (drop(CONFIG), "configuration", "eventd.toml.example"),
        (with_text(CONFIG, "[repository]\n"), "configuration", "[repository.url] required"),
        (drop("/run/systemd/system"), "systemd", "not booted with systemd"),
        (with_version("systemctl", "systemd 247 (247.3-7)"), "systemd", "eventd needs 254 or later"),
        (drop("/sys/fs/cgroup/cgroup.controllers"), "cgroup v2", "unified_cgroup_hierarchy=1"),
        (drop("/run/dbus/system_bus_socket"), "system bus", "apt install dbus"),
        (replace(host(), logind=""), "logind", "is not running"),
        (replace(host(), logind="inactive"), "logind", "is not running"),
        (with_place("/var/lib/systemd/linger", FILE), "lingering", "not a folder"),
        (drop("/usr/lib/systemd/user/dbus.socket"), "user bus", "apt install dbus-user-session"),
        (
            with_text("/proc/sys/user/max_user_namespaces", "0\n"),
            "user namespaces",
            "user.max_user_namespaces",
        ),
        (
            with_text("/proc/sys/kernel/unprivileged_userns_clone", "0"),
            "user namespaces",
            "sysctl -w kernel.",
        ),
        (drop("/etc/subgid"), "subordinate ids", "/etc/subgid"),
        (with_text("/etc/login.defs", "SUB_GID_COUNT 0\n"), "subordinate ids", "SUB_GID_COUNT 65536"),
        (drop("newgidmap"), "uidmap", "apt install uidmap"),
        (with_place("/usr/bin/newuidmap", PROGRAM), "uidmap", "chmod u+s /usr/bin/newuidmap"),
        (drop("podman"), "podman", "apt install podman"),
        (with_version("podman", "podman version 4.3.1"), "podman", "eventd needs 4.6 or later"),
        (with_version("podman", ""), "podman", "failed"),
        (
            drop(GENERATOR),
            "quadlet generator",
            "paths.generator",
        ),
        (drop(doctor.UNIT_GENERATOR), "unit generator", "Quadlet files work without it"),
        (with_text("/proc/sys/kernel/osrelease", "5.10.0-30"), "overlay storage", "fuse-overlayfs"),
        (drop("pasta"), "rootless network", "apt install passt"),
        (drop("git"), "git", "apt install git"),
        (with_version("git", "git version 2.30.2"), "git", "eventd needs 2.34 or later"),
        (drop("ssh-keygen"), "ssh-keygen", "openssh-client"),
        (without_name("eventd-git"), "accounts", "the account eventd-git"),
        (without_name("eventd-check"), "accounts", "the account eventd-check"),
        (without_name("eventd"), "accounts", "the group eventd"),
        (
            with_place(SOCKET, replace(FILE, mode=0o666, owner="mallory")),
            "socket",
            "it does not belong to root",
        ),
        (
            with_place(SOCKET, replace(FILE, mode=0o660, group="eventd")),
            "socket",
            "not everybody can connect",
        ),
        (with_place(OPERATORS, replace(FILE, mode=0o600)), "socket", "systemctl restart eventd"),
        (
            with_text(
                "/usr/lib/systemd/system/eventd-new@.service",
                "[Service]\nExecStart=-/usr/bin/eventd-new %i\n",
            ),
            "programs",
            "/usr/bin/eventd-new does not exist: /usr/lib/systemd/system/eventd-new@.service runs it",
        ),
        (
            with_text(
                "/etc/systemd/system/eventd.service.d/a.conf", "[Service]\nExecStartPre=/usr/bin/mine\n"
            ),
            "programs",
            "/usr/bin/mine does not exist",
        ),
        (
            with_text(
                "/etc/eventd/units/1001/web.service", "[Service]\nExecStart=/usr/bin/eventd-nothing up\n"
            ),
            "programs",
            "ln -sf /opt/eventd/bin/event* /usr/bin/",
        ),
        (with_room(size=10 << 30, free=100 << 20), "free space", "/home: 100 MiB of 10.0 GiB free"),
        (with_room(free=0), "free space", "0 B of 100 GiB free"),
        (drop("/home"), "homes", "mkdir /home"),
        (with_homes("/data/homes"), "homes", "ReadWritePaths=/data/homes"),
        (with_homes("/homestead"), "homes", "ReadWritePaths=/homestead"),
        (with_room(inodes_free=12), "free space", "12 of 1000000 inodes"),
    ],
)
def test_what_is_missing_is_found_alone_and_has_a_remedy(probe: MadeUp, name: str, told: str) -> None:
    """Each lack is reported by its own check and no other, with something to do about it."""
    found = bad(probe)
    assert [each[0] for each in found] == [name]
    assert told in " ".join(found[0])
    assert found[0][2], "no hint"


def test_what_a_workload_runs_in_its_home_is_not_looked_for() -> None:
    """Root follows no path in a home; and a name that systemd has to expand is not guessed."""
    text = "[Service]\nExecStart=/home/web/bin/own\nExecStop=%h/bin/x\nExecReload=/bin/$X\nExecStart=\n"
    assert bad(with_text("/etc/eventd/units/1001/own.service", text)) == []


@pytest.mark.parametrize(
    "room", [{"free": 2 << 30}, {"size": 1 << 30, "free": 512 << 20}, {"inodes": 0, "inodes_free": 0}]
)
def test_room_enough_is_no_problem(room: dict[str, int]) -> None:
    """A large disk with 2 GiB left, a small one that is half empty, a file system that has no inodes to run out of."""
    assert bad(with_room(**room)) == []


def test_homes_that_the_sandbox_lets_eventd_write_are_right() -> None:
    """One of the writable paths, or a folder below one."""
    for folder in ("/srv/homes", "/srv/homes/eu/", "/home/apps"):
        probe = with_homes(folder)
        probe.places[folder.rstrip("/")] = FOLDER
        assert bad(probe) == []


def test_a_socket_that_is_open_to_everybody_is_right() -> None:
    """Root's, mode 0666: who asks is told by the kernel, and that is said, as an operator may wonder."""
    (found,) = [each for each in doctor.examine(host(), CONFIG) if each.name == "socket"]
    assert (found.ok, found.hint) == (True, "")
    assert "root:root 0666: everybody may connect; the daemon checks who asks" in found.message


def test_a_host_without_approvers_is_fine_and_told_what_to_write() -> None:
    """It is no problem before there is something to approve."""
    (found,) = [each for each in doctor.examine(host(), CONFIG) if each.name == "approvals"]
    assert found.ok
    assert 'NAME namespaces="approval@eventd" KEY' in found.hint


def test_capabilities_do_instead_of_setuid() -> None:
    """Distributions that give newuidmap file capabilities are fine."""
    probe = with_place("/usr/bin/newuidmap", PROGRAM)
    probe.capabilities.add("/usr/bin/newuidmap")
    assert bad(probe) == []


def test_an_older_podman_that_will_do_says_what_it_cannot() -> None:
    """Podman 4.9 runs containers; pods as Quadlet files need 5.0, and that is said."""
    checks = {
        each.name: each for each in doctor.examine(with_version("podman", "podman version 4.9.3"), CONFIG)
    }
    assert checks["podman"].ok
    assert "need 5.0" in checks["podman"].message


def test_fuse_overlayfs_serves_an_old_kernel() -> None:
    """Without overlayfs for rootless users, fuse-overlayfs with its device is fine."""
    probe = with_text("/proc/sys/kernel/osrelease", "5.10.0-30")
    probe.commands["fuse-overlayfs"] = "?"
    probe.places["/dev/fuse"] = FILE
    assert bad(probe) == []


def test_a_configuration_that_may_not_be_read_is_not_called_missing() -> None:
    """Another account's view is limited, and says so."""
    probe = host()
    probe.unreadable.add(CONFIG)
    found = next(iter(doctor.examine(probe, CONFIG)))
    assert found.ok
    assert "cannot be read by this account" in found.message


def test_the_configuration_decides_where_the_checks_look() -> None:
    """Generator, group, and the signers' file are those that are configured."""
    text = '[repository]\nurl = "/srv/x"\nrequire_signed = true\n[paths]\ngenerator = "/opt/generator"\n'
    found = {each[0]: each[1] for each in bad(with_text(CONFIG, text))}
    assert found["quadlet generator"] == "/opt/generator does not exist"
    assert found["allowed signers"] == "/etc/eventd/allowed_signers does not exist"


def test_a_file_of_approvers_that_others_can_write_is_a_problem_and_none_is_not() -> None:
    """It is the key to everything that is held; before there is something to approve, it need not be there."""
    probe = host()
    assert not [each for each in bad(probe) if each[0] == "approvals"]
    signers = "/etc/eventd/allowed_signers"
    for place in (replace(FILE, mode=0o664), replace(FILE, owner="ann"), FOLDER):
        probe.places[signers] = place
        assert [each[0] for each in bad(probe)] == ["approvals"]
    probe.places[signers] = FILE
    assert not bad(probe)


def test_the_real_probe_answers_about_this_host(tmp_path: Path) -> None:
    """The probe tells files, commands and accounts that are there from those that are not."""
    probe = HostProbe()
    (tmp_path / "f").write_text("x")
    assert probe.read(str(tmp_path / "f")) == "x"
    assert probe.read(str(tmp_path / "g")) is None
    place = probe.place(str(tmp_path))
    assert place is not None
    assert place.folder
    assert probe.place(str(tmp_path / "g")) is None
    assert probe.command("sh") is not None
    assert probe.command("no-such-command-here") is None
    assert probe.output("sh", "-c", "echo hello") == "hello"
    assert probe.output("sh", "-c", "echo hello; exit 1") is None
    assert probe.output("no-such-command-here") is None
    assert (probe.user("root"), probe.user("no-such-user")) == (True, False)
    assert (probe.group("root"), probe.group("no-such-group")) == (True, False)
    assert not probe.capable(str(tmp_path / "f"))
    assert probe.entries(str(tmp_path)) == ["f"]
    assert probe.entries(str(tmp_path / "f")) == []
    room = probe.space(str(tmp_path))
    assert room is not None
    assert 0 <= room.free <= room.size
    missing = probe.space(str(tmp_path / "g" / "h"))
    assert missing is not None
    assert missing.device == room.device
    assert probe.homes()


@pytest.fixture
def fine(monkeypatch: pytest.MonkeyPatch) -> None:
    """`eventctl doctor` on a host with everything."""
    monkeypatch.setattr(doctor_command, "HostProbe", host)


@pytest.mark.usefixtures("fine")
def test_doctor_works_without_a_daemon_and_says_that_there_is_none(tmp_path: Path) -> None:
    """The local checks stand; the daemon's absence is the one problem: exit 1, not 3."""
    result = eventctl("doctor", "--socket", short_path(tmp_path))
    assert result.code == 1
    assert result.out.startswith("BAD daemon ")
    assert "systemctl enable --now eventd" in result.out
    assert result.out.endswith("1 problem, 25 fine\n")


@pytest.mark.usefixtures("fine")
def test_what_the_daemon_found_is_merged(tmp_path: Path) -> None:
    """The daemon's checks are shown with ours, what is bad first, sanitised."""
    path = short_path(tmp_path)
    checks = [
        {"name": "network-online.target", "ok": True, "message": "reached", "hint": ""},
        {"name": "git remote", "ok": False, "message": "no \x1b[1mroute", "hint": "look"},
    ]
    with FakeDaemon(path, {"GET /v1/doctor": Answer({"checks": checks})}):
        result = eventctl("doctor", "--socket", path)
        document = json.loads(eventctl("doctor", "--socket", path, "--json").out)
    assert result.out.splitlines()[0].split() == ["BAD", "git", "remote", "no", "route"]
    assert result.code == 1
    assert document["checks"][-2:] == checks


@pytest.mark.usefixtures("fine")
def test_all_fine_is_0(tmp_path: Path) -> None:
    """Only a host without any problem is 0."""
    path = short_path(tmp_path)
    with FakeDaemon(path, {"GET /v1/doctor": Answer({"checks": []})}):
        result = eventctl("doctor", "--socket", path)
    assert (result.code, result.out.splitlines()[-1]) == (0, "all 26 checks are fine")
