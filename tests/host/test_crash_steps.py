"""Kill -9 of a real daemon at its step boundaries, with a real useradd, real files and a real database.

Each round pushes a new workload and drops the one before, and the daemon dies at one boundary of that. The end has to
be that of a round in which nothing died. CI takes a part of the boundaries; `EVENTD_ALL_BOUNDARIES=1` takes all.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.host import crashing
from tests.host.machine import Machine
from tests.host.operator import Operator

EVERY = 1 if os.environ.get("EVENTD_ALL_BOUNDARIES") else 11
DROP_IN = """\
[Unit]
StartLimitIntervalSec=0
[Service]
RestartSec=50ms
ExecStart=
ExecStart=/opt/eventd/bin/python /opt/crashing.py --config /etc/eventd/eventd.toml
"""
UNIT = """\
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=default.target
"""
LOOK = """\
import glob, hashlib, json, os, pwd, sqlite3, sys
def tail(text, name):
    return text.replace(name, "NAME")
found = {}
db = sqlite3.connect("file:/var/lib/eventd/state.db?mode=ro", uri=True)
for name in sys.argv[1:]:
    row = pwd.getpwnam(name)
    uid = str(row.pw_uid)
    folders = [f"/etc/eventd/units/{uid}", f"/etc/containers/systemd/users/{uid}"]
    files = sorted(p for f in folders for p in glob.glob(f + "/**/*", recursive=True, include_hidden=True)
                   if not os.path.isdir(p))
    paths = {p: hashlib.sha256(open(p, "rb").read()).hexdigest() for p in files}
    mark = json.load(open(f"/var/lib/eventd/accounts/{name}.json"))
    columns = "uid, ownership, retained, verified_digest != '', lingering"
    def select(sql):
        return [list(r) for r in db.execute(sql, (name,))]
    records = dict(select("SELECT path, digest FROM files WHERE workload = ?"))
    found[name] = {
        "account": [row.pw_shell, tail(row.pw_dir, name), row.pw_gecos, oct(os.stat(row.pw_dir).st_mode)],
        "rows": [sum(l.startswith(name + ":") for l in open("/etc/" + f)) for f in
                 ("passwd", "shadow", "group", "subuid", "subgid")],
        "skel": os.path.exists(row.pw_dir + "/.config/containers/storage.conf"),
        "files": [tail(p, name).replace(uid, "UID") for p in files],
        "recorded": records == paths,
        "linger": os.path.exists("/var/lib/systemd/linger/" + name),
        "record": [list(r)[1:] for r in db.execute(f"SELECT {columns} FROM workloads WHERE name = ?", (name,))],
        "uid": [r[0] for r in db.execute("SELECT uid FROM workloads WHERE name = ?", (name,))] == [row.pw_uid],
        "mark": [mark["uid"] == row.pw_uid, mark["retained"], mark["lingering"]],
        "units": [[tail(r[0], name)] for r in db.execute("SELECT unit FROM units WHERE workload = ?", (name,))],
    }
found["open"] = [db.execute("SELECT count(*) FROM steps WHERE result IS NULL").fetchone()[0],
                 db.execute("SELECT count(*) FROM runs WHERE result = 'running'").fetchone()[0]]
print(json.dumps(found))
"""


class Rounds:
    """Pushes one workload after the other, and looks at the end of each round."""

    def __init__(self, op: Operator) -> None:
        self.op = op
        self.number = 0

    def deaths(self) -> int:
        """Return how often systemd has started the daemon again."""
        return int(self.op.machine.show("eventd.service", "NRestarts")["NRestarts"])

    def look(self, names: list[str]) -> dict[str, Any]:
        """Return what there is of workloads, and what is open: what went wrong, where eventd was at work meanwhile."""
        done = self.op.machine.run(["/opt/eventd/bin/python", "-c", LOOK, *names], check=False)
        found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {"open": done.stderr}
        return found

    def play(self, fuse: str = "0") -> tuple[dict[str, Any], list[str]]:
        """Return the end of a round, with names taken out, and the boundaries that were passed."""
        m, self.number = self.op.machine, self.number + 1
        name, before = f"w{self.number}", f"w{self.number - 1}"
        old = {f"workloads/{before}": None} if self.number > 1 else {}
        commit = self.op.commit(
            {
                f"workloads/{name}/{name}.service": UNIT,
                f"workloads/{name}/{name}.service.d/10-more.conf": "[Unit]\nDescription=more\n",
                f"workloads/{name}/{name}.conf": "data\n",
                **old,
            }
        )
        m.run(["rm", "-f", crashing.PASSED])
        m.write(crashing.ARM, f"{self.number}:{fuse}")
        self.op.push()
        started = time.monotonic()
        self.op.until(
            lambda status: (
                status["commit"] == commit
                and status["run"] is None
                and status["state"] == "converged"
                and (fuse == "0" or not m.exists(crashing.ARM) or time.monotonic() - started > 30)
            ),
            f"converged after a kill at {fuse}",
        )
        names = [name, *([before] if old else [])]
        # A trigger that came a moment later may have begun one more run.
        deadline = time.monotonic() + 240
        while (found := self.look(names))["open"] != [0, 0]:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        active = self.op.user_unit(name, f"{name}.service", "ActiveState", "NeedDaemonReload", "Description")
        passed = m.read(crashing.PASSED).splitlines() if m.exists(crashing.PASSED) else []
        m.run(["rm", "-f", crashing.ARM])
        end = {"new": found[name], "old": found.get(before), "open": found["open"], "unit": active}
        return end, passed


@pytest.fixture(scope="module")
def rounds(machine: Machine) -> Rounds:
    """A daemon that can be made to die, after one round; concurrency 1 puts the boundaries in one order."""
    machine.copy_in(Path(crashing.__file__), "/opt/crashing.py")
    machine.write("/etc/systemd/system/eventd.service.d/crash.conf", DROP_IN)
    operator = Operator(machine)
    operator.install('[host]\nconcurrency = 1\n[defaults]\ngrace = "100ms"\n')
    found = Rounds(operator)
    found.play()
    return found


@pytest.mark.timeout(1200)
def test_the_end_is_that_of_an_undisturbed_round(rounds: Rounds) -> None:
    """Wherever it is killed: account, home, files, records, marks, lingering, unit, and nothing left open."""
    wanted, passed = rounds.play()
    assert wanted["unit"] == {"ActiveState": "active", "NeedDaemonReload": "no", "Description": "more"}
    assert wanted["open"] == [0, 0]
    assert len(passed) > 60
    boundaries, deaths = range(1 + rounds.number % EVERY, len(passed) + 1, EVERY), rounds.deaths()
    for boundary in boundaries:
        found, _ = rounds.play(str(boundary))
        assert found == wanted, f"killed at {boundary}, {passed[boundary - 1]}"
    # A round may have a boundary less than the one that was counted, for a trigger that came a moment later.
    assert rounds.deaths() - deaths >= len(boundaries) - 1
    assert "left" in rounds.op.ctl("state")[1]


@pytest.mark.timeout(300)
def test_useradd_is_cut_off_anywhere(rounds: Rounds) -> None:
    """The daemon dies while useradd runs, and systemd kills useradd with it: the account is whole in the end."""
    wanted, _ = rounds.play()
    for milliseconds in (1, 6, 15) if EVERY > 1 else range(1, 60, 3):
        found, _ = rounds.play(f"useradd+{milliseconds}")
        assert found == wanted, f"killed {milliseconds} ms after useradd had been started"
