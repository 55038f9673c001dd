"""The local adapters and the installed tree on a real host.

useradd, the journal, user managers, the sandbox.
"""

from __future__ import annotations

import json
import re
import textwrap
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.host.machine import Machine

UNITS = ("eventd.service", "eventd-webhook.service", "eventd-webhook.socket")


def python(machine: Machine, body: str, *, timeout: float = 240) -> Any:
    """Run `body`, in which `main` is an async function, with eventd's own Python; return what it returns."""
    program = (
        "import asyncio, json\nfrom eventd.kernel.model.errors import EventdError\n"
        + textwrap.dedent(body)
        + "\nprint(json.dumps(asyncio.run(main())))\n"
    )
    return json.loads(machine.run(["/opt/eventd/bin/python", "-"], input=program, timeout=timeout).stdout)


@pytest.fixture(scope="module")
def web(machine: Machine) -> dict[str, Any]:
    """A workload's account, made by the adapter, with its manager up."""
    account = python(
        machine,
        """
        from dataclasses import asdict
        from eventd.accounts.adapter import SystemAccounts
        async def main():
            return asdict(await SystemAccounts().create("web", timeout=120))
        """,
    )
    machine.run(["loginctl", "enable-linger", "web"])
    machine.run(["systemctl", "start", f"user@{account['uid']}.service"])
    assert isinstance(account, dict)
    return account


def test_the_units_verify_without_a_word(machine: Machine) -> None:
    """systemd-analyze verify finds nothing to say about the installed units."""
    done = machine.run(["systemd-analyze", "verify", *(f"/usr/lib/systemd/system/{unit}" for unit in UNITS)])
    assert done.stdout + done.stderr == ""


def security_page() -> tuple[dict[str, float], dict[str, set[str]]]:
    """Return what docs/explanation/security.md says of each unit: its figure, and which lines stay open."""
    text = (Path(__file__).parents[2] / "docs/explanation/security.md").read_text("utf-8")
    figures = re.findall(r"^\| `([\w@-]+\.service)` \| ([\d.]+) \|", text, re.MULTILINE)
    lines: dict[str, set[str]] = {unit: set() for unit, _ in figures}
    for name, units in re.findall(
        r"^\| `([^`]+=[^`]*)` \| ((?:`[\w@-]+\.service`(?:, )?)+) \|", text, re.MULTILINE
    ):
        for unit in re.findall(r"`([^`]+)`", units):
            lines[unit].add(name)
    return {unit: float(figure) for unit, figure in figures}, lines


FIGURES, OPEN = security_page()


def test_every_unit_of_the_system_is_in_the_page(machine: Machine) -> None:
    """A new one needs its row, and each of its open lines a reason."""
    assert set(machine.run("ls eventd*.service", cwd="/usr/lib/systemd/system").stdout.split()) == set(
        FIGURES
    )


@pytest.mark.parametrize("unit", FIGURES)
def test_the_sandbox_is_as_tight_as_it_was(machine: Machine, unit: str) -> None:
    """systemd-analyze security finds no more than the page explains, and computes no more than it says."""
    instance = unit.replace("@.", "@x.")
    analyze = ["systemd-analyze", "security", "--no-pager"]
    rows = json.loads(machine.run([*analyze, "--json=short", instance]).stdout)
    found = {row["name"].replace("|", ", ") for row in rows if row["set"] is False and row["exposure"]}
    assert found == OPEN[unit]
    machine.run([*analyze, f"--threshold={round(FIGURES[unit] * 10)}", instance])


def test_an_account_as_useradd_makes_it(machine: Machine, web: dict[str, Any]) -> None:
    """Locked, without a login shell, at home in a folder of its own, with its own 65,536 subordinate ids."""
    assert web["shell"] == "/usr/sbin/nologin"
    assert machine.run(["passwd", "--status", "web"]).stdout.split()[1] == "L"
    assert "eventd-managed" in machine.run(["id", "-nG", "web"]).stdout.split()
    home = machine.stat(web["home"])
    assert home is not None
    assert home["uid"] == web["uid"]
    assert f"web:{web['subuid'][0]}:65536" in machine.read("/etc/subuid").splitlines()
    mapped = machine.run(["podman", "unshare", "cat", "/proc/self/uid_map"], user="web").stdout.split()
    assert mapped[-2:] == [str(web["subuid"][0]), "65536"]


