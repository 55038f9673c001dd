"""The installed tree: every dependency has its reason, nothing waits on time, the generator does its job.

`systemd-analyze verify` and the units at work are in tests/host.
"""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from eventd.desired.model_content import COMPANIONS
from eventd.domains import tables
from eventd.settings import model, parse

ROOT = Path(__file__).parents[3] / "systemd"
UNITS = sorted(p for p in (ROOT / "usr/lib/systemd/system").iterdir())
GENERATOR = ROOT / "usr/lib/systemd/user-generators/eventd-user-generator"
_ORDERING = re.compile(
    r"(After|Before|Wants|Requires|Requisite|BindsTo|PartOf|Upholds|Conflicts|WantedBy|RequiredBy|OnFailure"
    r"|Condition\w+|Assert\w+)="
)


@pytest.mark.parametrize("path", UNITS, ids=lambda p: p.name)
def test_every_dependency_has_its_reason_above_it(path: Path):
    """Each After=, Wants=, Requires=, Condition…= and WantedBy= line follows a comment.

    And it names one thing.
    """
    lines = path.read_text().splitlines()
    found = [(lines[i - 1], line) for i, line in enumerate(lines) if _ORDERING.match(line)]
    assert found
    for above, line in found:
        assert above.startswith("# "), f"{path.name}: {line} has no reason above it"
        assert " " not in line.partition("=")[2], f"{path.name}: {line} names several things with one reason"


@pytest.mark.parametrize("path", UNITS, ids=lambda p: p.name)
def test_nothing_starts_by_the_clock(path: Path):
    """No timer, no delay, no wait for a network that may never come."""
    directives = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    for line in directives:
        assert "network-online.target" not in line
        assert not re.match(r"On\w+Sec=|OnCalendar=|ExecStartPre=.*sleep", line)
    assert path.suffix != ".timer"


@pytest.mark.parametrize("path", [p for p in UNITS if p.suffix == ".service"], ids=lambda p: p.name)
def test_each_service_runs_a_program_that_the_package_installs(path: Path):
    """ExecStart= is a script of pyproject.toml, below /usr/bin."""
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["project"]
    (command,) = re.findall(r"^ExecStart=/usr/bin/(\S+)", path.read_text(), re.MULTILINE)
    assert command in project["scripts"]


def test_the_daemon_has_bounds_that_nobody_outside_can_drive_it_over():
    """A bug ends at a limit, git is ended before the daemon, and the memory of the daemon gets on no disk."""
    text = (ROOT / "usr/lib/systemd/system/eventd.service").read_text().splitlines()
    found = dict(line.split("=", 1) for line in text if not line.startswith(("#", "[")) and "=" in line)
    assert found["OOMPolicy"] == "continue"
    assert found["LimitCORE"] == "0"
    assert int(found["TasksMax"]) <= 512
    high, most = (int(found[name].removesuffix("G")) for name in ("MemoryHigh", "MemoryMax"))
    assert high < most <= 2


def test_the_listener_for_the_network_has_no_privileges():
    """What parses bytes of strangers is no user of this host, has no capability, and opens no port itself."""
    text = (ROOT / "usr/lib/systemd/system/eventd-webhook.service").read_text()
    for line in ("DynamicUser=yes", "CapabilityBoundingSet=", "SocketBindDeny=any", "PrivateUsers=yes"):
        assert f"\n{line}\n" in text


def test_the_groups_and_folders_are_those_of_the_settings():
    """The installed accounts and folders are those of the daemon's settings.

    So are the groups of the sockets.
    """
    settings = model(tables()).model_validate({"repository": {"url": "/srv/x.git"}})
    sysusers = (ROOT / "usr/lib/sysusers.d/eventd.conf").read_text()
    named = {line.split()[1] for line in sysusers.splitlines() if not line.startswith("#")}
    assert {
        settings.git_account,
        settings.check_account,
        settings.api.group,
        settings.api.webhook_group,
    } <= named
    tmpfiles = (ROOT / "usr/lib/tmpfiles.d/eventd.conf").read_text()
    folders = {line.split()[1] for line in tmpfiles.splitlines() if not line.startswith("#")}
    paths = settings.paths
    assert {paths.quadlets, paths.units, paths.transforms, str(Path(paths.git).parent)} <= folders
    service = (ROOT / "usr/lib/systemd/system/eventd.service").read_text()
    assert f"RuntimeDirectory={Path(paths.runtime).name}\n" in service
    assert f"StateDirectory={Path(paths.state).name}\n" in service


def test_the_example_configuration_says_the_defaults():
    """The example loads as it is, and loads the same with all its commented-out defaults in force."""
    text = (ROOT / "usr/share/eventd/eventd.toml.example").read_text()
    plain = parse(text, "example")
    spelled = parse(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE), "example")
    assert spelled.model_copy(update={"host": plain.host}) == plain
    assert spelled.host.model_copy(update={"name": plain.host.name}) == plain.host


def test_the_example_configuration_has_every_key():
    """With its comments taken away it names all there is to set; the system bus has no default to show."""
    text = (ROOT / "usr/share/eventd/eventd.toml.example").read_text()
    written = tomllib.loads(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))
    missing = {
        f"{name}.{key}"
        for name, table in model(tables()).model_fields.items()
        for key in getattr(table.annotation, "model_fields", {"": None})
        if (key not in written.get(name, {}) if key else name not in written)
    }
    assert missing == {"dbus.system"}


