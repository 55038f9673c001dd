"""Scope: `eventctl update`: that it can wait for a daemon which is not up yet, as the timer's service does at boot."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from eventd.cli import codes
from eventd.updates.model_timer import SERVICE
from tests.unit.cli.cli_runner import Result, eventctl
from tests.unit.cli.fake_daemon import Answer, FakeDaemon, short_path

QUEUED = {"POST /v1/update/web": Answer({"queued": True, "workloads": ["web"]}, 202)}


def test_it_waits_for_a_daemon_that_is_not_up_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was due while the host was off is made up for at its boot, when the daemon may not listen yet."""
    path, results = short_path(tmp_path), list[Result]()
    monkeypatch.setenv("EVENTD_SOCKET", path)  # the timer's service names no socket
    asking = threading.Thread(target=lambda: results.append(eventctl("update", "web", "--when-up", "60")))
    asking.start()
    with FakeDaemon(path, QUEUED):
        asking.join(60)
    assert [each.code for each in results] == [codes.AS_WANTED]
    assert results[0].out == "queued: web; `eventctl images` shows the outcome\n"


def test_a_daemon_that_stays_away_is_said_so(tmp_path: Path) -> None:
    """The wait has a deadline, and without the option there is none."""
    path = short_path(tmp_path)
    for options in ([], ["--when-up", "0.2"]):
        assert eventctl("update", "web", *options, "--socket", path).code == codes.NO_DAEMON


def test_the_timers_service_waits() -> None:
    """Its timer is persistent, and elapses as soon as the user's manager is up."""
    assert "--when-up 600" in SERVICE


@pytest.mark.parametrize(
    "argv", [("images",), ("update", "--check"), ("update", "--wait"), ("update", "web")]
)
def test_how_long_the_daemon_may_be_silent_is_the_callers_to_say(
    tmp_path: Path, argv: tuple[str, ...]
) -> None:
    """It asks the podman of every user, and after a start it waits for its first commit: longer than other answers."""
    path = short_path(tmp_path)
    silent = Answer(silent=True)
    answers: dict[Any, Any] = {
        "GET /v1/images": silent,
        "POST /v1/update": silent,
        "POST /v1/update/web": silent,
    }
    with FakeDaemon(path, answers):
        result = eventctl(*argv, "--timeout", "0.125", "--socket", path)
    assert (result.code, "did not answer within 0.125 s" in result.err) == (3, True), result.err


@pytest.mark.parametrize(
    "argv", [("rollback", "web", "--to", "HEAD~1"), ("sync", "--allow-rewrite", "1a2b3c4d5e")]
)
def test_what_is_no_commit_is_a_mistake_of_usage(
    capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]
) -> None:
    """Said before anybody is asked: what else git understands, the daemon does not resolve."""
    with pytest.raises(SystemExit) as ended:
        eventctl(*argv)
    assert ended.value.code == codes.USAGE
    assert "commit id (`git rev-parse`" in capsys.readouterr().err
