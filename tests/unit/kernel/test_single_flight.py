"""Scope: one run at a time on a host, across processes: two real daemons' engines on one real lock file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ENGINE = """
import asyncio, dataclasses, sys, time
from eventd.platform.host_lock import HostLock
from eventd.kernel.runs import Runs
from eventd_simulators.faults import Faults
from tests.simulated.daemon import Story, container

lock, log = sys.argv[1:]
real = Runs._locked_run

async def noted(self, *arguments):
    with open(log, "a", buffering=1) as file:
        file.write("begin\\n")
        await asyncio.sleep(0.02)
        try:
            return await real(self, *arguments)
        finally:
            file.write("end\\n")

Runs._locked_run = noted

async def main():
    story = Story(Faults(latency=(0.0, 0.0)))
    await story.start()
    engine = story.engine
    engine.runs.lock = held = HostLock(lock)
    print("ready", flush=True)
    sys.stdin.readline()
    story.push(container("web"))
    async with asyncio.timeout(60):
        for _ in range(10):
            report = await story.sync()
            assert report is not None and not report.error, report
    print(held.contended, flush=True)
    await story.kill()

asyncio.run(main())
"""


def test_two_processes_never_run_at_once(tmp_path: Path) -> None:
    """Each of their runs begins after the one before it has ended, whoever's it was; contention is counted."""
    lock, log = tmp_path / "lock", tmp_path / "log"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ENGINE, str(lock), str(log)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    contended = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    lines = log.read_text().splitlines()
    assert lines == ["begin", "end"] * (len(lines) // 2)
    assert len(lines) >= 40
    assert sum(map(int, contended)) > 0
