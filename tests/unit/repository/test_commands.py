"""Scope: `eventctl sync` on a fake daemon: what is asked, what progress looks like, what the exit code is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.cli_runner import Result, eventctl
from tests.unit.cli.fake_daemon import COMMIT, Answer, FakeDaemon, run, short_path


@pytest.fixture
def path(tmp_path: Path) -> str:
    return short_path(tmp_path)


def step(workload: str, name: str, state: str, **changes: Any) -> dict[str, Any]:
    return {
        "type": "progress",
        "workload": workload,
        "step": name,
        "state": state,
        "message": "",
        "seconds": None,
        **changes,
    }


START: list[Any] = [{"type": "queued"}, {"type": "run", "id": 12, "commit": COMMIT}]
STEPS: list[Any] = [
    step("web", "put-file quadlet:web.container", "begin"),
    step("db", "start db.service", "begin"),
    step("web", "put-file quadlet:web.container", "end", seconds=0.004),
    step("db", "start db.service", "failed", seconds=1.5, message="\x1b[31mtimeout\x1b[0m"),
]


def sync(path: str, lines: list[Any], *argv: str, tty: bool = False, cut: bool = False) -> Result:
    with FakeDaemon(path, {"POST /v1/sync": Answer(lines=lines, cut=cut)}):
        return eventctl("sync", "--wait", "--socket", path, *argv, tty=tty)


def done(result: str = "ok", **changes: Any) -> dict[str, Any]:
    return {"type": "done", "run": run(12, result, **changes)}


def test_sync_asks_for_a_fetch_and_does_not_wait(path: str) -> None:
    """The plain command takes the answer for the request's acceptance: 0."""
    with FakeDaemon(path, {"POST /v1/sync": Answer({"queued": True, "joined": None}, 202)}) as daemon:
        result = eventctl("sync", "--socket", path)
    assert (result.code, result.out) == (0, "queued; `eventctl status` shows the outcome\n")
    assert daemon.requests[0].body == {"wait": False, "fetch": True, "allow_rewrite": None}


def test_what_keeps_the_run_from_beginning_is_said(path: str) -> None:
    """A line with the reason and what shows more, its control characters taken out; the run follows."""
    waiting = {
        "type": "waiting",
        "reason": "host-locked",
        "message": "process 7 (\x1b[2Jx) has it",
        "hint": "ps -fp 7",
    }
    result = sync(path, [START[0], waiting, START[1], done()])
    assert result.code == 0
    assert result.out.splitlines()[:3] == [
        "queued",
        "waiting: process 7 (x) has it (ps -fp 7)",
        "run 12 at 1a2b3c4d5e",
    ]


def test_a_run_that_had_nothing_left_to_do_names_the_one_that_did_the_work(path: str) -> None:
    """Whoever pushes and then syncs is often too late: what applied the push is shown besides."""
    earlier = run(11, "ok")
    result = sync(path, [*START, {**done(), "applied": earlier}])
    assert result.code == 0
    (line,) = [line for line in result.out.splitlines() if line.startswith("applied by ")]
    assert line.startswith("applied by run 11: ok ")
    assert not [line for line in sync(path, [*START, done()]).out.splitlines() if "applied by" in line]


def test_a_joined_run_is_named(path: str) -> None:
    """When a run is on already, the answer says which."""
    with FakeDaemon(path, {"POST /v1/sync": Answer({"queued": True, "joined": 11}, 202)}):
        assert eventctl("sync", "--socket", path).out.startswith("joined run 11;")


def test_options_reach_the_daemon(path: str) -> None:
    """--no-fetch and --allow-rewrite are passed on as they are."""
    with FakeDaemon(path, {"POST /v1/sync": Answer({"queued": True, "joined": None}, 202)}) as daemon:
        eventctl("sync", "--no-fetch", "--allow-rewrite", COMMIT, "--socket", path)
    assert daemon.requests[0].body == {"wait": False, "fetch": False, "allow_rewrite": COMMIT}


@pytest.mark.parametrize(("result", "code"), [("ok", 0), ("failed", 1), ("held", 4), ("interrupted", 1)])
def test_waiting_exits_by_the_runs_result(path: str, result: str, code: int) -> None:
    """With --wait the exit code is the run's."""
    assert sync(path, [*START, done(result)]).code == code


