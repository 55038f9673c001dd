"""Scope: `eventd-compose run` as a process, with a podman that plays: what it says to its manager, and its end."""

from __future__ import annotations

import copy
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.compose.fake_podman import FakePodman
from tests.unit.compose.stacks import documents

LONG = 60
"""Seconds for whatever takes a moment: reached by a broken program only."""


class Service:
    """A supervisor that runs, and its manager's socket."""

    def __init__(self, fake: FakePodman, *options: str, **environment: str) -> None:
        self.fake = fake
        self.log = ""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(LONG)
        address = str(fake.folder / "notify")
        Path(address).unlink(missing_ok=True)
        self._socket.bind(address)
        argv = [sys.executable, "-m", "eventd.compose", "run", "--file", str(fake.file), "--project", "demo"]
        self.process = subprocess.Popen(
            [*argv, "--unit", "demo.service", *options],
            cwd=fake.folder,
            env=fake.environment() | {"NOTIFY_SOCKET": address} | environment,
            stderr=subprocess.PIPE,
            text=True,
        )

    def until(self, assignment: str) -> str:
        """Wait for a message with this assignment; return its status line."""
        while True:
            lines = self._socket.recv(65536).decode().splitlines()
            if any(line.startswith(assignment) for line in lines):
                return next((line for line in lines if line.startswith("STATUS=")), "").removeprefix(
                    "STATUS="
                )

    def end(self) -> int:
        """Wait for its end; return the exit status."""
        _, self.log = self.process.communicate(timeout=LONG)
        return self.process.returncode

    def stop(self) -> int:
        """End it as systemd does."""
        self.process.send_signal(signal.SIGTERM)
        return self.end()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stderr:
            self.process.stderr.close()
        self._socket.close()


def ended(pid: int) -> bool:
    """Wait for the end of a process that is not ours to reap; a zombie has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    readable, _, _ = select.select([descriptor], [], [], LONG)
    os.close(descriptor)
    return bool(readable)


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakePodman]:
    """A podman without containers."""
    found = FakePodman(tmp_path / "host")
    yield found
    found.close()


@pytest.fixture
def start(fake: FakePodman) -> Iterator[Any]:
    """Starts supervisors of the one stack; they are killed at the end."""
    services: list[Service] = []

    def begin(*options: str, **environment: str) -> Service:
        services.append(Service(fake, *options, **environment))
        return services[-1]

    yield begin
    for service in services:
        service.close()


def test_ready_is_said_when_all_of_the_stack_is_up(fake: FakePodman, start: Any):
    """Not before: the health check passes later, and an event tells."""
    web = fake.running("web", health="starting", started=time.time())
    fake.up("exit 0", then=[web, fake.running("db")])
    service = start()
    assert service.until("STATUS=demo-web-1") == "demo-web-1 is not healthy yet"
    web["State"]["Health"]["Status"] = "healthy"
    fake.has([web, fake.running("db")])
    fake.event("web", "health_status", "healthy")
    assert service.until("READY=1") == "2 of 2 containers up"
    assert service.stop() == 0


def test_the_provider_is_asked_as_the_unit_says(fake: FakePodman, start: Any):
    """The unit's label for what podman makes itself; no invocation id, which would keep the monitors in our cgroup."""
    env = fake.folder / "env"
    env.write_text("A=1\n")
    fake.up("exit 0", then=[fake.running("web")])
    service = start("--env-file", str(env))
    service.until("READY=1")
    (up,) = fake.calls(" up ")
    assert up == (
        f"podman compose --file {fake.file} --env-file {env} --project-name demo up --detach --remove-orphans"
    )
    assert fake.calls("invocation=") == ["unit=demo.service invocation="]
    service.stop()


def test_events_are_followed_from_before_the_start(fake: FakePodman, start: Any):
    """So that none falls between asking and following."""
    before = time.time()
    fake.up("exit 0", then=[fake.running("web", health="healthy", started=time.time())])
    service = start()
    service.until("READY=1")
    fake.event("web", "health_status", "healthy")
    service.stop()
    followed = list(fake.calls("journalctl"))
    assert followed
    for line in followed:
        (since,) = [word for word in line.split() if word.startswith("--since=@")]
        assert before <= float(since.removeprefix("--since=@")) <= time.time()


