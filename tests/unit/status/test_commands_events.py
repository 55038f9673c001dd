"""Scope: `eventctl events`: the ring, following, and what happens when the daemon goes and comes."""

from __future__ import annotations

import io
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from eventd.cli import wait_for_daemon
from eventd.cli.terminal import Terminal
from eventd.client import Client, NoDaemonError
from eventd.status import commands_events as events_command
from eventd.status.commands_events import Follower
from tests.unit.cli.cli_runner import eventctl
from tests.unit.cli.fake_daemon import Answer, FakeDaemon, event, life, short_path


@pytest.fixture
def path(tmp_path: Path) -> str:
    return short_path(tmp_path)


def test_events_are_lines(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Number, time, origin, kind, subject with its workload, and the attributes."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    with FakeDaemon(
        path, {"GET /v1/events": Answer(lines=[event(7, subject="web\x1b[2J.service")])}
    ) as daemon:
        result = eventctl("events", "--since", "6", "--socket", path)
    assert result.out == (
        "     7  08:00:07.000  user-manager  unit-changed     web/web.service  active=failed\n"
    )
    assert (result.code, daemon.requests[0].query) == (0, {"since": "6"})


def test_the_workload_is_told_with_the_subject(path: str) -> None:
    """A unit is written WORKLOAD/UNIT, a path WORKLOAD:PATH, and the workload itself once."""
    lines = [event(1), event(2, subject="/etc/x"), event(3, subject="web"), event(4, scope="")]
    with FakeDaemon(path, {"GET /v1/events": Answer(lines=lines)}):
        out = eventctl("events", "--socket", path).out
    assert [line.split()[4] for line in out.splitlines()] == [
        "web/web.service",
        "web:/etc/x",
        "web",
        "web.service",
    ]


def test_events_as_json_are_the_daemons_lines(path: str) -> None:
    """One object per line, unchanged."""
    with FakeDaemon(path, {"GET /v1/events": Answer(lines=[event(1), event(2)])}):
        result = eventctl("events", "--json", "--socket", path)
    assert [json.loads(line) for line in result.out.splitlines()] == [event(1), event(2)]


def test_only_the_latest_are_asked_for(path: str) -> None:
    """`-n`, which the daemon counts: it knows which of them this caller may see."""
    with FakeDaemon(path, {"GET /v1/events": Answer(lines=[event(9)])}) as daemon:
        result = eventctl("events", "-n", "1", "--json", "--socket", path)
    assert (result.code, daemon.requests[0].query) == (0, {"since": "0", "last": "1"})


def test_following_nobody_is_exit_3(path: str) -> None:
    """If there is no daemon at first, --follow does not wait for one."""
    assert eventctl("events", "--follow", "--socket", path).code == 3


def follower(path: str, since: int = 0, latest: int = 0) -> tuple[Follower, io.StringIO]:
    err = io.StringIO()
    return Follower(Client(path), Terminal(out=io.StringIO(), err=err), since, latest), err


def daemon(path: str, pid: int, lines: list[Any]) -> FakeDaemon:
    answers: dict[str, Any] = {
        "GET /v1/events": Answer(lines=lines, stay=True),
        "GET /v1/status": Answer(life(pid)),
    }
    return FakeDaemon(path, answers)


def asked(fake: FakeDaemon) -> list[str]:
    return [each.query["since"] for each in fake.requests if each.path == "/v1/events"]


def test_following_goes_on_where_it_was_when_only_the_connection_was_lost(path: str) -> None:
    """The same daemon is asked for what came after the last event that was seen."""
    follow, err = follower(path)
    events = follow.events()
    answers: dict[str, Any] = {
        "GET /v1/events": [Answer(lines=[event(1), event(2)], cut=True), Answer(lines=[event(3)], stay=True)],
        "GET /v1/status": Answer(life(1)),
    }
    with FakeDaemon(path, answers) as fake:
        assert [next(events)["sequence"] for _ in range(3)] == [1, 2, 3]
        events.close()
    assert asked(fake) == ["0", "2"]
    assert "connected again" in err.getvalue()


def test_only_the_first_answer_is_cut_to_the_latest(path: str) -> None:
    """What came while the connection was lost is news, however much it is."""
    follow, _ = follower(path, latest=1)
    events = follow.events()
    answers: dict[str, Any] = {
        "GET /v1/events": [Answer(lines=[event(7)], cut=True), Answer(lines=[event(8)], stay=True)],
        "GET /v1/status": Answer(life(1)),
    }
    with FakeDaemon(path, answers) as fake:
        assert [next(events)["sequence"] for _ in range(2)] == [7, 8]
        events.close()
    assert [each.query.get("last") for each in fake.requests if each.path == "/v1/events"] == ["1", None]


def test_another_life_of_the_daemon_is_followed_from_its_first_event(path: str) -> None:
    """Numbers begin anew with each daemon: the old number would hide the new one's first events."""
    follow, err = follower(path)
    events = follow.events()
    with daemon(path, 1, [event(8), event(9)]):
        assert [next(events)["sequence"] for _ in range(2)] == [8, 9]
    with daemon(path, 2, [event(1)]) as second:
        assert next(events)["sequence"] == 1
        events.close()
    assert asked(second) == ["9", "0"]
    assert "the daemon went away; waiting for it" in err.getvalue()
    assert "the daemon was restarted" in err.getvalue()


def test_a_quiet_stream_is_opened_anew_without_a_word(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing happens for long, asking again tells a quiet host from a daemon that hangs."""
    monkeypatch.setattr(events_command, "IDLE", 0.05)
    follow, err = follower(path)
    events = follow.events()
    answers: dict[str, Any] = {
        "GET /v1/events": [Answer(lines=[event(1)], stay=True), Answer(lines=[event(2)], stay=True)],
        "GET /v1/status": Answer(life(1)),
    }
    with FakeDaemon(path, answers) as fake:
        assert [next(events)["sequence"] for _ in range(2)] == [1, 2]
        events.close()
    assert asked(fake) == ["0", "1"]
    assert err.getvalue() == ""


def test_a_daemon_that_stays_away_ends_the_following(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait for its return has a deadline."""
    monkeypatch.setattr(events_command, "RETURN", 0.1)
    follow, _ = follower(path)
    events = follow.events()
    with daemon(path, 1, [event(1)]):
        next(events)
    with pytest.raises(NoDaemonError):
        next(events)


def test_the_return_is_seen_at_once_though_its_folder_had_gone(tmp_path: Path) -> None:
    """Systemd removes the runtime folder with the daemon; the wait is woken when both are made again."""
    folder = tmp_path / "run"
    path = short_path(folder)
    woken = threading.Event()

    def wait() -> None:
        wait_for_daemon.await_daemon(path, 1000)
        woken.set()

    threading.Thread(target=wait, daemon=True).start()
    time.sleep(
        0.1
    )  # not a readiness: it gives the thread the time to be waiting already, which is the harder case
    folder.mkdir()
    with FakeDaemon(path):
        assert woken.wait(60)


def test_a_socket_that_refuses_is_waited_for_until_the_deadline(path: str) -> None:
    """A stale socket is not taken for a daemon, and the wait for it ends."""
    import socket

    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
    with pytest.raises(NoDaemonError):
        wait_for_daemon.await_daemon(path, 0.2)
