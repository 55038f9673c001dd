"""The benchmark: `python -m benchmarks.run` (or `make bench`); as root, for it boots real hosts.

Prints tables, each time as its median with the range of its repetitions, and how what was measured compares with
what is expected; writes all of it as JSON. A busy machine shows as a wide range: what is compared was measured in
turns, so ratios hold where times do not.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import deploy, resources, scale
from benchmarks.deploy import CHANGED, MANY, MANY_NEW, NOTHING, ONE_NEW, Deploy
from benchmarks.figures import Table, markdown, ratio, seconds
from benchmarks.host import Json
from benchmarks.resources import Rest
from tests.host import outer

PARTS = ("deploy", "rest", "scale")
OLD_TOOL = {ONE_NEW: 3.2, MANY_NEW: 25.0, CHANGED: 1.95, NOTHING: 0.033}
"""Seconds of quadlet-deploy for the same work on such a host, with StopTimeout=1 and a sync started by hand."""


@dataclass(frozen=True, slots=True)
class Check:
    """An expectation and what became of it."""

    what: str
    limit: float
    found: float
    unit: str = "s"

    @property
    def met(self) -> bool:
        return self.found <= self.limit

    def row(self) -> tuple[str, str, str, str]:
        show: Callable[[float], str] = (
            seconds if self.unit == "s" else lambda value: f"{value:.3g} {self.unit}"
        )
        return self.what, show(self.limit), show(self.found), "met" if self.met else "MISSED"


@dataclass(slots=True)
class Results:
    """Everything of one call."""

    deploy: Deploy | None = None
    rest: Rest | None = None
    scale: Table | None = None
    machine: Json = field(default_factory=dict)

    def checks(self) -> list[Check]:
        """Return the expectations that can be judged."""
        found: list[Check] = []
        if self.deploy is not None:
            times = self.deploy.times.rows
            new, changed, nothing = times[MANY_NEW], times[CHANGED], times[NOTHING]
            floor = changed["floor, active"].median
            limit = OLD_TOOL[MANY_NEW] / 5
            found += [
                Check(f"{MANY_NEW}, push to verified", limit, new["push, verified"].median),
                Check(
                    f"{CHANGED}, push to active, of the floor",
                    1.2,
                    changed["push, active"].median / floor,
                    "times",
                ),
                Check(f"{NOTHING}, the run", 0.010, nothing["the run alone"].median),
            ]
        if self.rest is not None:
            # One more may fall into the interval than its length says.
            limit = self.rest.watchdog + 1 + self.rest.events + self.rest.uevents
            wakeups = sum(self.rest.wakeups.values())
            what = f"wake-ups in {self.rest.seconds:.0f} s at rest"
            found += [
                Check(what, limit, wakeups, "times"),
                Check("memory at rest (PSS)", 60, self.rest.pss / 1e6, "MB"),
            ]
        if self.scale is not None:
            # Ten times for whatever else the machine does: the point is that it does not grow with the number.
            rows = [self.scale.rows[row]["one fact to an empty plan"].median for row in self.scale.rows]
            found.append(
                Check("one fact among 1000 workloads, of one among 10", 10, rows[-1] / rows[0], "times")
            )
        return found

    def json(self) -> Json:
        """Return it all."""
        document: Json = {"machine": self.machine}
        if self.deploy is not None:
            for name in ("times", "parts", "floor_parts"):
                document[name] = getattr(self.deploy, name).json()
        if self.rest is not None:
            document["rest"] = self.rest.json()
        if self.scale is not None:
            document["scale"] = self.scale.json()
        document["checks"] = [
            {"what": c.what, "limit": c.limit, "found": c.found, "unit": c.unit, "met": c.met}
            for c in self.checks()
        ]
        return document

    def text(self) -> str:
        """Return it as tables."""
        blocks: list[str] = []
        if self.deploy is not None:
            blocks += _deployed(self.deploy)
        if self.rest is not None:
            rest = self.rest
            each = ", ".join(f"{name} {count}" for name, count in rest.wakeups.items() if count) or "none"
            rows = [
                ["wake-ups by thread", each],
                ["wake-ups for the watchdog", str(rest.watchdog)],
                ["events that came in, of udev", f"{rest.events}, {rest.uevents}"],
                ["CPU", seconds(rest.cpu)],
                ["RSS, PSS", f"{rest.rss / 1e6:.1f} MB, {rest.pss / 1e6:.1f} MB"],
                ["threads", str(rest.threads)],
            ]
            blocks.append(markdown([f"{MANY} workloads at rest for {rest.seconds:.0f} s", ""], rows))
        if self.scale is not None:
            columns = list(next(iter(self.scale.rows.values())))
            rows = [[row, *(str(cells[c]) for c in columns)] for row, cells in self.scale.rows.items()]
            blocks.append(markdown(["in memory", *columns], rows))
        blocks.append(
            markdown(["expected", "at most", "found", ""], [check.row() for check in self.checks()])
        )
        return "\n\n".join(blocks)


def _deployed(found: Deploy) -> list[str]:
    rows = []
    for scenario in (ONE_NEW, MANY_NEW, CHANGED):
        cells = found.times.rows[scenario]
        floor = cells["floor, active"]
        for how in ("push", "sync"):
            active = cells[f"{how}, active"]
            times = ratio(active.values, floor.values)
            old = f"{OLD_TOOL[scenario]:g} s"
            rows.append([scenario, how, str(active), str(floor), times, str(cells[f"{how}, verified"]), old])
    head = ["work", "from", "to active", "floor", "times the floor", "to verified", "old tool"]
    nothing = [[column, str(series)] for column, series in found.times.rows[NOTHING].items()]
    used = [
        [scenario, how, str(cells[f"{how}, CPU of eventd"]), str(cells[f"{how}, CPU of its children"])]
        for scenario, cells in found.times.rows.items()
        for how in ("push", "sync")
        if f"{how}, CPU of eventd" in cells
    ]
    return [
        markdown(head, rows),
        markdown([NOTHING, "takes"], nothing),
        _parts("eventd, medians", found.parts),
        _parts("floor, medians", found.floor_parts),
        markdown(["CPU", "from", "eventd", "its children"], used),
    ]


def _parts(head: str, table: Table) -> str:
    """Show what the time was for: a line per part, a column per work."""
    works = list(table.rows)
    names = dict.fromkeys(part for cells in table.rows.values() for part in cells)
    rows = []
    for name in names:
        medians = [table.median(work, name) for work in works]
        rows.append([name, *("" if median is None else seconds(median) for median in medians)])
    return markdown([head, *works], rows)


def measure(parts: Sequence[str], repetitions: int, rest: float) -> Results:
    """Measure the parts that are asked for."""

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    results = Results(machine=_machine())
    if "scale" in parts:
        say("1000 workloads in memory")
        results.scale = scale.measure()
    if "rest" in parts:
        results.rest = resources.measure(rest, say)
    if "deploy" in parts:
        results.deploy = deploy.measure(repetitions, say)
    return results


def _machine() -> Json:
    return {
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "load": os.getloadavg()[0],
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def main() -> int:
    """Entry point; 1 where an expectation was missed and `--check` given, 2 where hosts cannot be booted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="this part (may be repeated)")
    parser.add_argument(
        "--repetitions", type=int, default=5, help="of each deployment (default: %(default)s)"
    )
    parser.add_argument("--rest", type=float, default=60.0, help="seconds of rest (default: %(default)s)")
    parser.add_argument(
        "--json", type=Path, default=Path("benchmarks/results/latest.json"), help="where to write"
    )
    parser.add_argument("--check", action="store_true", help="fail if an expectation is missed")
    arguments = parser.parse_args()
    parts = arguments.only or PARTS
    why = outer.why_not()
    if why and set(parts) - {"scale"}:
        print(f"no host can be booted here: {why}", file=sys.stderr)
        return 2
    results = measure(parts, arguments.repetitions, arguments.rest)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(results.json(), indent=1) + "\n")
    print(results.text())
    return int(arguments.check and not all(check.met for check in results.checks()))


if __name__ == "__main__":
    sys.exit(main())
