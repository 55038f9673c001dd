"""Scope: eventd.accounts.process_ending, short of the killing, which tests/host/test_identities.py has done."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eventd.accounts.process_ending import Ids, main, running

HEADLESS = """\
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()
print("on", flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""


def test_an_id_in_any_of_the_four_places_counts() -> None:
    """Real, effective, saved, of the file system; and nobody else's."""
    ids = Ids(1001, 100_000, 65_536)
    assert ids.of("Name:\tx\nUid:\t0\t0\t1001\t0\n") == {1001}
    assert ids.of("Uid:\t100000\t165535\t165536\t99999\n") == {100_000, 165_535}
    assert ids.of("Uid:\t0\t0\t0\t0\n") == ids.of("") == set()


@pytest.mark.timeout(60)
def test_a_process_whose_first_thread_has_ended_is_running() -> None:
    """It is listed as a zombie; a real one, which nobody has to wait for, is not listed."""
    mine = Ids(os.getuid(), 0, 0)
    with subprocess.Popen([sys.executable, "-c", HEADLESS], stdout=subprocess.PIPE) as headless:
        assert headless.stdout is not None
        assert headless.stdout.readline() == b"on\n"
        deadline = time.monotonic() + 30
        while "State:\tZ" not in Path(f"/proc/{headless.pid}/status").read_text():
            assert time.monotonic() < deadline
        with subprocess.Popen(["true"]) as dead:
            os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
            found = {pid for pid, _, _ in running(mine)}
        headless.kill()
    assert headless.pid in found
    assert dead.pid not in found


@pytest.mark.parametrize(
    "arguments", [["0", "0", "0", "1"], ["999", "0", "0", "1"], ["1001", "0", "65536", "1"]]
)
def test_ids_of_the_systems_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever it is told: neither as the account's uid, nor among the subordinate ones."""
    assert main(arguments) == 2
    assert "is a system uid" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="root's alone")
def test_it_does_not_run_with_the_right_to_kill_everybody(capsys: pytest.CaptureFixture[str]) -> None:
    """Were a child to fail to take the uid, kill(-1) would be root's: so it runs in its unit, and nowhere else."""
    assert main(["4242", "0", "0", "1"]) == 2
    assert "without CAP_KILL" in capsys.readouterr().err