@pytest.mark.parametrize("option", ["--env-file", "--needs-file"])
def test_a_missing_file_is_named_before_anything_starts(fake: FakePodman, start: Any, option: str):
    """And has an exit status of its own."""
    service = start(option, "/run/secrets/app.env")
    assert service.end() == 78
    assert "env-file: cannot read /run/secrets/app.env: No such file or directory" in service.log
    assert not fake.calls("podman compose")


def test_a_folder_in_the_place_of_a_file_is_told_and_a_pipe_holds_nothing_up(fake: FakePodman, start: Any):
    """The first cannot be read; the second has nobody who writes to it."""
    pipe = fake.folder / "pipe"
    os.mkfifo(pipe)
    service = start("--needs-file", str(pipe), "--needs-file", str(fake.folder))
    assert service.end() == 78
    assert f"cannot read {fake.folder}: Is a directory" in service.log


def test_a_missing_compose_file_is_named(fake: FakePodman, start: Any):
    """Another status: nobody forgot a secret."""
    fake.file.unlink()
    service = start()
    assert service.end() == 79
    assert f"compose-file: cannot read {fake.file}" in service.log


def test_a_failed_up_tells_what_the_provider_said_and_what_still_runs(fake: FakePodman, start: Any):
    """The older container is named as such."""
    old = fake.running("web", health="healthy")
    fake.has([old])
    fake.up("echo ' plain Error no such image' >&2; echo 'Error: executing x: exit status 18' >&2; exit 18")
    service = start()
    assert service.until("STATUS=provider") == "provider: compose up: status 18: plain Error no such image"
    assert service.end() == 65
    assert "older containers may still run: demo-web-1 (image 3c5e3e5daaf3, up since" in service.log


def test_an_unhealthy_container_fails_the_start_at_once(fake: FakePodman, start: Any):
    """Not at the deadline."""
    fake.up("exit 0", then=[fake.running("web", health="unhealthy"), fake.running("db")])
    service = start("--deadline", "1000")
    assert service.end() == 69
    assert "unhealthy: demo-web-1 is unhealthy" in service.log
    assert "containers created by this start still run: " in service.log


def test_a_container_that_ends_while_it_settles_fails_the_start(fake: FakePodman, start: Any):
    """Its monitor's end is what wakes."""
    web = fake.running("web", started=time.time() + 0.0)
    fake.up("exit 0", then=[web])
    service = start("--settle", "1000", "--deadline", "1000")
    service.until("STATUS=demo-web-1 has run for less")
    web["State"] |= {"Status": "exited", "ExitCode": 3}
    fake.has([web])
    fake.monitors[0].kill()
    assert service.end() == 69
    assert "demo-web-1 exited with status 3" in service.log


def test_the_deadline_names_what_was_not_up(fake: FakePodman, start: Any):
    """Nothing was broken, so the status is another one."""
    fake.up("exit 0", then=[fake.running("web", health="starting", started=time.time())])
    for seconds in (2, 8, 32):  # a machine may be so slow that `compose up` has not ended in time
        service = start("--deadline", f"{seconds}")
        assert service.end() == 75
        if "compose up did not end" not in service.log:
            break
    assert f"deadline: not up within {seconds} s: demo-web-1 is not healthy yet" in service.log


def test_a_provider_that_hangs_is_killed_at_the_deadline(fake: FakePodman, start: Any):
    """With what it started."""
    fake.up("sleep 1000 & echo $! >pid; echo Pulling >&2; wait")
    for seconds in (2, 8, 32):  # a machine may be so slow that the provider did not get to run in time
        service = start("--deadline", f"{seconds}")
        assert service.end() == 75
        if "Pulling" in service.log:
            break
    assert f"compose up did not end within {seconds} s; it last said: Pulling" in service.log
    assert ended(int((fake.folder / "pid").read_text()))


def test_a_stack_of_nothing_is_refused(fake: FakePodman, start: Any):
    """It would be up at once."""
    fake.up("exit 0", then=[])
    service = start()
    assert service.end() == 79


