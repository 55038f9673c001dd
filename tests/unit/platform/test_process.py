"""Scope: eventd.platform.processes.process, with real processes."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

from eventd.kernel.model.errors import DeadlineError, PermanentError, TemporaryError
from eventd.platform.processes import process
from tests.processes import open_descriptors

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change to another account")


async def gone(pid: int) -> bool:
    """Wait for the end of a process that is not our child, through its pidfd."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def note() -> None:
        loop.remove_reader(descriptor)
        ended.set_result(None)

    loop.add_reader(descriptor, note)
    try:
        await asyncio.wait_for(ended, 60)
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return True


async def test_status_output_and_input_are_carried() -> None:
    """Input goes in, both outputs and the exit status come back."""
    done = await process.run(["sh", "-c", "cat; echo oops >&2; exit 3"], timeout=60, stdin=b"hello")
    assert (done.status, done.stdout, done.stderr, done.ok) == (3, b"hello", b"oops\n", False)


async def test_large_input_and_output_do_not_deadlock() -> None:
    """A command that writes while it reads gets all of a large input through."""
    data = os.urandom(1 << 20)
    done = await process.run(["cat"], timeout=60, stdin=data)
    assert done.stdout == data


async def test_a_signal_is_a_negative_status() -> None:
    """A command that a signal ended says which."""
    done = await process.run(["sh", "-c", "kill -TERM $$"], timeout=60)
    assert done.status == -15
    with pytest.raises(PermanentError, match="signal 15"):
        done.require()


async def test_the_environment_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the daemon's environment reaches a command, only what the caller gives."""
    monkeypatch.setenv("EVENTD_SECRET", "x")
    done = await process.run(["env"], timeout=60, environment={"A": "b"})
    names = {line.partition(b"=")[0] for line in done.stdout.splitlines()}
    assert names == {b"PATH", b"LC_ALL", b"A"}


async def test_no_descriptor_is_inherited() -> None:
    """Even an inheritable descriptor of the daemon stays out of the command."""
    descriptor = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(descriptor, True)
    try:
        done = await process.run(
            [sys.executable, "-I", "-c", "import os; print(os.listdir('/proc/self/fd'))"], timeout=60
        )
    finally:
        os.close(descriptor)
    assert set(eval(done.stdout)) == {"0", "1", "2", "3"}  # 3 is listdir's own


async def test_descriptors_are_given_back() -> None:
    """A hundred commands, ended in every way, leave no descriptor open in the daemon."""
    await process.run(["true"], timeout=60)
    before = open_descriptors()
    for _ in range(20):
        await process.run(["true"], timeout=60)
        with pytest.raises(DeadlineError):
            await process.run(["sleep", "60"], timeout=0.01)
        with pytest.raises(PermanentError):
            await process.run(["/nonexistent"], timeout=60)
        with pytest.raises(PermanentError):
            await process.run(["yes"], timeout=60, output_limit=1000)
    assert open_descriptors() == before


async def test_the_deadline_kills_the_whole_group(tmp_path: Path) -> None:
    """At the deadline the command's children end too, though they ignore SIGTERM."""
    noted = tmp_path / "pid"
    script = f"(trap '' TERM; echo $BASHPID > {noted}.new; mv {noted}.new {noted}; exec sleep 1000) & wait"
    for seconds in (0.3, 3, 30):  # a machine may be so slow that the child did not get to run in time
        with pytest.raises(DeadlineError, match=rf"bash did not end within {seconds} s"):
            await process.run(["bash", "-c", script], timeout=seconds)
        if noted.exists():
            break
    assert await gone(int(noted.read_text()))


WITHOUT_KILL = """\
import asyncio, os
from eventd.platform.processes.process import ServiceAccount, run
from eventd.kernel.model.errors import DeadlineError
async def main():
    try:
        await run(["sleep", "1000"], timeout=0.5, identity=ServiceAccount(65534, 65534))
    except DeadlineError:
        print("late")
    try:
        print("left", os.waitpid(-1, os.WNOHANG))
    except ChildProcessError:
        print("none left")
asyncio.run(main())
"""


@needs_root
async def test_a_command_of_another_account_is_killed_without_the_right_to_kill_everybody() -> None:
    """The daemon has no CAP_KILL: it ends what it started in the name of the account that it runs as."""
    under = ("setpriv", "--bounding-set=-kill", "--inh-caps=-kill", "--")
    done = await process.run([sys.executable, "-c", WITHOUT_KILL], under=under, timeout=60)
    assert done.stdout.decode().splitlines() == ["late", "none left"], done.text()


async def test_a_grandchild_left_behind_does_not_hold_the_answer() -> None:
    """A background child that keeps the pipes open is killed when it ends: the answer is not late."""
    done = await process.run(["sh", "-c", "sleep 1000 & echo $!"], timeout=60)
    assert await gone(int(done.stdout))


