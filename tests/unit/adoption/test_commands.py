"""Scope: `eventctl adopt`, `disown` and `restart` on a fake daemon: what is said, what is asked, what is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.cli_runner import Result, Tty, eventctl
from tests.unit.cli.fake_daemon import COMMIT, Answer, FakeDaemon, run, short_path

MEDIA: dict[str, Any] = {
    "name": "media",
    "uid": 1001,
    "home": "/home/media",
    "shell": "/bin/bash",
    "sessions": [],
    "password": "none",
    "ssh_keys": [],
    "obstacles": [],
    "means": ["it is never deleted"],
}
PASSWORD = {
    "reason": "has-password",
    "message": "media has a password",
    "hint": "--with-login",
    "by_login": True,
}
LINES: list[Any] = [
    *({"type": "queued"}, {"type": "run", "id": 12, "commit": COMMIT}),
    {"type": "done", "run": run(12, "ok")},
]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return short_path(tmp_path)


def adopt(path: str, found: dict[str, Any], *argv: str, tty: bool = False) -> tuple[Result, list[Any]]:
    """Run it; return what it printed and the bodies that it posted."""
    answers: dict[Any, Any] = {
        "GET /v1/adopt/media": Answer(found),
        "POST /v1/adopt/media": Answer(lines=LINES),
    }
    with FakeDaemon(path, answers) as daemon:
        result = eventctl("adopt", "media", "--socket", path, *argv, tty=tty)
    return result, [request.body for request in daemon.requests if request.method == "POST"]


def test_without_anybody_to_ask_nothing_is_done(path: str) -> None:
    """In a pipe it says what it means, and how to go on."""
    result, posted = adopt(path, MEDIA)
    assert (result.code, posted) == (1, [])
    assert "it is never deleted" in result.out
    assert "--yes" in result.err


@pytest.mark.parametrize(("typed", "done"), [("y\n", True), ("yes\n", True), ("\n", False), ("no\n", False)])
def test_a_person_is_asked(path: str, monkeypatch: pytest.MonkeyPatch, typed: str, done: bool) -> None:
    """Only a yes is one."""
    monkeypatch.setattr("sys.stdin", Tty(typed))
    result, posted = adopt(path, MEDIA, tty=True)
    assert (result.code, len(posted)) == ((0, 1) if done else (1, 0))


def test_yes_hands_over_and_exits_by_the_run(path: str) -> None:
    """For scripts."""
    result, posted = adopt(path, MEDIA, "--yes")
    assert (result.code, posted) == (0, [{"with_login": False, "wait": True}])


def test_what_speaks_against_it_ends_it_unless_it_is_meant(path: str) -> None:
    """A login is waved through with --with-login, and nothing else is."""
    found = {**MEDIA, "obstacles": [PASSWORD]}
    result, posted = adopt(path, found, "--yes")
    assert (result.code, posted) == (1, [])
    assert "media has a password" in result.err
    assert "it is never deleted" in result.out
    result, posted = adopt(path, found, "--yes", "--with-login")
    assert (result.code, posted) == (0, [{"with_login": True, "wait": True}])
    protected = {"reason": "protected", "message": "it is root", "hint": "", "by_login": False}
    result, posted = adopt(path, {**found, "obstacles": [protected, PASSWORD]}, "--yes", "--with-login")
    assert (result.code, posted) == (1, [])
    assert "it is never deleted" not in result.out  # what it would mean is not the question


def test_json_is_one_document(path: str) -> None:
    """What it means and what speaks against it, and nothing is done."""
    result, posted = adopt(path, MEDIA, "--json")
    assert (result.code, posted, json.loads(result.out)) == (1, [], MEDIA)


def test_disown_says_that_everything_stays(path: str) -> None:
    """One question, one sentence."""
    with FakeDaemon(path, {"POST /v1/disown/media": Answer({"run": run(12, "ok")})}) as daemon:
        result = eventctl("disown", "media", "--socket", path)
    assert result.code == 0
    assert "stay, start at boot without eventd" in result.out
    assert daemon.requests[0].body == {}


def test_disown_all_gives_back_what_is_eventds_and_says_what_volumes_need(path: str) -> None:
    """Volumes and workloads without an account are none to be given back; one that is decommissioned is not mounted."""
    workloads = [{"name": "web", "ownership": "created"}, {"name": "new", "ownership": None}]
    volumes = [
        {"id": {"kind": "uuid", "value": "11-22"}, "path": "/srv/my media", "filesystem": "ext4"},
        {"id": {"kind": "by_id", "value": "usb-x"}, "path": "/srv/x", "filesystem": ""},
        {"id": {"kind": "uuid", "value": "33"}, "path": "/srv/old", "wanted": "decommissioned"},
    ]
    answers = {
        "GET /v1/status": Answer({"workloads": workloads}),
        "POST /v1/disown/web": Answer({"run": run(12, "ok")}),
        "GET /v1/storage": Answer({"volumes": volumes}),
    }
    with FakeDaemon(path, answers):
        result = eventctl("disown", "--all", "--socket", path)
    assert result.code == 0
    assert result.out.startswith("web was given back")
    assert result.out.splitlines()[-2:] == [
        "UUID=11-22 /srv/my\\040media ext4 nosuid,nodev,nofail 0 2",
        "/dev/disk/by-id/usb-x /srv/x auto nosuid,nodev,nofail 0 2",
    ]


@pytest.mark.parametrize("words", [["disown"], ["disown", "web", "--all"]])
def test_disown_wants_a_name_or_all(words: list[str], path: str) -> None:
    """Not neither, and not both."""
    assert eventctl(*words, "--socket", path).code == 2


def test_restart_asks_and_waits_if_told_to(path: str) -> None:
    """202 without --wait, the run's exit code with it."""
    with FakeDaemon(path, {"POST /v1/restart/web": Answer({"queued": True}, 202)}) as daemon:
        result = eventctl("restart", "web", "--socket", path)
    assert (result.code, daemon.requests[0].body) == (0, {"wait": False})
    assert "eventctl status web" in result.out
    failed = [*LINES[:-1], {"type": "done", "run": run(12, "failed")}]
    with FakeDaemon(path, {"POST /v1/restart/web": Answer(lines=failed)}) as daemon:
        result = eventctl("restart", "web", "--wait", "--socket", path)
    assert (result.code, daemon.requests[0].body) == (1, {"wait": True})


def test_what_it_has_of_its_own_is_said_and_moved_aside_first(path: str) -> None:
    """Before it is handed over, and only when that is asked for; what was stopped and where the files are is told."""
    found = {**MEDIA, "findings": ["the compose project old (1 containers)"]}
    result, posted = adopt(path, found, "--yes")
    assert "the compose project old" in result.out
    assert len(posted) == 1
    answers: dict[Any, Any] = {
        "GET /v1/adopt/media": Answer(found),
        "POST /v1/adopt/media/aside": Answer(
            {"aside": "/home/media/eventd-aside/now", "moved": ["a", "b"], "stopped": ["a.service"]}
        ),
        "POST /v1/adopt/media": Answer(lines=LINES),
    }
    with FakeDaemon(path, answers) as daemon:
        result = eventctl("adopt", "media", "--socket", path, "--yes", "--move-aside")
    assert [r.path for r in daemon.requests if r.method == "POST"] == [
        "/v1/adopt/media/aside",
        "/v1/adopt/media",
    ]
    assert "stopped: a.service; moved 2 files into /home/media/eventd-aside/now" in result.out
