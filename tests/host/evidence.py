"""Evidence of the matrix: what a test did, saw and was told, written down, and the report that is made of it.

A test of the matrix that could not collect its evidence fails. Each writes one JSON file below `build/matrix/`;
`python -m tests.host.evidence REPORT.md SUMMARY.md` makes the report, and of a run in which all twelve have passed the
summary that is kept in the repository; it exits with 1 unless they have.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.host.machine import Machine
from tests.host.operator import Operator

FOLDER = Path(os.environ.get("EVENTD_MATRIX", "build/matrix"))
PROPERTIES = ("FragmentPath", "DropInPaths", "NeedDaemonReload", "ActiveState", "Result")
NUMBERS = tuple(f"T{number:02}" for number in range(1, 13))
AGAIN = (
    "To run it again: commit what is changed, then `sudo make matrix` in the checkout. The first time it builds the",
    "Debian 13 (`sudo make test-host` does the same), later it takes some seven minutes. Evidence of each test goes to",
    "`build/matrix/`: commands with their exit status and output, `systemctl --user show`, the end of the journal, and",
    "the containers of each unit. `build/matrix.md` is the record of the whole, with PASS or FAIL of each test. If all",
    "twelve passed, this page is written anew: commit it. If one failed, it stays as it is, and make fails.",
)
"""How to make the page anew, as it says itself."""
_TAIL = 40
_HEALTH = "{{if .State.Health}}{{.State.Health.Status}}{{end}}"


class Evidence:
    """What one test does goes through this."""

    def __init__(self, number: str, kind: str, title: str, op: Operator) -> None:
        self.op = op
        self.machine: Machine = op.machine
        self.document: dict[str, Any] = {
            "test": number, "kind": kind, "title": title, "verdict": "FAIL", "why": "", "steps": [], "seen": [],
            "commit": _commit(),
            "name": os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0],
        }  # fmt: skip

    def run(self, command: str, *, user: str = "", status: int | None = 0, timeout: float = 300) -> str:
        """Run a command and write it down; `status`: what it has to exit with (None: whatever, -1: not 0)."""
        done = self.machine.run(command, user=user or None, check=False, timeout=timeout)
        said = (done.stdout + done.stderr).strip()
        self.document["steps"].append(
            {"user": user or "root", "command": command, "status": done.returncode, "output": said[-2000:]}
        )
        if status == -1:
            assert done.returncode != 0, f"{command} did not fail: {said}"
        elif status is not None:
            assert done.returncode == status, f"{command} exited with {done.returncode}, not {status}: {said}"
        return said

    def note(self, text: str) -> None:
        """Write down what was done otherwise, or seen."""
        self.document["steps"].append({"user": "", "command": text, "status": None, "output": ""})

    def push(self, files: dict[str, str | None], what: str) -> str:
        """Commit and push; return the commit."""
        commit = self.op.commit(files)
        self.note(f"git push: {what} ({', '.join(files) or 'nothing changed'}), commit {commit[:12]}")
        self.op.push()
        return commit

    def deploy(self, files: dict[str, str | None], what: str) -> dict[str, Any]:
        """Push, and wait until the run over it has ended; return the status."""
        return self.op.settled(self.push(files, what))

    def state(
        self, name: str, wanted: str, reason: str = "", timeout: float = 240, *, said: str = ""
    ) -> dict[str, Any]:
        """Wait for a workload's state (and reason, and what its message says), as `eventctl status` has it."""
        found: dict[str, Any] = {}

        def right(status: dict[str, Any]) -> bool:
            for each in status["workloads"]:
                if (
                    each["name"] == name
                    and each["state"] == wanted
                    and (not reason or each["reason"] == reason)
                    and said in each["message"]
                ):
                    found.update(each)
                    return True
            return False

        self.op.until(right, f"{name} {wanted} {reason} {said}", timeout)
        self.note(f"eventctl status: {name} is {wanted} {found['reason']} {found['message']}".rstrip())
        return found

    def collect(self, user: str, unit: str, *, containers: bool = True) -> dict[str, str]:
        """Collect what the seed asks for of one unit; return its properties."""
        flags = " ".join(f"-p {name}" for name in PROPERTIES)
        shown = self.run(f"systemctl --user show {unit} {flags}", user=user)
        properties = dict(line.split("=", 1) for line in shown.splitlines())
        assert set(properties) == set(PROPERTIES), shown
        uid = self.machine.run(["id", "-u", user]).stdout.strip()
        self.machine.run(["journalctl", "--sync"])
        journal = self.machine.run(
            f"journalctl -q --no-pager -o short-precise -n {_TAIL} _UID={uid} _SYSTEMD_USER_UNIT={unit}"
            f" + _UID={uid} USER_UNIT={unit}"
        ).stdout
        assert journal.strip(), f"no journal of {unit}"
        listed = self._listed(user)
        assert listed or not containers, f"{user} has no container"
        inspected = [
            {
                "name": each["Names"][0],
                "id": each["Id"][:12],
                "image": each["Image"],
                "state": each["State"],
                "health": self.machine.run(
                    ["podman", "inspect", "--format", _HEALTH, each["Id"]],
                    user=user, cwd="/", check=False,  # one that fails to start may be gone again
                ).stdout.strip(),
                "unit": _owner(each.get("Labels") or {}),
            }
            for each in listed
        ]  # fmt: skip
        self.document["seen"].append(
            {
                "user": user,
                "unit": unit,
                "show": shown,
                "journal": journal.splitlines()[-_TAIL:],
                "podman": inspected,
            }
        )
        return properties

    def _listed(self, user: str) -> list[dict[str, Any]]:
        """Return what podman lists; once more where a container went away under it."""
        argv = ["podman", "ps", "--all", "--no-trunc", "--format", "json"]
        deadline = time.monotonic() + 60
        while True:
            done = self.machine.run(argv, user=user, cwd="/", check=False)
            if done.returncode == 0:
                found: list[dict[str, Any]] = json.loads(done.stdout)
                return found
            assert time.monotonic() < deadline, done.stderr


