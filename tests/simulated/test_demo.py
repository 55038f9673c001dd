"""Scope: `make demo`, as a newcomer meets it: it ends by itself, fails loudly, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from eventd_simulators.demo.stage import Stage

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("interruptible")]
DEMO = [sys.executable, "-m", "eventd_simulators.demo"]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for temporary files, with a name that leaves room for sockets; empty again at the end."""
    with tempfile.TemporaryDirectory(prefix="t-") as name:
        yield Path(name)


def begin(place: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        DEMO,
        env={**os.environ, "TMPDIR": str(place), **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        umask=0o077,
        cwd="/",
    )


def read_until(demo: subprocess.Popen[str], text: str) -> str:
    """Return what it wrote up to the line with a text."""
    assert demo.stdout is not None
    said = ""
    for line in demo.stdout:
        said += line
        if text in line:
            return said
    raise AssertionError(f"ended before {text!r}:\n{said}")


def processes(place: Path) -> dict[int, str]:
    """Return the processes whose arguments name the folder."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has just ended
        if str(place) in arguments:
            found[int(path.parent.name)] = arguments
    return found


def assert_nothing_left(place: Path) -> None:
    assert list(place.iterdir()) == []
    assert processes(place) == {}


def test_two_at_once_tell_the_whole_story_and_leave_nothing(place: Path) -> None:
    """Each ends by itself with 0: plain text, every step proven; under umask 077, from any folder."""
    demos = [begin(place), begin(place)]
    for demo in demos:
        said, _ = demo.communicate(timeout=100)
        assert demo.returncode == 0, said
        for number, title in enumerate(
            ("A host", "A push", "A change", "Drift", "A mistake", "A removal"), 1
        ):
            assert f" {number}. {title} " in said
        assert "because of webhook pushed demo/host" in said
        assert "web: refused" in said
        assert "every step came true" in said
        assert "make demo KEEP=1" in said
        assert "\x1b" not in said
    assert_nothing_left(place)


def test_a_folder_that_sockets_cannot_be_in_is_passed_over(place: Path) -> None:
    """A TMPDIR with a space, which D-Bus addresses would have to escape, is not used."""
    odd = place / "with space"
    odd.mkdir()
    demo = begin(place, TMPDIR=str(odd))
    said = read_until(demo, "Everything is in")
    demo.send_signal(signal.SIGINT)
    demo.communicate(timeout=60)
    assert str(place) not in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_cleans_up(place: Path, number: signal.Signals) -> None:
    """Ctrl-C in the middle ends every process and removes the folder; the status says interrupted."""
    demo = begin(place)
    said = read_until(demo, "$ git push")
    demo.send_signal(number)
    rest, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, said + rest
    assert "interrupted" in rest
    assert "Traceback" not in rest
    assert_nothing_left(place)


def test_an_interrupt_while_git_starts_ends_git_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C when the process exists and nobody holds it yet: it is ended before the interrupt goes on."""
    started: list[subprocess.Popen[str]] = []

    class Interrupted(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            started.append(self)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    there = SimpleNamespace(work=tmp_path, environment=dict(os.environ))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        Stage.git(cast("Stage", there), "-c", "alias.wait=!sleep 1000", "wait")
    assert [each.returncode for each in started] == [-signal.SIGKILL]
    assert signal.getsignal(signal.SIGINT) is before


def test_killed_it_takes_its_processes_with_it(place: Path) -> None:
    """After kill -9 there is nobody to clean up; the kernel ends the children (prctl(2))."""
    demo = begin(place)
    read_until(demo, "$ git push")
    waiting = {}
    for pid in processes(place):
        with contextlib.suppress(ProcessLookupError):  # one of the push's own, which has just ended
            waiting[os.pidfd_open(pid)] = pid
    assert len(waiting) > 4  # simulator, buses, eventd, webhook, events
    demo.kill()
    demo.communicate(timeout=60)
    poll = select.poll()
    for pidfd in waiting:
        poll.register(pidfd, select.POLLIN)
    while waiting:
        ended = poll.poll(30_000)
        assert ended, waiting
        for pidfd, _ in ended:
            poll.unregister(pidfd)
            os.close(pidfd)
            del waiting[pidfd]
    # The push that was on is git's own: its processes end when their pipes break, and write and remove until then.
    deadline = time.monotonic() + 60
    while place.exists():
        try:
            shutil.rmtree(place)
        except OSError:
            assert time.monotonic() < deadline, processes(place)
    place.mkdir()


def test_a_step_that_does_not_come_true_fails_it_with_the_logs(place: Path) -> None:
    """When eventd dies, the demo says so, shows the logs and exits 1."""
    demo = begin(place)
    said = read_until(demo, "3. A change")
    daemons: list[int] = []
    while len(daemons) != 1:  # what it starts has its arguments until execve(2)
        daemons = [pid for pid, text in processes(place).items() if "demo.daemon" in text]
    os.kill(daemons[0], signal.SIGKILL)
    rest, _ = demo.communicate(timeout=60)
    assert demo.returncode == 1, said + rest
    assert "The demo failed" in rest
    assert "== eventd.log" in rest
    assert "eventd 0." in rest
    assert_nothing_left(place)


def test_a_missing_program_is_named_with_its_package(place: Path) -> None:
    """Without dbus-daemon it says what to install, and begins nothing."""
    programs = place / "bin"
    programs.mkdir()
    (programs / "git").symlink_to(str(shutil.which("git")))
    demo = begin(place, PATH=str(programs))
    said, _ = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert "apt-get install dbus" in said
    assert [path.name for path in place.iterdir()] == ["bin"]
