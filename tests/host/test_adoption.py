"""Whose an account is, on a real host: a person survives everything, and nothing is taken without being handed over.

The group `eventd-managed` means nothing to the daemon; only records do.
"""

import json

import pytest

from tests.host.machine import Machine
from tests.host.operator import Operator, container

SHIM = """\
#!/bin/sh
echo "$0 $*" >> /etc/account-tools.log
exec /usr/sbin/$(basename "$0") "$@"
"""
FOLDERS = [
    *("/opt/eventd/bin/python", "-c"),
    "import sqlite3; db = sqlite3.connect('file:/var/lib/eventd/state.db?mode=ro', uri=True);"
    " [print(row[0]) for row in db.execute(\"SELECT key FROM documents WHERE kind = 'folder'\")]",
]
LOG = "/etc/account-tools.log"
"""Where the daemon's children may write: the rest of the system is read-only to them."""


@pytest.fixture(scope="module")
def op(machine: Machine) -> Operator:
    """A workload that runs, and people: one in `eventd-managed`, with a password, ssh keys and a diary."""
    for tool in ("userdel", "usermod", "useradd", "groupdel", "chpasswd"):
        machine.write(f"/usr/local/sbin/{tool}", SHIM, mode=0o755)
    machine.write(LOG, "")
    operator = Operator(machine)
    operator.install()
    machine.run(
        "/usr/sbin/useradd -m -s /bin/bash -G eventd-managed anna && echo anna:secret | /usr/sbin/chpasswd"
        " && /usr/sbin/useradd -m -s /bin/bash media"
    )
    machine.run(
        "mkdir -m 700 ~/.ssh && echo key > ~/.ssh/authorized_keys && echo dear > ~/diary", user="anna"
    )
    status = operator.deploy({"workloads/web/web.container": container()})
    assert status["state"] == "converged"
    return operator


def person(op: Operator, name: str) -> str:
    """Everything about an account that must not change."""
    return op.machine.run(
        f"getent passwd {name}; getent shadow {name}; id {name}; grep ^{name}: /etc/subuid /etc/subgid;"
        f" ls -lanR --time-style=full-iso /home/{name}; cat /home/{name}/diary; ls /var/lib/systemd/linger"
        f" | grep -x {name}",
        check=False,
    ).stdout


def untouched(state: str) -> list[str]:
    """The lines that this test's own moving of `.ssh` does not change."""
    return [line for line in state.splitlines() if ".ssh" not in line and not line.endswith((" .", " .."))]


def called(op: Operator, name: str) -> list[str]:
    """The account tools' command lines that name an account."""
    return [line for line in op.machine.read(LOG).splitlines() if name in line.split()]


def sessions_read(op: Operator, name: str) -> int:
    """How often the daemon has said what logind knows of a user: a session of anybody else does not count."""
    said = op.machine.run(["eventctl", "events", "--json"]).stdout
    rows = [json.loads(line) for line in said.splitlines()]
    return sum((row["origin"], row["kind"], row["subject"]) == ("logind", "read", name) for row in rows)


def test_a_person_in_the_group_survives_everything(op: Operator) -> None:
    """A push, a workload of that name, its removal, a restart, a lost state file: not a bit of theirs changes."""
    before = person(op, "anna")
    op.commit({"workloads/anna/anna.container": container()})
    op.push()
    row = op.state("anna", "failed")
    assert row["reason"] == "account-exists"
    assert "eventctl adopt anna" in row["hint"]
    assert row["ownership"] is None
    op.deploy({"workloads/anna": None})
    op.machine.run(["systemctl", "restart", "eventd.service"])
    op.state("web", "converged")
    op.machine.run(
        "systemctl stop eventd.service && rm -f /var/lib/eventd/state.db* && systemctl start eventd.service"
    )
    op.state("web", "converged")
    op.deploy({"workloads/anna/anna.container": container(), "workloads/web/web.container": None})
    op.deploy({"workloads/anna": None, "workloads/web/web.container": container(note="back")})
    assert person(op, "anna") == before
    assert called(op, "anna") == []
    assert not [line for line in op.machine.read(LOG).splitlines() if "userdel" in line.split()[0]]


