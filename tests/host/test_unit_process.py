"""On a real host: commands with another user's rights, each in a unit of its own."""

import json
import textwrap
from typing import Any

import pytest

from tests.host.machine import Machine

PRELUDE = """\
import asyncio, json, os, sys
from eventd.platform.processes.unit_process import Processes
from eventd.platform.processes.unit_rights import AsNobody, AsRoot, AsUser, InManager
from eventd.kernel.model.errors import EventdError
from eventd.platform.model_facts import Account
WEB = Account("web", WEB_UID, WEB_UID, "/home/web")
processes = Processes()
async def said(who, *argv, timeout=60, **how):
    try:
        done = await processes.run(who, argv, timeout=timeout, **how)
    except EventdError as error:
        return {"reason": error.reason, "message": error.message}
    return {"status": done.status, "out": done.stdout.decode(), "err": done.stderr.decode()}
def shell(who, script, *more, **how):
    return said(who, "sh", "-c", script, *more, **how)
"""


@pytest.fixture(scope="module")
def host(machine: Machine) -> Machine:
    """A host with one user whose manager runs."""
    machine.run("useradd -m web && loginctl enable-linger web && systemctl start user@$(id -u web).service")
    return machine


def python(host: Machine, body: str) -> Any:
    """Run a function's body as root there; returns what it returns, over JSON."""
    uid = host.run(["id", "-u", "web"]).stdout.strip()
    script = PRELUDE.replace("WEB_UID", uid)
    script += "async def main():\n" + textwrap.indent(textwrap.dedent(body), "    ")
    script += "\nprint(json.dumps(asyncio.run(main())))\n"
    host.write("/root/script.py", script)
    return json.loads(host.run(["/opt/eventd/bin/python", "/root/script.py"]).stdout.splitlines()[-1])


LOOK = r"id -u; id -g; grep -E '^(CapBnd|NoNewPrivs)' /proc/self/status; tail -1 /proc/self/cgroup"


def test_each_has_the_rights_that_were_asked_for_and_a_unit_of_its_own(host: Machine) -> None:
    """The user's own, nobody's, root's one, and the user's session: none of them in the caller's cgroup."""
    found = python(
        host,
        f"""
        look = {LOOK!r}
        return [await shell(who, look) for who in (AsUser(WEB), AsNobody(), AsRoot(), InManager(WEB))]
        """,
    )
    user, nobody, root, session = [each["out"].split() for each in found]
    uid = host.run(["id", "-u", "web"]).stdout.strip()
    assert user[:2] == [uid, uid]
    assert 61184 <= int(nobody[0]) <= 65519
    assert int(nobody[3], 16) == 0
    assert root[0] == "0"
    assert int(root[3], 16) == 1 << 7  # CAP_SETUID
    assert session[0] == uid
    assert [each[5] for each in (user, nobody, root)] == ["1"] * 3
    assert all("/system.slice/eventd-sh-" in each[-1] for each in (user, nobody, root))
    assert f"/user@{uid}.service/" in session[-1]


def test_it_is_judged_as_a_process_of_ours_would_be(host: Machine) -> None:
    """Exit status, signal, output, errors, and arguments that systemd would take for variables."""
    found = python(
        host,
        """
        return [
            await shell(AsUser(WEB), 'printf "%s" "$1"; echo bad >&2; exit 7', "sh", "$HOME ${USER} %n\\n'\\""),
            await shell(AsUser(WEB), "kill -TERM $$"),
            await said(AsUser(WEB), "eventd-no-such-command"),
            await said(AsUser(Account("ghost", 54321, 54321, "/")), "true"),
            await said(AsUser(WEB), "yes", output_limit=10_000),
            await said(AsUser(WEB), "sleep", "600", timeout=0.5),
            await shell(AsUser(WEB), 'printf "$A"', environment={"A": "x y"}),
        ]
        """,
    )
    assert found[0] == {"status": 7, "out": "$HOME ${USER} %n\n'\"", "err": "bad\n"}
    assert found[1]["status"] == -15
    assert [each["reason"] for each in found[2:6]] == [
        "command-missing",
        "not-permitted",
        "output-limit",
        "deadline",
    ]
    assert found[6]["out"] == "x y"


def test_nothing_of_it_goes_on(host: Machine) -> None:
    """What it leaves behind, what is over its deadline and what is cancelled: its unit and all in it have ended."""
    left = python(
        host,
        """
        before = sorted(os.listdir("/proc/self/fd"))
        await shell(AsUser(WEB), "setsid sleep 4242 & exit 0")
        await shell(AsUser(WEB), "setsid sleep 4242 & sleep 4242", timeout=2)
        running = asyncio.create_task(shell(AsUser(WEB), "sleep 4242"))
        await asyncio.sleep(0.5)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await shell(InManager(WEB), "setsid sleep 4242 & sleep 4242", timeout=2)
        ours = await asyncio.create_subprocess_exec("pgrep", "-f", "sleep 4242", stdout=-1)
        pids = (await ours.communicate())[0].decode().split()
        return [pids, before == sorted(os.listdir("/proc/self/fd"))]
        """,
    )
    assert left == [[], True]
    for extra in ([], ["--user", "-M", "web@"]):
        units = ["systemctl", *extra, "list-units", "--all", "--no-legend", "eventd-sh-*"]
        assert host.run(units).stdout.strip() == ""


def test_who_keeps_the_output_open_keeps_nobody_waiting(host: Machine) -> None:
    """A command can give its end of the pipe to somebody who lives on: the end of the unit is what counts."""
    host.run(["systemd-run", "-q", "--uid=web", "--unit=keeper", "python3", "-c", KEEPER])
    host.run("timeout 60 sh -c 'until test -S /tmp/keeper; do sleep 0.05; done'")
    found = python(host, f"return await said(AsUser(WEB), 'python3', '-c', {GIVER!r}, timeout=30)")
    assert found["status"] == 0
    assert found["out"].startswith("mine")
    host.run(["systemctl", "stop", "keeper.service"])


KEEPER = """\
import socket, time, os
listener = socket.socket(socket.AF_UNIX)
listener.bind("/tmp/keeper")
listener.listen()
peer = listener.accept()[0]
fds = socket.recv_fds(peer, 1, 2)[1]
peer.sendall(b"x")
while True:
    os.write(fds[0], b"still here")
"""
GIVER = """\
import socket, os
os.write(1, b"mine")
peer = socket.socket(socket.AF_UNIX)
peer.connect("/tmp/keeper")
socket.send_fds(peer, [b"x"], [1, 2])
peer.recv(1)
"""
