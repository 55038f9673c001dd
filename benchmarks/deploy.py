"""How long deploying takes, from the push or the sync until the units are active, beside the floor.

Owns the order of the measurements: eventd and the floor take turns, and who goes first changes with each
repetition, so that a machine that slows down meanwhile slows down both.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from benchmarks.figures import Table
from benchmarks.host import CONCURRENCY, Host, Json, app, host, installed

UNIT = "app.service"
MANY = 8
ONE_NEW, MANY_NEW, CHANGED = "1 new workload", f"{MANY} new workloads", f"1 changed of {MANY}"
NOTHING = "nothing to do"
CHANGES = 3
"""Changes per repetition; one takes a second."""


@dataclass(slots=True)
class Deploy:
    """What was measured: times by scenario, and the parts of them."""

    times: Table = field(default_factory=Table)
    parts: Table = field(default_factory=Table)
    """eventd's: what came after what, and the mean of each kind of step."""
    floor_parts: Table = field(default_factory=Table)


def measure(repetitions: int, say: Callable[[str], None]) -> Deploy:
    """Measure everything, each repetition on two fresh hosts."""
    found = Deploy()
    for number in range(repetitions):
        say(f"deploying: {number + 1} of {repetitions}")
        with host() as one:
            _Round(one, found, flipped=bool(number % 2)).new()
        with host() as one:
            _Round(one, found, flipped=bool(number % 2)).change()
    return found


class _Round:
    """One repetition, on one host."""

    def __init__(self, one: Host, found: Deploy, *, flipped: bool) -> None:
        self._host = one
        self._found = found
        self._flipped = flipped
        self._pid = one.pid
        self._notes = 0

    def new(self) -> None:
        """Deploy new workloads."""
        # The host's first podman, useradd and git read their programs from the disk: that is not measured.
        self._deploy("", "push", ["warm"])
        self._floor_new("", ["warmf"])
        for count, scenario in ((1, ONE_NEW), (MANY, MANY_NEW)):

            def names(letter: str, count: int = count) -> list[str]:
                return [f"{letter}{count}x{number}" for number in range(count)]

            self._in_turns(
                partial(self._deploy, scenario, "push", names("p")),
                partial(self._floor_new, scenario, names("f")),
                partial(self._deploy, scenario, "sync", names("s")),
            )

    def change(self) -> None:
        """Change one of several, and then nothing."""
        names = [f"p{number}" for number in range(MANY)]
        self._deploy("", "push", names)
        self._floor_new("", ["floor"])
        for number in range(CHANGES):
            self._in_turns(
                partial(self._deploy, CHANGED, "push", [names[number]]),
                partial(self._floor_change, CHANGED),
                partial(self._deploy, CHANGED, "sync", [names[number + CHANGES]]),
            )
        for _ in range(CHANGES):
            self._nothing()

    def _in_turns(self, *measurements: Callable[[], None]) -> None:
        for each in reversed(measurements) if self._flipped else measurements:
            each()

    def _deploy(self, scenario: str, how: str, names: Sequence[str]) -> None:
        """Commit, push, and have eventd find it by inotify, or by `eventctl sync`."""
        one = self._host
        (one.show if how == "push" else one.hide)()
        # That moved the branch's file: let eventd have its look at that first.
        time.sleep(0.5)
        self._notes += 1
        commit = one.commit(dict.fromkeys(names, app(f"number {self._notes}")))
        last = self._events(0)[-1]["sequence"]
        before = one.ask("spent", pid=self._pid)
        if how == "push":
            began = one.push()["began"]
        else:
            one.push_unseen()
            synced = one.ask("eventctl_sync")
            began = synced["began"]
            if scenario:
                self._found.times.add(scenario, "eventctl sync, its end", synced["ended"] - began)
        settled = one.ask("settled", commit=commit)
        spent = one.ask("spent", pid=self._pid)
        run = settled["run"]
        if settled["state"] != "converged" or run["result"] != "ok":
            raise RuntimeError(f"{scenario or 'the preparation'} did not converge: {run}")
        if not scenario:
            return
        entered = one.ask("entered", units=dict.fromkeys(names, UNIT))
        times, offset = self._found.times, one.offset()
        times.add(scenario, f"{how}, active", max(entered.values()) - began)
        times.add(scenario, f"{how}, verified", run["ended"] + offset - began)
        times.add(scenario, f"{how}, CPU of eventd", spent["own"] - before["own"])
        times.add(scenario, f"{how}, CPU of its children", spent["children"] - before["children"])
        self._parts(f"{scenario}, {how}", began, run, offset, self._events(last))

    def _parts(self, row: str, began: float, run: Json, offset: float, events: Sequence[Json]) -> None:
        add = self._found.parts.add
        for kind in ("pushed", "sync", "revision"):
            at = [e["monotonic"] for e in events if e["kind"] == kind]
            if at:
                add(row, f"until event {kind}", at[0] - began)
        add(row, "until the run began", run["started"] + offset - began)
        steps = self._host.ask("steps", run=run["id"])
        add(row, "until the first step", min(step[3] for step in steps) - began)
        by_verb: dict[str, list[float]] = {}
        for _, verb, _, begin, end in steps:
            by_verb.setdefault(verb, []).append(end - begin)
        for verb, lengths in by_verb.items():
            add(row, f"step {verb}", statistics.mean(lengths))

    def _floor_new(self, scenario: str, names: Sequence[str]) -> None:
        asked = {"users": names, "files": installed(app()), "at_once": CONCURRENCY}
        self._floor(scenario, self._host.ask("floor_new", pid=self._pid, **asked))

    def _floor_change(self, scenario: str) -> None:
        self._notes += 1
        files = installed(app(f"number {self._notes}"))
        self._floor(scenario, self._host.ask("floor_change", pid=self._pid, user="floor", files=files))

    def _floor(self, scenario: str, answer: Json) -> None:
        if not scenario:
            return
        began = answer["began"]
        self._found.times.add(scenario, "floor, active", max(answer["entered"]) - began)
        by_part: dict[str, list[float]] = {}
        for marks in answer["marks"].values():
            last = marks.get("began", began)
            for part, at in marks.items():
                by_part.setdefault(part, []).append(at - last)
                last = at
        for part, lengths in by_part.items():
            if part != "began":
                self._found.floor_parts.add(scenario, part, statistics.mean(lengths))

    def _nothing(self) -> None:
        ask, times = self._host.ask, self._found.times
        synced = ask("eventctl_sync")
        times.add(NOTHING, "eventctl sync, its end", synced["ended"] - synced["began"])
        for fetch, column in ((True, "request"), (False, "request without a fetch")):
            answer = ask("api_sync", fetch=fetch)
            run = answer["run"]
            if any(row["result"] != "unchanged" for row in run["workloads"]):
                raise RuntimeError(f"there was something to do: {run}")
            times.add(NOTHING, column, answer["ended"] - answer["began"])
            times.add(NOTHING, "the run alone", run["ended"] - run["started"])

    def _events(self, since: int) -> list[Any]:
        return list(self._host.ask("events", since=since))
