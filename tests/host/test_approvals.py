"""On a real host nothing that bears data goes without a signature, and with one it goes once: ssh-keygen, userdel."""

import json
from typing import Any

import pytest

from tests.host.machine import Machine
from tests.host.operator import WORK, Operator, container

NS = "approval@eventd"
SIGNERS = "/etc/eventd/allowed_signers"
REVOKED = "/etc/eventd/revoked_keys"
CONFIG = f'[approvals]\nrevoked_keys = "{REVOKED}"\n'
LEAVE_BEHIND = (
    "cp /bin/cat /var/tmp/tool && chmod 4755 /var/tmp/tool && mkdir -p /tmp/a/b && touch /tmp/a/b/c /dev/shm/x"
    " && ln -s /etc/passwd /var/tmp/link && ipcmk -M 4096"
)
DELETE = '[remove]\ndata = "delete"\n'


@pytest.fixture(scope="module")
def op(machine: Machine) -> Operator:
    """An operator with three keys, of which alice's and carol's may approve, and two workloads up."""
    operator = Operator(machine)
    machine.run("for name in alice carol mallory; do ssh-keygen -q -t ed25519 -N '' -f /root/$name; done")
    lines = [f'{n} namespaces="{NS}" {machine.read(f"/root/{n}.pub")}' for n in ("alice", "carol")]
    machine.write(SIGNERS, "".join(lines))
    machine.write(REVOKED, "")
    operator.install(CONFIG)
    status = operator.deploy(
        {
            "workloads/web/web.container": container(),
            "workloads/web/workload.toml": DELETE,
            "workloads/db/db.container": container(note="db"),
        }
    )
    assert status["state"] == "converged"
    return operator


def gone(op: Operator, name: str) -> None:
    """Take a workload out of the repository and wait until it has been stopped."""
    op.machine.run(["git", "-C", WORK, "rm", "-rqf", f"workloads/{name}"])
    op.commit({})
    op.push()

    op.until(
        lambda s: any(w["name"] == name and w["state"] == "removed" for w in s["workloads"]),
        f"{name} removed",
    )


def requests(op: Operator, *, everything: bool = False) -> list[dict[str, Any]]:
    """Return the requests, newest first."""
    _, text = op.ctl("approvals", "--json", *(["--all"] if everything else []))
    rows: list[dict[str, Any]] = json.loads(text)["approvals"]
    return rows


def refusals(op: Operator) -> list[str]:
    """Return the reasons of the refused signatures, the latest first."""
    return [row["reason"] for row in json.loads(op.ctl("approvals", "--all", "--json")[1])["refused"]]


def requested(op: Operator) -> dict[str, Any]:
    """Wait for the one request that is open, and for the end of the run that has made it."""

    def held(status: dict[str, Any]) -> bool:
        waits = {w["name"] for w in status["workloads"] if w["state"] == "held"}
        return status["run"] is None and any(name.startswith("deletion:") for name in waits)

    op.until(
        lambda s: held(s) and [r["state"] for r in requests(op)] == ["requested"], "asked for an approval"
    )
    return requests(op)[0]


def ids_of(op: Operator, name: str) -> list[str]:
    """Return the gid and the first subordinate ids of an account."""
    rows = op.machine.read("/etc/subuid") + op.machine.read("/etc/subgid")
    firsts = [row.split(":")[1] for row in rows.splitlines() if row.startswith(f"{name}:")]
    assert len(firsts) == 2
    return [op.machine.run(["id", "-g", name]).stdout.strip(), *firsts]


def exists(op: Operator, name: str) -> bool:
    """Tell whether there is an account."""
    return op.machine.run(["id", name], check=False).returncode == 0


def test_a_removed_workload_keeps_its_account_and_data_and_uses_them_again(op: Operator) -> None:
    """It is listed as retained, with what it contains; put back, it is the same account with the same file."""
    m = op.machine
    uid = m.run(["id", "-u", "db"]).stdout
    m.run("echo precious > ~/data", user="db")
    gone(op, "db")
    assert not m.exists("/var/lib/systemd/linger/db")
    assert not m.exists(f"/etc/containers/systemd/users/{uid.strip()}")
    assert m.read("/home/db/data") == "precious\n"
    assert "db" in op.ctl("retained")[1]
    code, said = op.ctl("retained", "db", "--json")
    row = json.loads(said)
    assert (code, row["data"], row["home"], "data" in row["top"]) == (0, "keep", "/home/db", True), said
    assert not requests(op)
    op.deploy({"workloads/db/db.container": container(note="db")})
    op.state("db", "converged")
    assert m.run(["id", "-u", "db"]).stdout == uid
    assert m.read("/home/db/data") == "precious\n"
    assert "db" not in op.ctl("retained")[1]


