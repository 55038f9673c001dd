"""Kill -9 at every step boundary: a change of the desired state, cut off anywhere, ends where the undisturbed one does.

`python -m tests.simulated.crashes` goes over every pair of boundaries too (a second kill in the life that recovers),
which takes minutes; the tests take each boundary once, and a bounded part of the pairs.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from eventd_simulators.faults import Faults
from eventd_simulators.model.service import Service
from eventd_simulators.virtual_time import run
from tests.simulated.daemon import Story, container

Files = Mapping[str, str | bytes]
TIMES = ("since", "at", "verified_at", "run", "step", "made_by")
"""Keys of documents whose values say when, not what."""
SETTLE = 300.0
"""Virtual seconds after which nothing is left to be done."""


@dataclass(frozen=True)
class Scenario:
    """What stands, and what is pushed then."""

    name: str
    before: Files
    after: Files
    opens: str = ""
    """A file that a gate waits for, and which comes while the change is on."""
    outside: Files = field(default_factory=dict)


def two(first: str, second: str = "") -> Files:
    """Return a workload with one container or two, a data file and a drop-in."""
    files: dict[str, str | bytes] = {**container("web", more=f"Environment=FIRST={first}")}
    files["workloads/web/web.conf"] = f"setting = {first}\n"
    files["workloads/web/web.container.d/10-more.conf"] = f"[Container]\nEnvironment=MORE={first}\n"
    if second:
        more = container("web", more=f"Environment=SECOND={second}")["workloads/web/web.container"]
        files["workloads/web/side.container"] = str(more).replace("ContainerName=web", "ContainerName=side")
    return files


def drop_in(text: str) -> Files:
    """Return a workload of which only the drop-in of its Quadlet file differs: NeedDaemonReload does not tell."""
    files: dict[str, str | bytes] = {**container("web")}
    if text:
        files["workloads/web/web.container.d/10-more.conf"] = f"[Container]\nEnvironment=MORE={text}\n"
    return files


GATED = {**container("web"), "workloads/web/workload.toml": 'requires = ["unit:network-online.target"]\n'}
SCENARIOS = (
    Scenario("new workload", {}, two("1", "1")),
    Scenario("change", two("1", "1"), two("2", "1")),
    Scenario("a container goes", two("1", "1"), two("1")),
    Scenario("a drop-in changes", drop_in("1"), drop_in("2")),
    Scenario("a drop-in goes", drop_in("1"), drop_in("")),
    Scenario("removal", {**two("1", "1"), **container("other")}, container("other")),
    Scenario(
        "add, change and remove",
        {**two("1"), **container("old")},
        {**two("2", "1"), **container("new")},
    ),
    Scenario("gated", container("other"), {**container("other"), **GATED}, opens="network"),
)


def state(story: Story) -> dict[str, Any]:
    """Return everything that a person could see of the end: run numbers and times are not in it."""
    model, disk = story.world.model, story.world.disk
    engine = story.engine
    units = {}
    for name, manager in model.managers.items():
        for unit in manager.units.values():
            if isinstance(unit, Service) and unit.name in {
                *(u for rows in disk.records.units.values() for u in rows),
                *(f"{stem}.service" for stem in ("web", "side", "old", "new", "other")),
            }:
                view = manager.peek(unit.name)
                ran = dict(unit.runs) if view.up else {}
                units[name, unit.name] = (view.active, view.load, view.needs_reload, ran)
    return {
        "accounts": sorted((a.name, a.shell) for a in model.accounts),
        "linger": sorted(a.name for a in model.accounts if model.logind.is_lingering(a.name)),
        "managers": sorted(model.managers),
        "files": {p: (e.content, e.state) for p, e in story.world.tree.below("/etc")},
        "units": units,
        "workloads": {
            n: replace(r, run=0, verified_at=0.0, verified_commit="")
            for n, r in disk.records.workloads.items()
        },
        "unit records": {w: {u: r.digest for u, r in rows.items()} for w, rows in disk.records.units.items()},
        "file records": {w: {p: r.digest for p, r in rows.items()} for w, rows in disk.records.files.items()},
        "documents": {key: _timeless(json.loads(text)) for key, text in disk.documents.items()},
        "open": (list(disk.steps.values()), list(disk.open_runs)),
        "statuses": {n: engine.queries.status(n).state for n in engine.queries.names()},
    }


def _timeless(found: Any) -> Any:
    if isinstance(found, dict):
        return {key: _timeless(value) for key, value in found.items() if key not in TIMES}
    return [_timeless(each) for each in found] if isinstance(found, list) else found


async def tell(scenario: Scenario, kills: tuple[int, ...]) -> tuple[dict[str, Any], list[int], Story]:
    """Play a scenario; `kills` are the boundaries, in the life of the push and those after it, at which it dies.

    Returns the end, how many boundaries the life of the push and each later one had, and the story.
    """
    story = Story(Faults(), online=scenario.opens != "network")
    story.world.remote.push(scenario.before or {"README.md": "nothing yet\n"})
    await story.start()
    await story.quiet(100)
    counts = []
    done = story.host.life.steps
    if kills:
        story.world.faults.crash_at = done + kills[0]
    story.push(scenario.after)
    opened = scenario.opens == ""
    for number in range(len(kills) + 1):
        await _until_over(story)
        if not opened:
            opened = True
            story.world.model.reach("network-online.target")
            await _until_over(story)
        counts.append(story.host.life.steps - (done if number == 0 else 0))
        if not story.host.life.dead:
            break
        await story.until_dead()
        if number + 1 < len(kills):
            story.world.faults.crash_at = kills[number + 1]
        await story.start()
    story.world.faults.crash_at = None
    if story.host.life.dead:
        await story.until_dead()
        await story.start()
    await story.quiet(SETTLE)
    return state(story), counts, story


async def _until_over(story: Story) -> None:
    for _ in range(60):
        await asyncio.sleep(SETTLE / 60)
        if story.host.life.dead:
            return


def play(scenario: Scenario, *kills: int) -> tuple[dict[str, Any], list[int]]:
    """Play a scenario on a loop of its own."""
    found, counts, _ = run(tell(scenario, kills), limit=20_000)
    return found, counts


def differences(scenario: Scenario, wanted: Mapping[str, Any], *kills: int) -> Iterator[str]:
    """Yield how the end after these kills differs from the wanted one."""
    found, _ = play(scenario, *kills)
    for key, value in wanted.items():
        if found[key] != value:
            yield f"{scenario.name}, killed at {kills}: {key}:\n  wanted {value}\n  found  {found[key]}"


def main() -> int:
    """Go over all boundaries, and over all pairs of them."""
    logging.disable(logging.CRITICAL)
    bad = total = 0
    for scenario in SCENARIOS:
        wanted, (last, *_) = play(scenario)
        for first in range(1, last + 1):
            _, counts = play(scenario, first)
            lives = counts[1] if len(counts) > 1 else 0
            for kills in ((first,), *((first, second) for second in range(1, lives + 1))):
                total += 1
                for text in differences(scenario, wanted, *kills):
                    bad += 1
                    print(text, flush=True)  # noqa: T201
        print(f"{scenario.name}: {last} boundaries; {total} schedules so far, {bad} differences", flush=True)  # noqa: T201
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