async def test_cancellation_kills_and_reaps(tmp_path: Path) -> None:
    """A cancelled run leaves no process and no zombie."""
    noted = tmp_path / "pid"
    os.mkfifo(noted)
    task = asyncio.create_task(process.run(["sh", "-c", f"echo $$ > {noted}; sleep 60"], timeout=30))
    pid = int(await asyncio.to_thread(noted.read_text))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not os.access(f"/proc/{pid}", os.F_OK)


async def test_too_much_output_is_an_error() -> None:
    """A command that writes without end is stopped at the limit, not collected."""
    with pytest.raises(PermanentError) as caught:
        await process.run(["yes"], timeout=60, output_limit=100_000)
    assert caught.value.reason == "output-limit"


async def test_error_output_keeps_its_end() -> None:
    """Of a long error output the last part is kept, which is where the reason stands."""
    done = await process.run(["sh", "-c", "seq 1 100000 >&2; echo reason >&2"], timeout=60)
    assert len(done.stderr) == process.ERROR_OUTPUT_LIMIT
    assert done.text().endswith("reason")


async def test_a_missing_command_and_folder_are_told_apart() -> None:
    """A command that is not installed, and a working folder that is not there, are different errors."""
    with pytest.raises(PermanentError) as caught:
        await process.run(["eventd-no-such-command"], timeout=60)
    assert caught.value.reason == "command-missing"
    with pytest.raises(PermanentError, match="the folder /nonexistent does not exist") as caught:
        await process.run(["true"], timeout=60, cwd="/nonexistent")
    assert caught.value.reason == "command-unusable"


async def test_no_processes_left_is_temporary(tmp_path: Path) -> None:
    """A text file busy (or no more processes) may pass: it is a TemporaryError."""
    program = tmp_path / "busy"
    shutil.copy("/bin/true", program)
    program.chmod(0o755)
    with program.open("ab"), pytest.raises(TemporaryError) as caught:
        await process.run([str(program)], timeout=60)
    assert caught.value.reason == "no-resources"


async def test_control_characters_do_not_reach_an_error() -> None:
    """Terminal escapes in what a command says are replaced before anyone prints them."""
    done = await process.run(["sh", "-c", r"printf '\033[31mred\n' >&2; exit 1"], timeout=60)
    assert done.text() == "?[31mred"


@needs_root
async def test_ids_are_dropped_with_all_groups() -> None:
    """A command for another account has its uid, gid and groups, and none of root's."""
    identity = process.ServiceAccount(65534, 65534, (12345,))
    done = await process.run(
        ["sh", "-c", "id -u; id -g; id -G; cat /etc/shadow"], timeout=60, identity=identity
    )
    assert done.stdout.split() == [b"65534", b"65534", b"65534", b"12345"]
    assert not done.ok


@needs_root
async def test_an_account_without_groups_gets_none_of_roots() -> None:
    """An empty list of groups means no supplementary group at all."""
    done = await process.run(["id", "-G"], timeout=60, identity=process.ServiceAccount(65534, 65534))
    assert done.stdout.split() == [b"65534"]


@needs_root
async def test_a_missing_command_is_missing_for_another_account_too() -> None:
    """What changes the ids does not hide that the command is not installed."""
    with pytest.raises(PermanentError) as caught:
        await process.run(
            ["eventd-no-such-command"], timeout=60, identity=process.ServiceAccount(65534, 65534)
        )
    assert caught.value.reason == "command-missing"


@needs_root
@pytest.mark.parametrize("number", [-1, 2**32 - 1, 2**32])
async def test_an_id_that_means_unchanged_runs_nothing(number: int) -> None:
    """An id that the kernel or setpriv would take for "stay root" is refused."""
    for identity in (process.ServiceAccount(number, 65534), process.ServiceAccount(65534, number)):
        with pytest.raises(PermanentError) as caught:
            await process.run(["true"], timeout=60, identity=identity)
        assert caught.value.reason == "not-permitted"


async def test_a_message_names_what_a_wrapper_runs() -> None:
    """Whatever a command is wrapped into, its deadline and its absence are told of the command itself."""
    with pytest.raises(DeadlineError, match=r"^sleep did not end"):
        await process.run(["sleep", "60"], under=["nice", "-n", "19"], timeout=0.1)
    with pytest.raises(DeadlineError, match=r"^git fetch did not end"):
        await process.run(
            ["sleep", "60"], under=["prlimit", "--core=0", "--"], called="git fetch", timeout=0.1
        )
    with pytest.raises(PermanentError, match="eventd-no-such-command is not installed") as caught:
        await process.run(["eventd-no-such-command"], under=["nice", "-n", "19"], timeout=60)
    assert caught.value.reason == "command-missing"


async def test_a_wrapper_is_never_the_command() -> None:
    """Who forgets to say what a wrapper runs finds out at the first call, not in a report from a user."""
    for wrapper in ("prlimit", "/usr/bin/nice", "systemd-run", "setpriv"):
        with pytest.raises(ValueError, match="as `under`"):
            await process.run([wrapper, "true"], timeout=60)