def test_eight_accounts_at_once(machine: Machine) -> None:
    """Created side by side they do not fail on useradd's lock, and no two share a subordinate id."""
    accounts = python(
        machine,
        """
        from dataclasses import asdict
        from eventd.accounts.adapter import SystemAccounts
        async def main():
            accounts = SystemAccounts()
            made = await asyncio.gather(*(accounts.create(f"many{n}", timeout=120) for n in range(8)))
            return [asdict(account) for account in made]
        """,
    )
    for ranges in ("subuid", "subgid"):
        firsts = sorted(account[ranges][0] for account in accounts)
        assert all(b - a >= 65536 for a, b in pairwise(firsts))


@pytest.mark.parametrize(
    ("prepare", "name", "reason"),
    [
        ("groupadd taken", "taken", "group-exists"),
        ("mkdir /home/squat", "squat", "home-exists"),
        ("true", "Not Valid", "invalid-name"),
        ("useradd -M there", "there", "account-exists"),
    ],
)
def test_real_refusals_have_their_reasons(machine: Machine, prepare: str, name: str, reason: str) -> None:
    """What useradd says in its exit status is what the error's reason says, and nothing was made."""
    machine.run(prepare)
    before = machine.read("/etc/passwd")
    found = python(
        machine,
        f"""
        from eventd.accounts.adapter import SystemAccounts
        async def main():
            try:
                await SystemAccounts().create({name!r}, timeout=120)
            except EventdError as error:
                return error.reason
        """,
    )
    assert found == reason
    assert machine.read("/etc/passwd") == before


def test_ranges_are_added_where_useradd_gives_none(machine: Machine) -> None:
    """With SUB_UID_COUNT=0 the adapter asks usermod for free ranges."""
    machine.run("cp -a /etc/login.defs /root/; echo 'SUB_UID_COUNT 0\nSUB_GID_COUNT 0' >> /etc/login.defs")
    try:
        account = python(
            machine,
            """
            from dataclasses import asdict
            from eventd.accounts.adapter import SystemAccounts
            async def main():
                return asdict(await SystemAccounts().create("norange", timeout=120))
            """,
        )
    finally:
        machine.run("cp -a /root/login.defs /etc/")
    assert account["subuid"][1] == account["subgid"][1] == 65536


def test_account_facts_follow_useradd(machine: Machine) -> None:
    """The source tells of a useradd and a userdel by somebody else, with ranges that are complete."""
    told = python(
        machine,
        """
        from eventd.accounts.adapter import SystemAccounts
        from eventd.platform.inotify import Inotify
        from eventd.platform.processes.process import run
        from eventd.accounts.source import AccountSource
        async def main():
            facts, changed = {}, asyncio.Event()
            def emit(origin, kind, subject, *, facts=(), latest=facts, **_):
                latest.update({key.name: value for key, value in facts})
                changed.set()
            inotify = Inotify()
            source = AccountSource(inotify, emit, SystemAccounts())
            tasks = [asyncio.create_task(inotify.run()), asyncio.create_task(source.run())]
            async def until(condition):
                async with asyncio.timeout(120):
                    while not condition(facts.get("other")):
                        changed.clear()
                        await changed.wait()
            await source.known(["other"])
            seen = [facts["other"] is None]
            (await run(["useradd", "-m", "other"], timeout=120)).require()
            await until(lambda a: a is not None and a.subuid is not None and a.subgid is not None)
            seen.append(facts["other"].subuid[1])
            (await run(["userdel", "-r", "other"], timeout=120)).require()
            await until(lambda a: a is None)
            for task in tasks:
                task.cancel()
            return seen
        """,
    )
    assert told == [True, 65536]


COMPANION = """\
[Unit]
Description=companion

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'echo word from the companion; exit 3'

[Install]
WantedBy=default.target
"""