def test_a_pipe_gets_one_line_per_step_that_ended(path: str) -> None:
    """Plain lines, in the order of the stream, then the sum."""
    failed = [{"name": "db", "result": "failed", "reason": "timeout", "message": "no answer", "actions": 1}]
    result = sync(path, [*START, *STEPS, done("failed", workloads=failed)])
    assert result.out == (
        "queued\n"
        "run 12 at 1a2b3c4d5e\n"
        "web: put-file quadlet:web.container (4 ms)\n"
        "db: FAILED start db.service (1.5 s): timeout\n"
        "run 12: failed 2 min ago in 3.2 s, at 1a2b3c4d5e, because of webhook pushed main\n"
        "  WORKLOAD  RESULT  ACTIONS   REASON\n"
        "  db        failed  1 action  timeout: no answer\n"
    )


def screen(output: str) -> list[str]:
    """What a terminal shows after `output`: a VT100 with the few controls that are used."""
    lines = [""]
    row = 0
    for part in output.split("\x1b["):
        if part.startswith("J") and row < len(lines):
            del lines[row + 1 :]
            lines[row] = ""
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if part[len(digits) :].startswith("A\r"):
            row -= int(digits)
            text = part[len(digits) + 2 :]
        else:
            text = part.removeprefix("K").removeprefix("J")
        for piece in text.splitlines(keepends=True):
            lines += [""] * (row + 1 - len(lines))
            if piece.strip("\n"):
                lines[row] = piece.rstrip("\n")
            row += piece.endswith("\n")
    return [line for line in lines if line]


def test_a_terminal_gets_one_line_per_workload_that_is_rewritten(path: str) -> None:
    """Each workload has one line, showing its latest step, and nothing is left of the earlier ones."""
    shown = screen(sync(path, [*START, *STEPS, done("failed")], tty=True).out)
    assert shown[:3] == [
        "run 12 at 1a2b3c4d5e",
        "  db   FAILED start db.service (1.5 s): timeout",
        "  web  put-file quadlet:web.container (4 ms)",
    ]
    assert len(shown) == 4


def test_more_workloads_than_rows_show_those_at_work(path: str) -> None:
    """The block never grows beyond the screen, where moving up would not reach its first line."""
    many = [step(f"w{number:03}", "start", "end") for number in range(100)]
    output = sync(path, [*START, *many, step("w050", "restart", "begin"), done()], tty=True).out
    shown = screen(output)
    assert "  w050  restart …" in shown
    assert "  and 99 more" in shown
    heights = [int(part.split("A\r")[0]) for part in output.split("\x1b[") if "A\r" in part]
    assert max(heights) < 24


def test_json_streams_the_messages(path: str) -> None:
    """With --json each message of the stream is a line, and nothing else is printed."""
    result = sync(path, [*START, *STEPS, done()], "--json")
    assert [json.loads(line) for line in result.out.splitlines()] == [*START, *STEPS, done()]
    assert result.code == 0


def test_messages_of_a_newer_daemon_are_passed_over(path: str) -> None:
    """An unknown type of message is no error."""
    assert sync(path, [*START, {"type": "weather"}, done()]).code == 0


def test_a_daemon_that_stops_meanwhile_is_not_success(path: str) -> None:
    """The daemon's own word that it stops ends the wait with 1, and says what to do."""
    stopping = {"type": "error", "reason": "stopping", "message": "the daemon stops"}
    result = sync(path, [*START, stopping])
    assert (result.code, result.err.splitlines()[0]) == (
        1,
        "eventctl: the daemon stops",
    )


@pytest.mark.parametrize("cut", [True, False])
def test_an_answer_without_an_end_is_not_success(path: str, cut: bool) -> None:
    """A connection that is lost, or an answer that ends before the run does, is 1."""
    result = sync(path, START, cut=cut)
    assert result.code == 1
    assert "hint:" in result.err


def test_a_silent_daemon_meets_the_deadline(path: str) -> None:
    """--timeout bounds how long nothing may be heard."""
    with FakeDaemon(path, {"POST /v1/sync": Answer(lines=START, stay=True)}):
        result = eventctl("sync", "--wait", "--timeout", "0.1", "--socket", path)
    assert result.code == 1
    assert "nothing heard" in result.err
