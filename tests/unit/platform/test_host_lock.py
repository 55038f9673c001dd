"""The host lock: with another process as the other holder, since that is what it is for."""

# ruff: noqa: ASYNC110  the other side is a thread or a process, and has no event of this loop

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from eventd.kernel.model.errors import DeadlineError, PermanentError
from eventd.kernel.ports import LockHolder
from eventd.platform.host_lock import HostLock
from eventd.platform.lock_holder import parse_holder, process_name

_HOLD = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(fd, fcntl.LOCK_EX)
os.write(fd, str(os.getpid()).encode())
print("held", flush=True)
sys.stdin.readline()
"""


@contextmanager
def another_holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def free(path: Path) -> bool:
    return subprocess.run(["flock", "-n", str(path), "true"], check=False).returncode == 0


async def test_held_and_given_back(tmp_path: Path):
    """While the block runs nobody else gets the lock, and the file names us; afterwards it is free."""
    path = tmp_path / "lock"
    lock = HostLock(str(path))
    async with lock.hold(timeout=60):
        assert lock.held
        assert not free(path)
        assert lock.holder() == os.getpid()
    assert not lock.held
    assert free(path)
    assert lock.holder() is None
    assert lock.contended == 0


async def test_two_tasks_take_turns(tmp_path: Path):
    """Within one process the second task waits for the first, in order.

    That is no contention: nobody else wanted it.
    """
    lock = HostLock(str(tmp_path / "lock"))
    order: list[str] = []

    async def work(name: str) -> None:
        async with lock.hold(timeout=60):
            order.append(f"{name}+")
            await asyncio.sleep(0)
            order.append(f"{name}-")

    await asyncio.gather(work("a"), work("b"), work("c"))
    assert order == ["a+", "a-", "b+", "b-", "c+", "c-"]
    assert lock.contended == 0


async def test_the_deadline_names_the_holder(tmp_path: Path):
    """Another process that keeps the lock is named at the deadline, and counted."""
    path = tmp_path / "lock"
    lock = HostLock(str(path))
    with another_holder(path) as other:
        with pytest.raises(DeadlineError) as caught:
            await lock.acquire(timeout=0.05)
        assert caught.value.reason == "host-locked"
        assert f"process {other.pid} (python" in caught.value.message
        assert lock.contended == 1


async def test_the_wait_ends_when_the_holder_is_killed(tmp_path: Path):
    """A holder that dies without a word gives the lock to who waits, at once."""
    path = tmp_path / "lock"
    lock = HostLock(str(path))
    with another_holder(path) as other:
        waiting = asyncio.create_task(lock.acquire(timeout=60))
        while not lock.contended:
            await asyncio.sleep(0)
        other.kill()
        await waiting
    assert lock.holder() == os.getpid()
    assert not free(path)
    lock.release()


async def test_a_lock_that_nobody_waits_for_any_more_is_given_back(tmp_path: Path):
    """After a deadline the thread that still waits gives the lock back when it gets it."""
    path = tmp_path / "lock"
    lock = HostLock(str(path))
    with another_holder(path), pytest.raises(DeadlineError):
        await lock.acquire(timeout=0.05)
    async with asyncio.timeout(60):
        while lock._waiting is not None:
            await asyncio.sleep(0.005)
    assert free(path)


async def test_the_next_one_who_waits_takes_the_thread_over(tmp_path: Path):
    """Many deadlines in a row leave one waiting thread, and its lock goes to whoever waits then."""
    path = tmp_path / "lock"
    lock = HostLock(str(path))
    with another_holder(path) as other:
        for _ in range(3):
            with pytest.raises(DeadlineError):
                await lock.acquire(timeout=0.02)
        assert [thread.name for thread in threading.enumerate()].count("host-lock") == 1
        waiting = asyncio.create_task(lock.acquire(timeout=60))
        await asyncio.sleep(0)
        other.kill()
        await waiting
    assert not free(path)
    lock.release()
    assert free(path)


async def test_a_cancelled_wait_does_not_keep_the_lock(tmp_path: Path):
    """Cancelling who waits at the moment the lock is granted leaves it free for others."""
    path = tmp_path / "lock"
    lock = HostLock(str(path))
    with another_holder(path):
        waiting = asyncio.create_task(lock.acquire(timeout=60))
        while not lock.contended:
            await asyncio.sleep(0)
        future = lock._waiting
        assert future is not None
        future.add_done_callback(lambda _: waiting.cancel())
    await asyncio.gather(waiting, return_exceptions=True)
    if not waiting.cancelled():
        lock.release()  # it had the lock before the cancellation reached it
    assert free(path)
    async with lock.hold(timeout=60):
        pass


async def test_a_lock_file_that_cannot_be_made(tmp_path: Path):
    """A missing folder, or a symlink in place of the file, is permanent and says where."""
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    for name in ("none/lock", "link"):
        with pytest.raises(PermanentError) as caught:
            await HostLock(str(tmp_path / name)).acquire(timeout=60)
        assert caught.value.reason == "lock-unusable"
    assert not (tmp_path / "victim").exists()


async def test_nobody_else_can_open_the_file(tmp_path: Path):
    """flock(2) takes no right to write: a file that others can open is a lock that they can hold. Also an older one."""
    path = tmp_path / "lock"
    path.touch()
    path.chmod(0o644)
    async with HostLock(str(path)).hold(timeout=60):
        assert path.stat().st_mode & 0o777 == 0o600


async def test_who_has_the_lock_is_said_at_once(tmp_path: Path):
    """By what the kernel says, whatever somebody has written into the file."""
    path = tmp_path / "lock"
    lock, told = HostLock(str(path)), list[LockHolder | None]()
    with another_holder(path) as other:
        path.write_text("1\n")
        waiting = asyncio.create_task(lock.acquire(timeout=60, waiting=told.append))
        while not told:
            await asyncio.sleep(0)
        assert not waiting.done()
        (holder,) = told
        assert holder is not None
        assert holder.pid == other.pid
        assert holder.command.startswith("python")
        other.kill()
        await waiting
    lock.release()


def test_a_name_that_a_process_gives_itself_reaches_no_terminal():
    """Escape sequences in it are made visible; a process that has ended has no name."""
    script = "open('/proc/self/comm', 'wb').write(b'\\x1b[2Jevil'); print('x', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert process_name(process.pid) == "?[2Jevil"
        process.kill()
    assert process_name(process.pid) == ""


def test_only_the_holder_of_a_flock_counts():
    """Not who waits for it, not a lock of another kind or of another file."""
    device = os.makedev(0, 27)
    lines = (
        "1: POSIX  ADVISORY  WRITE 1 00:1b:1166 0 EOF\n"
        "2: FLOCK  ADVISORY  WRITE 2 00:1b:9 0 EOF\n"
        "3: FLOCK  ADVISORY  WRITE 717 00:1b:1166 0 EOF\n"
        "3: -> FLOCK  ADVISORY  WRITE 718 00:1b:1166 0 EOF\n"
        "garbage\n"
    )
    assert parse_holder(lines, device, 1166) == 717
    assert parse_holder("3: -> FLOCK  ADVISORY  WRITE 718 00:1b:1166 0 EOF\n", device, 1166) is None
    assert parse_holder("3: FLOCK  ADVISORY  WRITE 0 00:1b:1166 0 EOF\n", device, 1166) is None
