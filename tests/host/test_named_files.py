"""Files of the host that a workload names: what their change, their loss and their coming do, on a real host."""

import json

import pytest

from tests.host.machine import Machine
from tests.host.operator import Operator, container, workload

ENV = "/etc/secrets/web.env"
OTHER = "other"


@pytest.fixture(scope="module")
def op(machine: Machine) -> Operator:
    """Two workloads: one with an env file outside of the repository, one beside it that names none."""
    operator = Operator(machine)
    operator.install()
    machine.run("mkdir -m 755 /etc/secrets")
    secret(operator, "one")
    status = operator.deploy(
        {
            "workloads/web/web.container": container(more=f"EnvironmentFile={ENV}\n"),
            "workloads/web/side.container": container(note="beside it"),
            f"workloads/{OTHER}/{OTHER}.container": container(),
        }
    )
    assert status["state"] == "converged", status
    return operator


def secret(op: Operator, value: str, path: str = ENV) -> None:
    """Write a secret as a deployment tool does: beside it, and then by a rename."""
    op.machine.write(f"{path}.new", f"TOKEN={value}\n")
    op.machine.run(f"chmod 644 {path}.new && mv {path}.new {path}")


def token(op: Operator, name: str = "systemd-web", user: str = "web") -> str:
    """Return what the process in the container was started with; empty while there is none."""
    command = f'cd / && podman exec {name} sh -c \'tr "\\0" "\\n" < /proc/1/environ\' | grep ^TOKEN='
    return op.machine.run(command, user=user, check=False).stdout.strip().removeprefix("TOKEN=")


def invocations(op: Operator) -> dict[str, str]:
    """Return which starts are on of what does not use the file."""
    return {
        "side": op.user_unit("web", "side.service", "InvocationID")["InvocationID"],
        OTHER: op.invocation(OTHER),
    }


def until_token(op: Operator, value: str) -> None:
    """Wait until the container runs with a value, verified."""
    op.until(lambda _s: token(op) == value, f"a container with {value}")
    op.state("web", "converged")


def test_a_rotated_secret_restarts_what_uses_it_and_nothing_else(op: Operator) -> None:
    """Replaced by a rename, edited in place, and written to the same again: two restarts of one unit."""
    before = invocations(op)
    assert token(op) == "one"
    secret(op, "two")
    until_token(op, "two")
    op.machine.run(f"echo TOKEN=three > {ENV}")
    until_token(op, "three")
    started = op.invocation("web")
    op.machine.run(f"echo TOKEN=three > {ENV}; touch {ENV}")
    op.machine.run(f"chmod 640 {ENV}; chmod 644 {ENV}")
    op.machine.run(["eventctl", "sync", "--wait"])
    assert op.invocation("web") == started
    assert invocations(op) == before
    runs = json.loads(op.machine.run(["eventctl", "runs", "--json"]).stdout)
    assert runs


def test_a_deleted_file_is_said_at_once_and_its_return_is_enough(op: Operator) -> None:
    """It runs on, is no longer called converged, says which line needs what; back with another content, it restarts."""
    started = op.invocation("web")
    op.machine.run(f"mv {ENV} /etc/kept.env")
    row = op.state("web", "at-risk")
    assert row["reason"] == "file-missing"
    assert f"{ENV} is missing" in row["message"]
    assert "web.container, line" in row["message"]
    assert op.invocation("web") == started
    assert "missing" in op.ctl("why", "web")[1]
    op.machine.run(f"mv /etc/kept.env {ENV}")
    op.state("web", "converged")
    assert op.invocation("web") == started
    op.machine.run(f"rm {ENV}")
    op.state("web", "at-risk")
    secret(op, "four")
    until_token(op, "four")


def test_what_failed_for_want_of_its_file_starts_when_it_comes(op: Operator) -> None:
    """With its folder, long after systemd has given up."""
    path = "/etc/later/deep/late.env"
    unit = container(more=f"EnvironmentFile={path}\n", service="Restart=on-failure\nRestartSec=100ms\n")
    op.commit({"workloads/late/late.container": unit})
    op.push()
    op.until(
        lambda s: any(w["name"] == "late" and w["reason"] == "start-limit-hit" for w in s["workloads"]),
        "given up by systemd",
    )
    op.machine.run("mkdir -p /etc/later/deep")
    secret(op, "late", path)
    op.state("late", "converged")
    assert token(op, "systemd-late", "late") == "late"


