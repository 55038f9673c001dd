"""What 1,000 workloads cost in memory: the real engine over the simulated host, measured in real time.

No process, disk or bus is in these numbers: they are the cost of looking and deciding alone, which has to follow
the change and not the size of the host.
"""

import asyncio
import time
from dataclasses import replace
from typing import Any

from benchmarks.figures import Table
from eventd.desired.model import Tree, TreeFile
from eventd.desired.model_assembly import Cache, HostRules, assemble
from eventd.kernel.model.facts import FactKey
from eventd.kernel.queue import Batch
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import PlatformFact, UnitState
from eventd_simulators import virtual_time
from tests.simulated.daemon import Story, container

TIMES = 7
"""Repetitions of each."""


def measure(sizes: tuple[int, ...] = (10, 100, 1000)) -> Table:
    """Measure everything for each number of workloads."""
    found = Table()
    for size in sizes:
        _assembling(found, size)
        # Virtual time, so that a thousand starts and graces take none; what is measured is real.
        virtual_time.run(_looking(found, size))
    return found


def _assembling(found: Table, size: int) -> None:
    """From files to the desired state: everything anew, and one changed with the cache of the last time."""
    files = _files(size)
    rules, cache = HostRules("host"), Cache()
    row = f"{size} workloads"
    for number in range(TIMES):
        began = time.perf_counter()
        assemble(Tree("a", files), rules)
        found.add(row, "assemble, all new", time.perf_counter() - began)
        if number == 0:
            assemble(Tree("a", files), rules, cache)
        path = f"workloads/w{number}/w{number}.container"
        files = {**files, path: replace(files[path], content=files[path].content + b"# changed\n")}
        began = time.perf_counter()
        assemble(Tree("b", files), rules, cache)
        found.add(row, "assemble, one changed", time.perf_counter() - began)


def _files(size: int) -> dict[str, TreeFile]:
    files: dict[str, TreeFile] = {}
    for number in range(size):
        for path, text in container(f"w{number}").items():
            files[path] = TreeFile(path, text.encode() if isinstance(text, str) else text)
    return files


async def _looking(found: Table, size: int) -> None:
    """Look at a converged host with nothing to do: at everything, and after one fact."""
    story = Story()
    await story.start()
    story.push({path: file.content for path, file in _files(size).items()})
    await story.quiet()
    engine = story.engine
    row = f"{size} workloads"
    for _ in range(TIMES):
        began = time.perf_counter()
        if await engine.runs.run(Batch(everything=True)) is not None:
            raise RuntimeError("there was something to do")
        found.add(row, "check everything", time.perf_counter() - began)
    looked = asyncio.Event()
    engine.passes.subscribe("test", looked.set)
    for number in range(TIMES):
        looked.clear()
        key = FactKey(PlatformFact.UNIT, "w5.service", "w5")
        state = story.dispatcher.facts.get(key)
        assert isinstance(state, UnitState)
        fresh: list[tuple[FactKey, Any]] = [(key, replace(state, main_pid=10**6 + number))]
        checks, began = engine.runs.counters.checks, time.perf_counter()
        story.dispatcher.emit(
            PlatformOrigin.SYSTEMD, PlatformEvent.UNIT_CHANGED, "w5.service", scope="w5", facts=fresh
        )
        await looked.wait()
        found.add(row, "one fact to an empty plan", time.perf_counter() - began)
        if engine.runs.counters.checks != checks + 1:
            raise RuntimeError("the changed fact led to something else than one look")
    await story.kill()