def _owner(labels: Mapping[str, str]) -> str:
    """Return the unit that a container says it belongs to; a compose stack is called as its unit is."""
    project = labels.get("com.docker.compose.project", "")
    return labels.get("PODMAN_SYSTEMD_UNIT") or (f"{project}.service" if project else "")


@contextmanager
def case(number: str, kind: str, title: str, op: Operator) -> Iterator[Evidence]:
    """Run one test of the matrix: PASS if the block ends, and something was collected in it."""
    evidence = Evidence(number, kind, title, op)
    began = time.monotonic()
    try:
        yield evidence
        assert evidence.document["seen"], "no evidence was collected"
        evidence.document["verdict"] = "PASS"
    except BaseException as error:
        evidence.document["why"] = "".join(traceback.format_exception_only(error)).strip()[:2000]
        raise
    finally:
        evidence.document["seconds"] = round(time.monotonic() - began, 1)
        evidence.document["at"] = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / f"{number}-{kind}.json").write_text(json.dumps(evidence.document, indent=1))


def report(folder: Path = FOLDER) -> tuple[str, bool]:
    """Return the report as Markdown, and whether all twelve have passed."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("T*.json"))]
    missing = [number for number in NUMBERS if number not in {each["test"] for each in found}]
    good = not missing and all(each["verdict"] == "PASS" for each in found)
    lines = ["# The matrix", "", "Made by `make matrix`, on a real Debian 13 under systemd-nspawn.", ""]
    lines += [
        f"**{'PASS' if good else 'FAIL'}**",
        "",
        "| test | kind | what | verdict |",
        "|---|---|---|---|",
    ]
    lines += [f"| {d['test']} | {d['kind']} | {d['title']} | {d['verdict']} |" for d in found]
    lines += [f"| {number} | - | was not run | FAIL |" for number in missing]
    for each in found:
        lines += ["", f"## {each['test']} {each['kind']}: {each['title']}", ""]
        lines += [f"**{each['verdict']}** at {each['at']} UTC", ""]
        if each["why"]:
            lines += ["```text", each["why"], "```", ""]
        for step in each["steps"]:
            if step["status"] is None:
                lines += [f"- {step['command']}"]
                continue
            lines += [f"- `{step['user']}$ {_one_line(step['command'])}` exits with {step['status']}"]
            if step["output"]:
                lines += ["", *(f"      {line}" for line in step["output"].splitlines()[-12:]), ""]
        for seen in each["seen"]:
            lines += ["", f"`systemctl --user show {seen['unit']}` of {seen['user']}:", "", "```ini"]
            lines += [*seen["show"].splitlines(), "```", "", "Podman:", ""]
            lines += ["| container | id | image | state | health | unit |", "|---|---|---|---|---|---|"]
            lines += [
                f"| {c['name']} | {c['id']} | {c['image']} | {c['state']} | {c['health']} | {c['unit']} |"
                for c in seen["podman"]
            ]
            lines += ["", "Journal:", "", "```text", *(line[:240] for line in seen["journal"]), "```"]
    return "\n".join(lines) + "\n", good


def summary(folder: Path = FOLDER) -> str:
    """Return the page that is kept: which commit, what was run, what it took. All else is in the report."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("T*.json"))]
    steps, seen = (sum(len(each[key]) for each in found) for key in ("steps", "seen"))
    commit = ", ".join(sorted({each["commit"] for each in found}))  # several: not of one run
    when, seconds = max(each["at"] for each in found), sum(each["seconds"] for each in found)
    lines = [
        "# The matrix: the last run that was kept",
        "",
        "<!-- Made by `make matrix`. `tests/unit/docs/test_matrix_page.py` holds it against tests and history. -->",
        "",
        "The twelve tests of the plan that the [audit](../how-to/audit.md#the-matrix) is made after, for Quadlet",
        "workloads and compose stacks, on a real Debian 13.",
        "",
        *AGAIN,
        "",
        f"Commit `{commit}`, {when} UTC: **all {len(found)} PASS**, {steps} steps,",
        f"{seen} units looked at with their journal and containers, {seconds:.0f} s on {os.cpu_count()} cores.",
        "",
        "| test | kind | what | verdict | seconds | steps | by |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in found:
        name = each["name"].rpartition("::")[2]
        figures = f"{each['verdict']} | {each['seconds']} | {len(each['steps'])}"
        lines.append(f"| {each['test']} | {each['kind']} | {each['title']} | {figures} | `{name}` |")
    return "\n".join([*lines, ""])


def _commit() -> str:
    """Return the commit that the checkout is at; with `+`: and what has not been committed yet."""
    ask = ["git", "-C", str(Path(__file__).parents[2])]
    head = subprocess.run([*ask, "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=30)
    changed = subprocess.run(
        [
            *ask,
            "status",
            "--porcelain",
            "--untracked-files=no",
            "--",
            "eventd",
            "handlers",
            "policies",
            "systemd",
            "tests",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def _one_line(command: str) -> str:
    return " ".join(command.split()).replace("`", "'")


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "build/matrix.md")
    text, passed = report()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    if passed and len(sys.argv) > 2:
        Path(sys.argv[2]).write_text(summary())
    sys.stdout.write(f"{target}: {'all twelve PASS' if passed else 'NOT all PASS'}\n")
    sys.exit(0 if passed else 1)