def test_what_must_not_be_found_is_removed_first(fake: FakePodman, start: Any):
    """The unhealthy one; the healthy one stays."""
    sick, well = fake.running("sick", health="unhealthy"), fake.running("well", health="healthy")
    fake.has([sick, well])
    fake.up("exit 0", then=[well])
    service = start()
    service.until("READY=1")
    calls = fake.calls()
    (removed,) = fake.calls("podman rm")
    assert removed == f"podman rm --force --ignore {sick['Id']}"
    assert calls.index(removed) < calls.index(fake.calls(" up ")[0])
    service.stop()
    assert "removed before the start: demo-sick-1 is unhealthy" in service.log


@pytest.mark.parametrize(("active", "status"), [("other.service\n", 76), ("", 0)], ids=["active", "inactive"])
def test_a_container_of_another_unit_is_refused_while_that_is_active(
    fake: FakePodman, start: Any, active: str, status: int
):
    """Else it is removed, with a line that says whose it was."""
    web = fake.running("web")
    theirs = copy.deepcopy(web)
    theirs["Config"]["Labels"]["PODMAN_SYSTEMD_UNIT"] = "other.service"
    fake.has([theirs])
    (fake.folder / "active").write_text(active)
    fake.up("exit 0", then=[web])
    service = start()
    if status:
        assert service.end() == status
        assert "foreign: demo-web-1 belongs to other.service, which is active" in service.log
        assert not fake.calls("podman rm")
        assert not fake.calls(" up ")
    else:
        service.until("READY=1")
        assert fake.calls("podman rm")
        service.stop()


def test_it_ends_when_the_stack_ceases_to_be_up(fake: FakePodman, start: Any):
    """Unhealthy: at once, by an event."""
    web = fake.running("web", health="healthy")
    fake.up("exit 0", then=[web])
    service = start("--grace", "1000")
    service.until("READY=1")
    web["State"]["Health"]["Status"] = "unhealthy"
    fake.has([web])
    fake.event("web", "health_status", "unhealthy")
    assert service.until("STATUS=unhealthy") == "unhealthy: demo-web-1 is unhealthy"
    assert service.end() == 69


def test_the_same_health_again_asks_podman_nothing(fake: FakePodman, start: Any):
    """There is such an event every few seconds."""
    fake.up("exit 0", then=[fake.running("web", health="healthy")])
    service = start()
    service.until("READY=1")
    asked = len(fake.calls("podman ps"))
    for _ in range(20):
        fake.event("web", "health_status", "healthy")
    service.process.send_signal(
        signal.SIGHUP
    )  # in order after them or not: its own questions are counted below
    service.until("READY=1")
    assert len(fake.calls("podman ps")) == asked + 2
    service.stop()


def test_a_container_that_is_gone_is_given_a_moment(fake: FakePodman, start: Any):
    """Podman may start it again; when it does not, the stack is down."""
    web, db = fake.running("web"), fake.running("db")
    fake.up("exit 0", then=[web, db])
    service = start("--grace", "1")
    service.until("READY=1")
    fake.has([web])
    fake.monitors[1].kill()
    assert service.until("STATUS=db") == "db has no container"
    assert service.end() == 69


def test_a_container_that_comes_back_within_the_moment_is_fine(fake: FakePodman, start: Any):
    """With a new monitor, which is then watched."""
    web, db = fake.running("web"), fake.running("db")
    fake.up("exit 0", then=[web, db])
    service = start("--grace", "1000")
    service.until("READY=1")
    fake.has([web])
    fake.monitors[1].kill()
    service.until("STATUS=db")
    fake.has([web, fake.running("db")])
    fake.event("db", "start")
    fake.event("web", "start")  # one of the two is of a container that it knows
    assert service.until("STATUS=2 of 2") == "2 of 2 containers up"
    assert service.stop() == 0


def test_a_container_that_lost_its_monitor_is_not_up(fake: FakePodman, start: Any):
    """Podman calls it running for ever."""
    fake.up("exit 0", then=[fake.running("web")])
    service = start("--grace", "0")
    service.until("READY=1")
    fake.monitors[0].kill()
    fake.monitors[0].wait()
    assert service.end() == 69
    assert "demo-web-1 has lost its monitor process" in service.log