def test_a_deletion_is_held_until_it_is_signed_and_forgeries_are_refused_and_recorded(op: Operator) -> None:
    """Unknown key, revoked key, another namespace, another host, a changed document: nothing of it deletes."""
    m = op.machine
    m.run("mkdir -p ~/.local/deep && echo precious > ~/.local/deep/data && ln -s /etc ~/etc", user="web")
    gone(op, "web")
    request = requested(op)
    identity, document = request["id"], request["document"]
    assert op.ctl("approvals")[0] == 4
    assert op.ctl("status", "deletion:web")[0] == 4
    assert m.run(["id", "-u", "web"]).stdout.strip() in request["resources"][0]
    assert op.ctl("approve", identity, "--key", "/root/mallory", "--yes")[0] == 1
    m.write(REVOKED, m.read("/root/carol.pub"))
    assert op.ctl("approve", identity, "--key", "/root/carol", "--yes")[0] == 1
    m.write("/root/doc.json", document)
    m.run(["ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", "/root/alice", "/root/doc.json"])
    assert op.ctl("approve", identity, "--signature", "/root/doc.json.sig")[0] == 1
    for name, changed in (
        ("host", document.replace('"host":"', '"host":"f00')),
        ("plan", document.replace("/home/web", "/home/web2")),
    ):
        m.write(f"/root/{name}.json", changed)
        m.run(["ssh-keygen", "-q", "-Y", "sign", "-n", NS, "-f", "/root/alice", f"/root/{name}.json"])
        handed = ["--signature", f"/root/{name}.json.sig", "--document", f"/root/{name}.json"]
        assert op.ctl("approve", identity, *handed)[0] == 1
        assert op.ctl("approve", identity, "--signature", f"/root/{name}.json.sig")[0] == 1
    assert set(refusals(op)) == {"unknown-key", "bad-signature", "other-host", "unknown-request"}
    assert "refused" in op.ctl("approvals", "--all")[1]
    assert [r["state"] for r in requests(op)] == ["requested"]
    assert m.read("/home/web/.local/deep/data") == "precious\n"


def test_approved_it_happens_once_and_nothing_else_goes_with_it(op: Operator) -> None:
    """Signed offline with plain ssh-keygen: account, home, subordinate ids and folders are gone, /etc is not."""
    m = op.machine
    uid = m.run(["id", "-u", "web"]).stdout.strip()
    m.run(["systemd-run", "-q", "--uid=web", "sleep", "infinity"])  # outside of its slice and manager
    m.run(LEAVE_BEHIND, user="web")
    m.run(
        "mkdir -m 777 /var/tmp/shared && chown web: /var/tmp/shared && echo mine > /var/tmp/shared/anybodys"
    )
    ranges = ids_of(op, "web")
    identity = requested(op)["id"]
    assert op.ctl("approvals", identity, "--export", "/root/off.json")[0] == 4
    m.run(["ssh-keygen", "-q", "-Y", "sign", "-n", NS, "-f", "/root/alice", "/root/off.json"])
    code, said = op.ctl("approve", identity, "--signature", "/root/off.json.sig")
    assert (code, "alice" in said) == (0, True), said
    op.until(lambda _s: requests(op, everything=True)[0]["state"] == "done", "deleted")
    assert not exists(op, "web")
    assert m.run("ls -A /home").stdout.split() == ["db"]
    assert "web:" not in m.read("/etc/subuid") + m.read("/etc/subgid") + m.read("/etc/group")
    for path in (f"/etc/containers/systemd/users/{uid}", f"/etc/eventd/units/{uid}"):
        assert not m.exists(path)
    # These two are systemd's to take away: what has ended is there until process 1 has looked.
    op.until(lambda _s: not m.exists(f"/run/user/{uid}"), "without a runtime folder")
    op.until(lambda _s: m.run(["pgrep", "-u", uid], check=False).returncode == 1, "without processes")
    assert m.exists("/etc/passwd")
    left = m.run(
        f"find /tmp /var/tmp /dev/shm /var/spool /run/lock -user {uid}; ipcs -m | grep -w web", check=False
    )
    assert left.stdout.split() == ["/var/tmp/shared"], "what has somebody else's file in it stays"
    events = [json.loads(line) for line in op.ctl("events", "--json")[1].splitlines()]
    (event,) = [each for each in events if each["kind"] == "left-behind"]
    assert event["attributes"]["stays"] == "/var/tmp/shared (somebody else's files are in it)"
    assert m.read("/var/tmp/shared/anybodys") == "mine\n"
    op.machine.write("/root/ranges.json", json.dumps([uid, ranges]))
    op.until(lambda s: s["run"] is None and s["state"] == "converged", "at rest, and converged")
    assert "web" not in op.ctl("retained")[1]


def test_a_replayed_approval_does_nothing(op: Operator) -> None:
    """The same name again, with data again: the old signature approves neither it nor anything."""
    m = op.machine
    op.deploy({"workloads/web/web.container": container(), "workloads/web/workload.toml": DELETE})
    op.state("web", "converged")
    uid, ranges = json.loads(m.read("/root/ranges.json"))
    assert m.run(["id", "-u", "web"]).stdout.strip() != uid, (
        "what the one before left behind would act as this one"
    )
    assert not set(ids_of(op, "web")) & set(ranges)
    m.run("echo again > ~/data", user="web")
    gone(op, "web")
    new = requested(op)["id"]
    old = requests(op, everything=True)[-1]["id"]
    assert old != new
    for identity in (old, new):
        assert op.ctl("approve", identity, "--signature", "/root/off.json.sig")[0] == 1
    assert refusals(op)[:2] == ["bad-signature", "already-used"]
    assert m.read("/home/web/data") == "again\n"