class Generated:
    """Runs the generator as the user of the tests, on a folder of its own."""

    def __init__(self, tmp_path: Path) -> None:
        self.units = tmp_path / "units" / str(os.getuid())
        self.units.mkdir(parents=True)
        self.out = {name: tmp_path / name for name in ("normal", "early", "late")}
        for folder in self.out.values():
            folder.mkdir()
        self.early = self.out["early"]

    def run(self) -> str:
        """Return what it complained about."""
        # The path is a constant of the generator, so that no environment can change it: a copy has the
        # test's.
        text = GENERATOR.read_text()
        assert text.count("from=/etc/eventd/units/$uid\n") == 1
        copy = self.early.parent / "generator"
        copy.write_text(text.replace("from=/etc/eventd/units/", f"from={self.units.parent}/"))
        completed = subprocess.run(
            ["/bin/sh", copy, *self.out.values()],
            env={"PATH": "/usr/bin:/bin"},
            check=True,
            capture_output=True,
            text=True,
        )
        assert completed.stdout == ""
        assert not any(self.out["normal"].iterdir())
        assert not any(self.out["late"].iterdir())
        return completed.stderr

    def found(self) -> set[str]:
        return {str(p.relative_to(self.early)) for p in self.early.rglob("*") if not p.is_dir()}


@pytest.fixture
def generated(tmp_path: Path) -> Generated:
    return Generated(tmp_path)


def test_companions_are_copied_early_with_their_source(generated: Generated):
    """A companion comes out byte for byte, below a SourcePath= that names the file it was made from."""
    text = "# backup\n[Unit]\nDescription=back\\\nup \\x20\n\n[Service]\nExecStart=/bin/true %n\n\n\n"
    (generated.units / "backup.service").write_text(text)
    assert generated.run() == ""
    copied = (generated.early / "backup.service").read_text()
    assert copied == f"[Unit]\nSourcePath={generated.units}/backup.service\n\n{text}"
    assert (generated.early / "backup.service").stat().st_mode & 0o7777 == 0o644


@pytest.mark.parametrize("extension", sorted(COMPANIONS))
def test_every_kind_of_companion_that_eventd_accepts_is_known(generated: Generated, extension: str):
    """What `eventctl check` accepts as a companion, the generator hands to systemd, with drop-ins."""
    (generated.units / f"a.{extension}").write_text("[Unit]\n")
    (generated.units / f"b.{extension}.d").mkdir()
    (generated.units / f"b.{extension}.d/10.conf").write_text("[Unit]\nDescription=b\n")
    assert generated.run() == ""
    assert generated.found() == {f"a.{extension}", f"b.{extension}.d/10.conf"}
    assert (generated.early / f"b.{extension}.d/10.conf").read_text() == "[Unit]\nDescription=b\n"


def test_the_install_section_becomes_links(generated: Generated):
    """WantedBy= and RequiredBy= are links, as systemctl enable would make them; an empty value resets."""
    (generated.units / "a.timer").write_text(
        "[Unit]\nWantedBy=no.target\n[Install]\nWantedBy=x.target\nWantedBy=\n"
        "WantedBy = timers.target  default.target\nRequiredBy=web.service"
    )
    assert generated.run() == ""
    assert generated.found() == {
        "a.timer",
        "timers.target.wants/a.timer",
        "default.target.wants/a.timer",
        "web.service.requires/a.timer",
    }
    link = generated.early / "timers.target.wants/a.timer"
    assert link.resolve() == generated.early / "a.timer"


def test_an_install_target_cannot_lead_out_of_the_folder(generated: Generated):
    """A name with a slash or a leading dot makes no link and a complaint; a glob is not expanded."""
    (generated.units / "a.timer").write_text("[Install]\nWantedBy=../../x /etc/y .z *\n")
    complaints = generated.run()
    assert complaints.count("is not used") == 3
    assert generated.found() == {"a.timer", "*.wants/a.timer"}


def test_templates_are_copied_and_not_enabled(generated: Generated):
    """A template has no instance to enable by itself."""
    (generated.units / "a@.service").write_text("[Install]\nWantedBy=default.target\n")
    generated.run()
    assert generated.found() == {"a@.service"}


def test_what_is_no_unit_is_left_alone(generated: Generated):
    """Temporary files, other files, nested folders and symlinks are not handed to systemd.

    A symlink is told.
    """
    (generated.units / ".eventd-tmp-1.service").write_text("")
    (generated.units / "notes.txt").write_text("")
    (generated.units / "data").mkdir()
    (generated.units / "data/x.service").write_text("")
    (generated.units / "link.service").symlink_to("/etc/hostname")
    (generated.units / "a.service.d").mkdir()
    (generated.units / "a.service.d/notes.txt").write_text("")
    (generated.units / "a.service.d/link.conf").symlink_to("/etc/hostname")
    assert "link.service is a symlink" in generated.run()
    assert generated.found() == set()


def test_another_users_units_are_not_seen(generated: Generated):
    """Only the folder of its own uid counts, and none is fine."""
    other = generated.units.parent / "4242"
    other.mkdir()
    (other / "a.service").write_text("[Unit]\n")
    generated.units.rmdir()
    assert generated.run() == ""
    assert generated.found() == set()


def test_a_folder_that_is_a_symlink_is_not_followed(generated: Generated, tmp_path: Path):
    """The folder of a uid is a folder, or it is nothing."""
    elsewhere = tmp_path / "elsewhere"
    generated.units.rename(elsewhere)
    (elsewhere / "a.service").write_text("[Unit]\n")
    generated.units.symlink_to(elsewhere)
    generated.run()
    assert generated.found() == set()


def test_the_generator_is_executable_and_plain_sh():
    """It is installed executable; and it starts no process but cat, ln and mkdir."""
    assert GENERATOR.stat().st_mode & 0o111 == 0o111
    text = GENERATOR.read_text()
    assert text.startswith("#!/bin/sh\n")
    assert "$(" not in text
    assert "`" not in "".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