def test_companion_units_come_from_etc_and_are_not_shadowed(machine: Machine, web: dict[str, Any]) -> None:
    """A companion is loaded from the early folder, with its SourcePath.

    So it is whatever the home holds by the same name.
    """
    folder = f"/etc/eventd/units/{web['uid']}"
    machine.write(f"{folder}/job.service", COMPANION)
    machine.write(f"{folder}/job.timer", "[Timer]\nOnCalendar=yearly\n[Install]\nWantedBy=timers.target\n")
    machine.write(f"{folder}/job.timer.d/10.conf", "[Unit]\nDescription=from a drop-in\n")
    home = f"{web['home']}/.config/systemd/user"
    machine.write(f"{home}/job.service", "[Service]\nExecStart=/bin/false\n")
    machine.run(["chown", "-R", "web:web", f"{web['home']}/.config"])
    machine.run(["systemctl", "--user", "daemon-reload"], user="web")
    early = f"/run/user/{web['uid']}/systemd/generator.early"
    assert machine.show("job.service", "FragmentPath", "SourcePath", "UnitFileState", user="web") == {
        "FragmentPath": f"{early}/job.service",
        "SourcePath": f"{folder}/job.service",
        "UnitFileState": "generated",
    }
    timer = machine.show("job.timer", "SourcePath", "Description", "DropInPaths", "WantedBy", user="web")
    assert timer == {
        "SourcePath": f"{folder}/job.timer",
        "Description": "from a drop-in",
        "DropInPaths": f"{early}/job.timer.d/10.conf",
        "WantedBy": "timers.target",
    }


def test_a_changed_companion_says_that_it_needs_a_reload(machine: Machine, web: dict[str, Any]) -> None:
    """Through SourcePath= systemd knows that the file it was made from has changed."""
    path = f"/etc/eventd/units/{web['uid']}/again.service"
    machine.write(path, COMPANION)
    machine.run(["systemctl", "--user", "daemon-reload"], user="web")
    show = ("again.service", "NeedDaemonReload")
    assert machine.show(*show, user="web") == {"NeedDaemonReload": "no"}
    machine.run(["touch", "-d", "+1 minute", path])
    assert machine.show(*show, user="web") == {"NeedDaemonReload": "yes"}


def test_the_generator_is_quick(machine: Machine, web: dict[str, Any]) -> None:
    """Twenty companions cost a manager's start well under a tenth of a second."""
    for number in range(20):
        machine.write(f"/etc/eventd/units/{web['uid']}/quick{number}.service", COMPANION)
    try:
        script = """
        mkdir -p /tmp/g/n /tmp/g/e /tmp/g/l
        for turn in 1 2 3 4 5; do
            start=$(date +%s%N)
            /usr/lib/systemd/user-generators/eventd-user-generator /tmp/g/n /tmp/g/e /tmp/g/l
            echo $(( $(date +%s%N) - start ))
        done
        """
        # The best of five: what else the machine does in between is not the generator's.
        took = min(int(line) for line in machine.run(script, user="web").stdout.split()) / 1e9
    finally:
        machine.run(f"rm /etc/eventd/units/{web['uid']}/quick*.service")
    print(f"20 companions: {took * 1000:.1f} ms")  # noqa: T201  for the report
    assert took < 0.5


def until(machine: Machine, command: str, user: str | None = None) -> None:
    """Run a command until it succeeds."""
    machine.run(["timeout", "120", "sh", "-c", f"until {command}; do sleep 0.1; done"], user=user)


def test_the_journal_of_a_failing_user_unit(machine: Machine, web: dict[str, Any]) -> None:
    """The lines of its processes and of its manager, of this invocation, and of this user alone."""
    # It ends once journald has its line: that looks up whose a line is by the process, which has to be there still.
    ends = "echo word from the companion; until test -e /run/eventd-test-end; do sleep 0.05; done; exit 3"
    text = COMPANION.replace("echo word from the companion; exit 3", ends)
    machine.write(f"/etc/eventd/units/{web['uid']}/fails.service", text)
    machine.run(["systemctl", "--user", "daemon-reload"], user="web")
    machine.run(["systemctl", "--user", "start", "--no-block", "fails.service"], user="web")
    until(machine, "journalctl --quiet _SYSTEMD_USER_UNIT=fails.service | grep -q companion$")
    machine.write("/run/eventd-test-end", "")
    until(machine, "systemctl --user --quiet is-failed fails.service", user="web")
    # The manager's word of it goes another way.
    until(machine, f"journalctl --quiet _UID={web['uid']} USER_UNIT=fails.service | grep -q status=3")
    invocation = machine.show("fails.service", "InvocationID", user="web")["InvocationID"]
    lines, other = python(
        machine,
        f"""
        from eventd.platform.unit_log import JournalReader
        from eventd.platform.model_facts import Account
        async def main():
            web = Account("web", {web["uid"]}, {web["uid"]}, "/")
            other = Account("x", {web["uid"]} + 1, 1, "/")
            journal = JournalReader()
            return [
                list(await journal.tail(web, "fails.service", lines=20, invocation={invocation!r})),
                list(await journal.tail(other, "fails.service", lines=20)),
            ]
        """,
    )
    assert "word from the companion" in lines
    assert any("status=3" in line for line in lines)
    assert other == []