def test_an_approval_in_the_repository_counts_across_a_kill_in_the_middle(op: Operator) -> None:
    """After the approval was spent: the next life finishes it under the same approval, and asks for no other."""
    m = op.machine
    request = requested(op)
    # What is mounted in the home is not deleted: the action ends in the middle, with its approval spent.
    m.run("mkdir /home/web/mnt && mount -t tmpfs none /home/web/mnt && touch /home/web/mnt/mounted")
    m.write(f"{WORK}/approvals/{request['id']}.json", request["document"])
    m.run(
        [
            "ssh-keygen",
            "-q",
            "-Y",
            "sign",
            "-n",
            NS,
            "-f",
            "/root/alice",
            f"{WORK}/approvals/{request['id']}.json",
        ]
    )
    op.commit({})
    op.push()
    assert op.state("deletion:web", "failed")["reason"] == "home-mounted"
    assert requests(op, everything=True)[0]["state"] == "spent"
    m.run(["systemctl", "kill", "--signal=KILL", "eventd.service"])
    op.state("deletion:web", "failed")
    assert m.exists("/home/web/mnt/mounted")
    m.run(["umount", "/home/web/mnt"])
    op.ctl("sync", "--wait")
    op.until(lambda _s: requests(op, everything=True)[0]["state"] == "done", "finished")
    assert not exists(op, "web")
    rows = requests(op, everything=True)
    assert (rows[0]["id"], rows[0]["origin"]) == (
        request["id"],
        f"repository:approvals/{request['id']}.json",
    )
    assert [r["state"] for r in rows] == ["done", "done"]
    assert m.run("ls -A /home").stdout.split() == ["db"]


def test_a_person_who_took_the_account_over_keeps_it(op: Operator) -> None:
    """A password was set, or a login shell: the deletion that was asked for by root and approved is refused."""
    m = op.machine
    gone(op, "db")
    assert op.ctl("remove", "db", "--data", "delete")[0] == 0
    identity = requested(op)["id"]
    m.run("echo db:secret | chpasswd")
    assert op.ctl("approve", identity, "--key", "/root/alice", "--yes")[0] == 0
    found = op.state("deletion:db", "failed")
    assert found["reason"] == "protected"
    assert "password" in found["message"]
    assert exists(op, "db")
    assert m.read("/home/db/data") == "precious\n"
    m.run(["usermod", "-p", "!", "-s", "/bin/bash", "db"])
    op.ctl("sync", "--wait")
    assert "login shell" in op.state("deletion:db", "failed")["message"]
    # What the workload itself can write is no sign of a person: it would keep its account for ever.
    m.run("mkdir ~/.ssh && touch ~/.ssh/authorized_keys", user="db")
    m.run(["usermod", "-s", "/usr/sbin/nologin", "db"])
    op.ctl("sync", "--wait")
    op.until(lambda _s: not exists(op, "db"), "deleted")


def test_a_renamed_workload_is_held_until_it_is_told_and_then_keeps_its_data(op: Operator) -> None:
    """`git mv` alone starts nothing; with `renamed_from` the account is renamed, and its container finds its data."""
    m = op.machine
    quadlet = container(more="Volume=data:/data")
    op.deploy({"workloads/first/app.container": quadlet})
    op.state("first", "converged")
    m.run(["podman", "exec", "systemd-app", "sh", "-c", "echo precious > /data/file"], user="first")
    uid = m.run(["id", "-u", "first"]).stdout
    ranges = [line for line in m.read("/etc/subuid").splitlines() if line.startswith("first:")]
    m.run(f"cd {WORK} && git mv workloads/first workloads/second")
    op.commit({})
    op.push()
    found = op.state("second", "held")
    assert (found["reason"], "first" in found["message"]) == ("renamed", True)
    assert not exists(op, "second")
    op.deploy({"workloads/second/workload.toml": 'renamed_from = "first"\n'})
    op.state("second", "converged")
    assert not exists(op, "first")
    assert m.run(["id", "-u", "second"]).stdout == uid
    assert m.run(["id", "-gn", "second"]).stdout == "second\n"
    assert [
        line.replace("second:", "first:")
        for line in m.read("/etc/subuid").splitlines()
        if line.startswith("second:")
    ] == ranges
    assert "first" not in m.read("/etc/subuid") + m.read("/etc/subgid") + m.read("/etc/group")
    said = m.run(["podman", "exec", "systemd-app", "cat", "/data/file"], user="second").stdout
    assert said == "precious\n"
    assert "first" not in op.ctl("retained")[1]
    gone(op, "second")
    assert op.ctl("remove", "second", "--data", "delete")[0] == 0
    assert op.ctl("approve", requested(op)["id"], "--key", "/root/alice", "--yes")[0] == 0
    op.until(lambda _s: not exists(op, "second"), "deleted")
    assert m.run("ls -A /home").stdout == ""