def test_a_reload_applies_the_file_anew_and_is_verified(fake: FakePodman, start: Any):
    """RELOADING, then READY; a bad one ends the service and says what still runs."""
    web = fake.running("web", health="healthy")
    fake.up("exit 0", then=[web])
    service = start()
    service.until("READY=1")
    fake.up("exit 0", then=[web, fake.running("db")])
    service.process.send_signal(signal.SIGHUP)
    service.until("RELOADING=1")
    assert service.until("READY=1") == "2 of 2 containers up"
    fake.up("exit 1")
    service.process.send_signal(signal.SIGHUP)
    assert service.end() == 65
    assert "older containers may still run: demo-db-1" in service.log
    assert "demo-web-1" in service.log
    assert not fake.calls("podman stop")


def test_a_stop_takes_all_of_it_down(fake: FakePodman, start: Any):
    """Dependents first; containers, pod and networks; no volume."""
    web, db = fake.running("web"), fake.running("db")
    web["Config"]["Labels"]["com.docker.compose.depends_on"] = "db:service_started:false"
    fake.up("exit 0", then=[web, db])
    service = start()
    service.until("READY=1")
    assert service.stop() == 0
    wanted = [
        f"podman stop --ignore {web['Id']}",
        f"podman stop --ignore {db['Id']}",
        f"podman rm --force --ignore {db['Id']} {web['Id']}",
        "podman pod rm --force --ignore pod_demo",
        "podman network ls --quiet --filter=label=com.docker.compose.project=demo",
        "podman network rm n1",
    ]
    assert fake.calls()[-len(wanted) :] == wanted


def test_a_stop_while_it_starts_ends_the_provider(fake: FakePodman, start: Any):
    """And takes down what there is by then."""
    fake.up("echo $$ >pid; echo Pulling >&2; exec sleep 1000", then=[fake.running("web")])
    service = start("--deadline", "1000")
    assert service.process.stderr
    assert service.process.stderr.readline() == "Pulling\n"
    assert service.stop() == 0
    assert fake.calls("podman stop")
    assert ended(int((fake.folder / "pid").read_text()))


def test_podman_compose_is_not_believed(fake: FakePodman, start: Any):
    """It exits with 0 although it made no container for one of the services."""
    (fake.folder / "services").write_text("web\nplain\n")
    fake.up("exit 0", then=[fake.running("web")])
    service = start("--provider", "/usr/bin/podman-compose")
    assert service.end() == 65
    assert "provider: compose up created no container for plain" in service.log


@pytest.mark.parametrize("health", ["", "healthy"])
def test_without_an_event_log_health_cannot_be_followed(fake: FakePodman, start: Any, health: str):
    """So a stack with a health check is refused, and one without is not."""
    (fake.folder / "logger").write_text("none\n")
    fake.up("exit 0", then=[fake.running("web", health=health)])
    service = start()
    if health:
        # It was healthy when it was asked: nobody would tell when that ends.
        assert service.until("STATUS=podman")
        assert service.end() == 71
        assert "events_logger is 'none'" in service.log
    else:
        service.until("READY=1")
        assert service.stop() == 0


def test_a_follower_that_ends_is_started_again(fake: FakePodman, start: Any):
    """Where it cannot run at all, the service says so and ends."""
    (fake.folder / "bin/journalctl").write_text("#!/bin/sh\necho journalctl >>calls\nexit 1\n")
    fake.up("exit 0", then=[fake.running("web", health="starting", started=time.time())])
    service = start("--deadline", "1000")
    assert service.end() == 71
    assert "podman: journalctl cannot follow podman's events" in service.log
    assert len(fake.calls("journalctl")) >= 3  # one that took more than a second to end does not count


def test_a_podman_that_fails_is_told(fake: FakePodman, start: Any):
    """With its last line."""
    (fake.folder / "bin/podman").write_text(
        "#!/bin/sh\necho 'Error: no space left on device' >&2\nexit 125\n"
    )
    service = start()
    assert service.end() == 71
    assert "podman: podman ps --all: status 125: Error: no space left on device" in service.log


def test_recorded_documents_are_understood(fake: FakePodman, start: Any):
    """A migration that completed, and what waits for it; the monitors are ours, since the recorded ones are gone."""
    found = documents("completed")
    alive = fake.running("x")["State"]["ConmonPid"]
    for document in found:
        if document["State"]["Status"] == "running":
            document["State"]["ConmonPid"] = alive
    fake.up("exit 0", then=found)
    service = start()
    assert service.until("READY=1") == "2 of 2 containers up"
    assert service.stop() == 0