def test_a_secret_behind_links_is_watched_where_it_is(op: Operator) -> None:
    """As agents write them: a link to a folder of a generation, which is switched as a whole; on a tmpfs."""
    m = op.machine
    m.run(
        "mkdir -p /run/agent.d/1 /run/agent.d/2 && echo TOKEN=g1 > /run/agent.d/1/x && echo TOKEN=g2 > /run/agent.d/2/x"
    )
    m.run("ln -s agent.d/1 /run/agent")
    op.deploy({"workloads/web/web.container": container(more="EnvironmentFile=/run/agent/x\n")})
    until_token(op, "g1")
    m.run("ln -s agent.d/2 /run/agent.new && mv -T /run/agent.new /run/agent")
    until_token(op, "g2")
    m.run("echo TOKEN=g3 > /run/agent.d/2/x")
    until_token(op, "g3")


def test_a_file_in_the_home_is_watched_by_the_account_itself(op: Operator) -> None:
    """Root follows nothing in a home: a link out of it leads where the account may go, and no further."""
    m = op.machine
    m.run("mkdir -p ~/conf && echo TOKEN=h1 > ~/conf/web.env", user="web")
    op.deploy({"workloads/web/web.container": container(more="EnvironmentFile=%h/conf/web.env\n")})
    until_token(op, "h1")
    m.run("echo TOKEN=h2 > ~/conf/web.env", user="web")
    until_token(op, "h2")
    m.run("echo TOKEN=h3 > ~/conf/n && mv ~/conf/n ~/conf/web.env", user="web")
    until_token(op, "h3")
    m.write("/etc/roots.env", "TOKEN=root\n")
    m.run("chmod 600 /etc/roots.env")
    started = op.invocation("web")
    m.run("rm ~/conf/web.env && ln -s /etc/roots.env ~/conf/web.env", user="web")
    row = op.state("web", "at-risk")
    assert row["reason"] == "file-unreadable"
    assert op.invocation("web") == started
    m.run("rm ~/conf/web.env && mkfifo ~/conf/web.env", user="web")
    op.until(lambda s: "a fifo" in workload(s, "web")["message"], "a fifo found out")
    m.run("rm ~/conf/web.env && echo TOKEN=h3 > ~/conf/web.env", user="web")
    op.state("web", "converged")
    assert op.invocation("web") == started


def test_it_is_only_reported_where_the_workload_says_so(op: Operator) -> None:
    """`on_change = "report"`: it runs on, is held with the reason, and the hint's command ends that."""
    op.deploy(
        {
            "workloads/web/web.container": container(more=f"EnvironmentFile={ENV}\n"),
            "workloads/web/workload.toml": '[files]\non_change = "report"\n',
        }
    )
    until_token(op, "four")
    secret(op, "five")
    row = op.state("web", "held")
    assert row["reason"] == "restart-pending"
    assert token(op) == "four"
    assert row["hint"].startswith("eventctl restart web;")
    assert op.ctl("restart", "web")[0] == 0
    until_token(op, "five")
    secret(op, "six")
    op.state("web", "held")
    op.machine.run(["systemctl", "--user", "restart", "web.service"], user="web")
    until_token(op, "six")


STACK = """\
services:
  app:
    image: localhost/busybox:1
    pull_policy: never
    command: ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $$!; done"]
    env_file: [/etc/secrets/shop.env]
    stop_grace_period: 1s
"""
PROVIDER = "/usr/local/bin/composer"


def test_the_files_of_a_stack_are_watched_too(op: Operator) -> None:
    """One that is missing fails the start by name, and starts it when it comes; another content restarts the stack."""
    op.commit({"workloads/shop/compose.yaml": STACK})
    op.push()
    row = op.state("shop", "failed")
    assert "/etc/secrets/shop.env" in row["message"]
    secret(op, "s1", "/etc/secrets/shop.env")
    op.state("shop", "converged")
    assert token(op, "shop-app-1", "shop") == "s1"
    secret(op, "s2", "/etc/secrets/shop.env")
    op.until(lambda _s: token(op, "shop-app-1", "shop") == "s2", "a stack with s2")
    op.state("shop", "converged")


