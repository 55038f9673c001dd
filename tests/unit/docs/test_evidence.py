"""Scope: what the matrix writes down: each test with its commands, units, journal and containers, and its verdict."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from tests.host import evidence
from tests.host.operator import Operator

SHOWN = (
    "FragmentPath=/run/user/1001/systemd/generator/app.service\nDropInPaths=\nNeedDaemonReload=no\n"
    "ActiveState=active\nResult=success\n"
)
CONTAINERS = json.dumps(
    [
        {
            "Names": ["systemd-app"],
            "Id": "3f1c2a9e8a1b4c7d",
            "Image": "localhost/busybox:1",
            "State": "running",
            "Labels": {"PODMAN_SYSTEMD_UNIT": "app.service"},
        }
    ]
)


@dataclass
class Done:
    stdout: str = ""
    stderr: str = ""
    returncode: int = 0


@dataclass
class Host:
    """A host that answers the commands of evidence, one of each kind."""

    shown: str = SHOWN
    journal: str = "app.service: Started.\n"
    containers: str = CONTAINERS
    asked: list[str] = field(default_factory=list)

    @property
    def machine(self) -> Host:
        """It is an operator's machine, too."""
        return self

    def run(self, command: str | Sequence[str], **_how: object) -> Done:
        words = command if isinstance(command, str) else " ".join(command)
        self.asked.append(words)
        answers = {
            "systemctl --user show": self.shown,
            "id -u": "1001\n",
            "journalctl -q": self.journal,
            "podman ps": self.containers,
            "podman inspect": "healthy\n",
            "false": "",
        }
        said = next((text for start, text in answers.items() if words.startswith(start)), "")
        return Done(said, returncode=int(words == "false"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the records of this test go."""
    monkeypatch.setattr(evidence, "FOLDER", tmp_path / "matrix")
    return tmp_path / "matrix"


def record(host: Host, number: str, body: Callable[[evidence.Evidence], object]) -> None:
    with evidence.case(number, "quadlet", "a title", cast("Operator", host)) as e:
        body(e)


def written(folder: Path, number: str) -> dict[str, object]:
    document: dict[str, object] = json.loads((folder / f"{number}-quadlet.json").read_text())
    return document


def test_the_properties_of_the_unit_are_asked_for_and_kept(folder: Path) -> None:
    """All five that the plan asks for, of the account's own manager; a unit that lacks one fails the test."""
    host = Host()
    record(host, "T01", lambda e: e.collect("app", "app.service"))
    (asked,) = [words for words in host.asked if words.startswith("systemctl --user show app.service")]
    for name in ("FragmentPath", "DropInPaths", "NeedDaemonReload", "ActiveState", "Result"):
        assert f"-p {name}" in asked
    assert cast("list[dict[str, str]]", written(folder, "T01")["seen"])[0]["show"] == SHOWN.strip()
    with pytest.raises(AssertionError, match="ActiveState"):
        record(Host(shown="ActiveState=active\n"), "T01", lambda e: e.collect("app", "app.service"))


def test_the_end_of_the_units_journal_is_kept(folder: Path) -> None:
    """No more than its last forty lines; a unit without a journal fails the test."""
    long = "".join(f"line {n}\n" for n in range(100))
    record(Host(journal=long), "T01", lambda e: e.collect("app", "app.service"))
    kept = cast("list[dict[str, list[str]]]", written(folder, "T01")["seen"])[0]["journal"]
    assert kept == [f"line {n}" for n in range(60, 100)]
    with pytest.raises(AssertionError, match="no journal"):
        record(Host(journal="\n"), "T01", lambda e: e.collect("app", "app.service"))


def test_the_containers_are_kept_as_podman_has_them(folder: Path) -> None:
    """Id, image, state, health and unit; an account without any fails the test, unless there should be none."""
    record(Host(), "T01", lambda e: e.collect("app", "app.service"))
    (kept,) = cast("list[dict[str, list[dict[str, str]]]]", written(folder, "T01")["seen"])[0]["podman"]
    assert kept == {
        "name": "systemd-app",
        "id": "3f1c2a9e8a1b",
        "image": "localhost/busybox:1",
        "state": "running",
        "health": "healthy",
        "unit": "app.service",
    }
    none = Host(containers="[]")
    with pytest.raises(AssertionError, match="no container"):
        record(none, "T01", lambda e: e.collect("app", "app.service"))
    record(none, "T02", lambda e: e.collect("app", "app.service", containers=False))


def test_a_test_passes_only_with_evidence_and_says_why_it_failed(folder: Path) -> None:
    """A block that ends well and has collected nothing is no PASS; a command that fails is in its record."""
    with pytest.raises(AssertionError, match="no evidence"):
        record(Host(), "T01", lambda _e: None)
    with pytest.raises(AssertionError):
        record(Host(), "T02", lambda e: e.run("false"))
    assert [written(folder, each)["verdict"] for each in ("T01", "T02")] == ["FAIL", "FAIL"]
    assert "exited with 1" in str(written(folder, "T02")["why"])


def test_one_record_has_the_commands_the_observations_and_the_verdict_of_each_test(folder: Path) -> None:
    """It passes when all twelve did, each from its own file; one that was not run or failed fails it, and is named."""
    for number in evidence.NUMBERS:
        record(Host(), number, lambda e: e.collect("app", "app.service"))
    text, passed = evidence.report(folder)
    assert passed
    assert text.count("**PASS** at ") == len(evidence.NUMBERS)
    assert "`app$ systemctl --user show app.service" in text
    assert "| systemd-app | 3f1c2a9e8a1b | localhost/busybox:1 | running | healthy | app.service |" in text
    assert "app.service: Started." in text
    (folder / "T07-quadlet.json").unlink()
    with pytest.raises(AssertionError):
        record(Host(), "T09", lambda e: e.run("false"))
    text, passed = evidence.report(folder)
    assert not passed
    assert "| T07 | - | was not run | FAIL |" in text
    assert "| T09 | quadlet | a title | FAIL |" in text