def test_the_sandbox_lets_the_daemon_do_its_work(machine: Machine) -> None:
    """The directives of eventd.service leave room for its work.

    Accounts, owned files, processes of another user: all can be made. What is not its business is read-only.
    """
    machine.write(
        "/etc/systemd/system/eventd-probe.service.d/probe.conf",
        "[Service]\nType=oneshot\nExecStart=\nExecStart=/opt/eventd/bin/python /srv/probe.py\nRestart=no\n",
    )
    machine.write(
        "/srv/probe.py",
        textwrap.dedent(
            """
            import asyncio, os
            from eventd.accounts.adapter import SystemAccounts
            from eventd.files.adapter import OwnedFiles
            from eventd.platform.processes.unit_process import Processes
            from eventd.platform.processes.unit_rights import AsUser
            async def main():
                account = await SystemAccounts().create("probed", timeout=120)
                files = OwnedFiles(["/etc/eventd/units", "/etc/containers/systemd/users"])
                await files.put(f"/etc/eventd/units/{account.uid}/x.service", b"[Unit]\\n", mode=0o644)
                await files.put(f"/etc/containers/systemd/users/{account.uid}/x.container", b"", mode=0o644)
                done = await Processes().run(AsUser(account), ["id", "-u"], timeout=60)
                assert int(done.stdout) == account.uid, done
                for refused in ("/usr/x", "/boot/x", "/opt/x", "/root/x"):
                    try:
                        open(refused, "w")
                    except OSError:
                        continue
                    raise SystemExit(f"{refused} can be written")
            asyncio.run(main())
            """
        ),
    )
    unit = machine.read("/usr/lib/systemd/system/eventd.service")
    lines = [line for line in unit.splitlines() if not line.startswith(("Type=", "Condition", "WatchdogSec"))]
    machine.write("/etc/systemd/system/eventd-probe.service", "\n".join(lines) + "\n")
    machine.run(["systemctl", "daemon-reload"])
    done = machine.run(["systemctl", "start", "eventd-probe.service"], check=False)
    assert done.returncode == 0, machine.journal("eventd-probe.service")


def test_missing_credentials_are_no_obstacle(machine: Machine) -> None:
    """None is needed; a plain and an encrypted one arrive under the names that the daemon reads."""
    script = "ls $CREDENTIALS_DIRECTORY; cat $CREDENTIALS_DIRECTORY/* 2>/dev/null || true"
    wanted = [
        line
        for line in machine.read("/usr/lib/systemd/system/eventd.service").splitlines()
        if line.startswith(("LoadCredential", "ImportCredential"))
    ]
    machine.write(
        "/etc/systemd/system/creds.service",
        "[Service]\nType=oneshot\nStandardOutput=truncate:/run/creds\n"
        + "\n".join(wanted)
        + f"\nExecStart=sh -c '{script}'\n",
    )
    machine.run("systemctl daemon-reload && systemctl start creds.service")
    assert machine.read("/run/creds") == ""
    machine.write("/etc/credstore/eventd.git-ssh-key", "plain\n", mode=0o600)
    seal = "systemd-creds encrypt --name=git-https-token"
    sealed = "/etc/credstore.encrypted/eventd.git-https-token"
    machine.run(f"mkdir -p /etc/credstore.encrypted; echo sealed | {seal} - {sealed}")
    machine.run(["systemctl", "start", "creds.service"])
    assert machine.read("/run/creds").split() == ["git-https-token", "git-ssh-key", "sealed", "plain"]
    machine.run(["rm", "/etc/credstore/eventd.git-ssh-key", sealed])