def test_a_compose_provider_that_is_not_there_takes_no_stack_down(op: Operator) -> None:
    """It is refused by --check-config, and nothing is written for it; when it comes, the stack is restarted with it."""
    m, config = op.machine, "/etc/eventd/eventd.toml"
    started = op.invocation("shop")
    m.write(config, f'{m.read(config)}\n[compose]\nprovider = "{PROVIDER}"\n')
    refused = m.run(["eventd", "--check-config"], check=False)
    assert refused.returncode == 1
    assert PROVIDER in refused.stderr
    m.run(["systemctl", "restart", "eventd.service"])
    row = op.state("shop", "held")
    assert row["reason"] == "no-compose-provider"
    assert op.invocation("shop") == started
    uid = row["uid"]
    assert PROVIDER not in m.read(f"/etc/eventd/units/{uid}/shop.service")
    code, said = op.ctl("doctor")
    assert code == 1
    assert "stacks on this host: shop" in said
    m.run(f"printf '#!/bin/sh\\nexec docker-compose \"$@\"\\n' > {PROVIDER}.new && chmod 755 {PROVIDER}.new")
    m.run(f"mv {PROVIDER}.new {PROVIDER}")
    op.state("shop", "converged")
    assert op.invocation("shop") != started
    assert m.run(["eventd", "--check-config"]).returncode == 0
    m.run(f"rm {PROVIDER}")
    row = op.state("shop", "at-risk")
    assert row["reason"] == "file-missing"
    assert PROVIDER in row["message"]


def test_a_folder_of_the_host_is_given_to_the_uid_of_a_container_by_the_hint(op: Operator) -> None:
    """`check` warns of a uid that is another one on the host; the command that it names makes the folder its own."""
    m = op.machine
    m.run("mkdir -p /srv/app && chown 1000:1000 /srv/app")
    status = op.deploy({"workloads/app/app.container": container(more="User=1000\nVolume=/srv/app:/data\n")})
    writes = "cd / && podman exec systemd-app touch /data/x"
    assert m.run(writes, user="app", check=False).returncode != 0
    (hint,) = [each["hint"] for each in status["diagnostics"] if each["code"] == "mapped-user"]
    m.run(hint)
    m.run(writes, user="app")


def test_check_on_the_host_warns_of_a_key_that_the_account_cannot_read(op: Operator) -> None:
    """A key of root's behind a folder of root's; what the hint says is enough for `check`, and for the container."""
    m, path = op.machine, "/etc/keys/tls.pem"
    m.run(f"install -d -m 700 /etc/keys && echo secret > {path} && chmod 600 {path}")
    files = {"workloads/web/web.container": container(more=f"Volume={path}:/key:ro\n")}
    op.commit(files)
    findings = unreadable(op)
    assert [(each["file"], each["severity"]) for each in findings] == [
        ("workloads/web/web.container", "warning")
    ]
    assert path in findings[0]["message"]
    commands = findings[0]["hint"].split("; or ")[1]
    m.run(commands)
    assert unreadable(op) == []
    op.push()
    op.until(lambda _s: op.invocation("web") != "" and key_in(op) == "secret", "a container with the key")
    op.state("web", "converged")


def unreadable(op: Operator) -> list[dict[str, str]]:
    """Return what `eventctl check` says of files that cannot be read."""
    said = json.loads(op.machine.run(["eventctl", "check", "/root/work", "--json"]).stdout)
    return [each for each in said["diagnostics"] if each["code"] == "unreadable-file"]


def key_in(op: Operator) -> str:
    """Return the key as the container reads it."""
    return op.machine.run("cd / && podman exec systemd-web cat /key", user="web", check=False).stdout.strip()


def test_nothing_that_tells_of_it_tells_what_is_in_it(op: Operator) -> None:
    """Neither status, events, metrics nor log have the digest; the state file has it only under the host's key."""
    m = op.machine
    key = m.run(["stat", "-c", "%a %U %s", "/var/lib/eventd/files.key"]).stdout.split()
    assert key == ["600", "root", "32"]
    rows = m.run(
        "python3 -c \"import sqlite3; print(sqlite3.connect('/var/lib/eventd/state.db').execute("
        '\\"select * from document where kind=\'started-with\'\\").fetchall())"',
        check=False,
    )
    assert "five" not in rows.stdout


def test_secrets_on_a_tmpfs_that_an_agent_writes_after_the_boot(op: Operator) -> None:
    """The unit fails at boot for want of its file, is told so, and comes up with it when it is written; nobody asks."""
    m = op.machine
    m.run("mkdir -p /run/agent && echo TOKEN=before > /run/agent/boot.env")
    op.deploy(
        {
            "workloads/web/web.container": container(more="EnvironmentFile=/run/agent/boot.env\n"),
            "workloads/web/workload.toml": '[files]\non_change = "restart"\n',
        }
    )
    until_token(op, "before")
    m.reboot()
    row = op.state("web", "failed")
    assert row["units"]
    m.run(
        "mkdir -p /run/agent && echo TOKEN=after > /run/agent/.new && mv /run/agent/.new /run/agent/boot.env"
    )
    until_token(op, "after")
