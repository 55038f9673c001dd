"""sd_notify, the watchdog and socket activation, with a real datagram socket as the manager."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventd.kernel.model.errors import PermanentError
from eventd.platform.sdnotify import Notifier, listen_fds


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    name = (
        str(tmp_path / "notify") if request.param == "path" else f"@eventd-test-{os.getpid()}-{id(request)}"
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind("\0" + name[1:] if name[0] == "@" else name)
        server.setblocking(False)
        yield server, name


async def test_the_states_of_a_service(manager: tuple[socket.socket, str]):
    """Ready, status, reloading, extended and stopping go out as sd_notify(3) spells them."""
    server, name = manager
    notifier = Notifier(name)
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.ready("up")
    notifier.status("two\nlines")
    notifier.reloading()
    notifier.extend_timeout(2.5)
    notifier.stopping("bye")
    assert server.recv(4096) == b"READY=1\nSTATUS=up"
    assert server.recv(4096) == b"STATUS=two lines"
    reloading = server.recv(4096).decode().split("\n")
    assert reloading[0] == "RELOADING=1"
    key, _, value = reloading[1].partition("=")
    assert key == "MONOTONIC_USEC"
    assert before <= int(value) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert server.recv(4096) == b"EXTEND_TIMEOUT_USEC=2500000"
    assert server.recv(4096) == b"STOPPING=1\nSTATUS=bye"
    notifier.close()


async def test_the_same_status_is_sent_once(manager: tuple[socket.socket, str]):
    """Repeating a status wakes nobody."""
    server, name = manager
    notifier = Notifier(name)
    notifier.status("a")
    notifier.status("a")
    notifier.status("b")
    assert server.recv(4096) == b"STATUS=a"
    assert server.recv(4096) == b"STATUS=b"
    notifier.close()


async def test_a_full_queue_keeps_messages_in_order(manager: tuple[socket.socket, str]):
    """What the manager's queue has no room for is sent, in order, when it has."""
    server, name = manager
    notifier = Notifier(name)
    count = 60  # more than net.unix.max_dgram_qlen, 10 by default; 512 on some hosts, where nothing is queued
    for number in range(count):
        notifier.status(str(number))
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(60):
        got = [await loop.sock_recv(server, 4096) for _ in range(count)]
    assert got == [f"STATUS={number}".encode() for number in range(count)]
    notifier.close()


async def test_without_a_manager_nothing_happens():
    """Outside systemd every call is accepted."""
    notifier = Notifier.from_environment({})
    notifier.ready()
    notifier.stopping()
    await notifier.keep_alive()
    assert notifier.watchdog_interval is None


async def test_a_manager_that_is_gone_is_an_error(tmp_path: Path):
    """A socket that nobody listens on is said, not swallowed."""
    notifier = Notifier(str(tmp_path / "none"))
    with pytest.raises(PermanentError) as caught:
        notifier.ready()
    assert caught.value.reason == "notify-failed"
    notifier.close()


def test_the_environment_is_taken_not_read():
    """The variables are gone afterwards, so that no child notifies for us; another's watchdog is not ours."""
    environment = {
        "NOTIFY_SOCKET": "@x",
        "WATCHDOG_USEC": "3000000",
        "WATCHDOG_PID": str(os.getpid()),
        "HOME": "/",
    }
    notifier = Notifier.from_environment(environment)
    assert environment == {"HOME": "/"}
    assert notifier.watchdog_interval == 1.5
    notifier.close()
    assert Notifier.from_environment({"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}).watchdog_interval is None


async def test_the_watchdog_is_fed_only_while_alive(manager: tuple[socket.socket, str]):
    """As long as the daemon says that it is well the manager hears of it, and not after."""
    server, name = manager
    notifier = Notifier(name, watchdog_usec=20_000)
    well = True
    task = asyncio.create_task(notifier.keep_alive(lambda: well))
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(60):
        for _ in range(3):
            assert await loop.sock_recv(server, 64) == b"WATCHDOG=1"
    well = False
    await asyncio.sleep(0.05)
    while True:
        try:
            server.recv(64)
        except BlockingIOError:
            break
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await loop.sock_recv(server, 64)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    notifier.close()


def test_passed_sockets_come_with_names_and_are_not_inherited():
    """A process that is given descriptors from 3 on gets them by name, close-on-exec, and once."""
    program = """
import os, sys
given = [os.dup(int(fd)) for fd in sys.argv[1:]]
for number, fd in enumerate(given):
    os.dup2(fd, 3 + number)
os.environ["LISTEN_PID"] = str(os.getpid())
from eventd.platform.sdnotify import listen_fds
for passed in listen_fds(os.environ):
    print(passed.name, passed.fd, os.get_inheritable(passed.fd))
print(listen_fds(os.environ))
"""
    a, b = socket.socketpair()
    with a, b:
        completed = subprocess.run(
            [sys.executable, "-c", program, str(a.fileno()), str(b.fileno())],
            pass_fds=(a.fileno(), b.fileno()),
            env=os.environ | {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "http"},
            check=True,
            capture_output=True,
            text=True,
        )
    assert completed.stdout.splitlines() == ["http 3 False", "unknown 4 False", "()"]


def test_sockets_for_another_process_are_left_alone():
    """LISTEN_PID of an ancestor: the descriptors are not for us. A count that is no number is an error."""
    assert listen_fds({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == ()
    with pytest.raises(PermanentError):
        listen_fds({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "x"})


def test_a_process_without_a_loop_waits_for_its_manager(manager: tuple[socket.socket, str]):
    """More messages than the manager's queue holds all arrive, in order, from a process that has no event loop."""
    server, name = manager
    server.setblocking(True)
    server.settimeout(60)
    script = """
import os, sys
from eventd.platform.sdnotify import Notifier
import eventd.compose.process
notifier = Notifier.from_environment(os.environ, blocking=True)
for number in range(2000):
    notifier.status(str(number))
sys.exit("asyncio" in sys.modules)
"""
    child = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "NOTIFY_SOCKET": name})
    assert [server.recv(64) for _ in range(2000)] == [b"STATUS=%d" % number for number in range(2000)]
    assert child.wait(60) == 0, "asyncio is 6 MB, for each stack"
