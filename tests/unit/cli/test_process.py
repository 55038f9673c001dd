"""Scope: `eventctl` as a process: help, usage, signals, closed pipes, and what its start may import."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from eventd.cli import codes
from eventd.cli.commands import COMMANDS
from tests.unit.cli.fake_daemon import Answer, FakeDaemon, event, life, short_path

EVENTCTL = [sys.executable, "-m", "eventd.cli"]


def process(*argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*EVENTCTL, *argv],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def test_help_names_every_command_and_the_exit_codes() -> None:
    """The first thing that a newcomer reads is complete."""
    done = process("--help")
    assert done.returncode == 0
    for command in COMMANDS:
        assert f"  {command.name} " in done.stdout
    assert codes.EPILOG.strip() in done.stdout


def test_each_command_has_a_description_and_examples() -> None:
    """`COMMAND --help` shows how it is used."""
    for command in COMMANDS:
        assert command.description
        assert f"  eventctl {command.name}" in command.examples
    done = process("sync", "--help")
    assert "examples:" in done.stdout
    assert "exit codes:" in done.stdout


def test_help_imports_next_to_nothing() -> None:
    """The time of `--help` is its imports: neither HTTP nor asyncio nor pydantic are among them."""
    script = (
        "import sys\nfrom eventd.cli import main\nmain(['--help'])\n"
        "heavy = {'asyncio', 'http', 'ssl', 'json', 'pydantic', 'aiohttp', 'dataclasses', 'socket'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "heavy: []"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "usage:"),
        (("stauts",), "did you mean 'status'?"),
        (("status", "--wat"), "unrecognized arguments: --wat"),
        (("sync", "--timeout", "0"), "SECONDS"),
        (("runs", "-n", "0"), "number (1 to 100)"),
        (("events", "--since", "-1"), "sequence number"),
        (("why",), "WORKLOAD"),
    ],
)
def test_a_mistake_on_the_command_line_is_2(argv: tuple[str, ...], said: str) -> None:
    """Usage errors go to stderr and name what is wrong."""
    done = process(*argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_program_is_told_of_its_mistake_as_of_any_other_error() -> None:
    """With --json, an object on stdout besides the sentence on stderr."""
    done = process("--json", "stauts")
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["reason"], error["hint"]) == (2, "usage", "eventctl --help")
    assert error["message"] in done.stderr


def test_version_is_that_of_the_package() -> None:
    """--version prints one line."""
    done = process("--version")
    assert (done.returncode, done.stdout.split()[0]) == (0, "eventctl")


def test_no_daemon_is_3(tmp_path: Path) -> None:
    """The exit code arrives at the shell, and EVENTD_SOCKET is heeded."""
    done = process("status", EVENTD_SOCKET=str(tmp_path / "s"))
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(f"eventctl: no daemon at {tmp_path / 's'}\nhint: ")


def test_a_terminal_that_knows_no_utf8_gets_no_traceback(tmp_path: Path) -> None:
    """What cannot be encoded is escaped."""
    path = short_path(tmp_path)
    with FakeDaemon(path, {"GET /v1/why/x": Answer({"state": "converged", "sentence": "東京 …"})}):
        done = process("why", "x", "--socket", path, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (done.returncode, done.stdout) == (0, "\\u6771\\u4eac \\u2026\n")


def test_a_closed_pipe_ends_quietly(tmp_path: Path) -> None:
    """`eventctl events | head -1` leaves no traceback, however much was still to come."""
    path = short_path(tmp_path)
    lines = [event(number) for number in range(1, 5000)]
    with (
        FakeDaemon(path, {"GET /v1/events": Answer(lines=lines)}),
        subprocess.Popen(
            [*EVENTCTL, "events", "--socket", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as child,
    ):
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline()
        child.stdout.close()
        assert child.wait(60) == 0
        assert child.stderr.read() == b""


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_quietly_with_130(tmp_path: Path) -> None:
    """SIGINT while following: no traceback, 128 + 2."""
    path = short_path(tmp_path)
    answers: dict[str, Answer | list[Answer]] = {
        "GET /v1/events": Answer(lines=[event(1)], stay=True),
        "GET /v1/status": Answer(life(1)),
    }
    with (
        FakeDaemon(path, answers),
        subprocess.Popen(
            [*EVENTCTL, "events", "--follow", "--socket", path],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as child,
    ):
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline()
        child.send_signal(signal.SIGINT)
        try:
            assert child.wait(60) == 130
        finally:
            child.kill()  # or the end of the block waits for it
        assert child.stderr.read() == b""