def test_an_account_of_a_person_is_not_handed_over_by_accident(op: Operator) -> None:
    """A password, ssh keys, a session, a home that leads elsewhere; and root, and the system's, never."""
    before = person(op, "anna")
    op.commit({"workloads/anna/anna.container": container()})
    op.push()
    op.state("anna", "failed")
    code, said = op.ctl("adopt", "anna", "--yes")
    assert code == 1
    assert "anna has a password" in said
    assert "/home/anna/.ssh/authorized_keys" in said
    with op.machine.session("anna"):
        op.until(
            lambda _s: "logged in" in op.ctl("adopt", "anna", "--yes", "--with-login")[1], "the session known"
        )
        assert op.ctl("adopt", "anna", "--yes", "--with-login")[0] == 1
    op.machine.run("mv .ssh .old && ln -s /root .ssh", user="anna", cwd="/home/anna")
    assert "cannot read the home" in op.ctl("adopt", "anna", "--yes")[1]
    op.machine.run("rm .ssh && mv .old .ssh", user="anna", cwd="/home/anna")
    for name in ("root", "daemon", "eventd-git"):
        code, said = op.ctl("adopt", name, "--yes", "--with-login")
        assert (code, "protected" in said or "outside of" in said) == (1, True), said
    assert op.ctl("adopt", "nosuchperson", "--yes")[0] == 1
    op.deploy({"workloads/anna": None})
    assert untouched(person(op, "anna")) == untouched(before)
    assert called(op, "anna") == []


def test_an_account_that_is_handed_over_runs_its_workload(op: Operator) -> None:
    """Refused until then; what it means is said first; recorded as adopted; removal leaves the account alone."""
    op.machine.run("echo mine > ~/diary", user="media")
    before = person(op, "media")
    op.commit({"workloads/media/media.container": container()})
    op.push()
    assert op.state("media", "failed")["reason"] == "account-exists"
    code, said = op.ctl("adopt", "media")
    assert (code, "never deletes" in said, "--yes" in said) == (1, True, True)
    assert op.state("media", "failed")["ownership"] is None
    code, said = op.ctl("adopt", "media", "--yes")
    assert code == 0, said
    row = op.state("media", "converged")
    assert row["ownership"] == "adopted"
    assert row["made_by"] > 0
    uid = op.machine.run(["id", "-u", "media"]).stdout.strip()
    folders = op.machine.run(FOLDERS).stdout.split()
    assert f"/etc/containers/systemd/users/{uid}" in folders
    assert "/home/media" not in folders
    assert op.user_unit("media", "media.service", "ActiveState")["ActiveState"] == "active"
    op.machine.run(["systemctl", "restart", "eventd.service"])
    op.state("media", "converged")
    op.deploy({"workloads/media": None})
    op.state("media", "removed")
    after = person(op, "media").splitlines()
    kept = [line for line in before.splitlines() if line.startswith(("media:", "uid=", "/etc/sub", "mine"))]
    assert len(kept) == 6
    assert set(kept) <= set(after)
    assert called(op, "media") == []
    code, said = op.ctl("remove", "media", "--yes")
    assert code != 0
    assert op.machine.exists("/home/media/diary")


def test_a_person_who_logs_in_as_a_workload_keeps_their_manager(op: Operator) -> None:
    """The workload leaves the repository: its unit stops, the manager stays for as long as the session does."""
    op.deploy({"workloads/guest/guest.container": container()})
    op.state("guest", "converged")
    uid = op.machine.run(["id", "-u", "guest"]).stdout.strip()
    folders = op.machine.run(FOLDERS).stdout.split()
    assert {"/home/guest", f"/etc/containers/systemd/users/{uid}"} <= set(folders)
    known = sessions_read(op, "guest")
    with op.machine.session("guest"):
        op.until(lambda _s: sessions_read(op, "guest") > known, "the session known")
        before = op.machine.show(f"user@{uid}.service", "InvocationID", "ActiveState")
        op.deploy({"workloads/guest": None})
        op.state("guest", "removed")
        assert op.machine.show(f"user@{uid}.service", "InvocationID", "ActiveState") == before
        assert op.user_unit("guest", "guest.service", "ActiveState")["ActiveState"] != "active"
    calls = called(op, "guest")
    assert [line.split()[0].rpartition("/")[2] for line in calls][:1] == ["useradd"]
    assert not [line for line in calls if "userdel" in line]


def test_what_is_given_back_stays_and_is_left_alone(op: Operator) -> None:
    """Its unit runs on, also when the workload leaves the repository; a workload of that name is refused."""
    uid = op.machine.run(["id", "-u", "web"]).stdout.strip()
    before = op.invocation("web")
    code, said = op.ctl("disown", "web")
    assert code == 0, said
    assert op.state("web", "failed")["reason"] == "account-exists"
    op.deploy({"workloads/web": None})
    assert "web" not in {row["name"] for row in op.told()["workloads"]}
    assert op.invocation("web") == before
    assert op.machine.exists(f"/etc/containers/systemd/users/{uid}/web.container")
    runs = json.loads(op.machine.run(["eventctl", "runs", "--json"]).stdout)["runs"]
    assert any(
        row["name"] == "web" and row["reason"] == "disowned" for run in runs for row in run["workloads"]
    )
