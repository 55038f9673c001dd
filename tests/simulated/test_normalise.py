"""Scope: what the comparison of two traces forgives (what systemd shows or not by chance), and what not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.simulated import fidelity

RECORDED = Path(__file__).parent / "traces" / "debian13.json"


def told(*states: str, unit: str = "web.service", step: str = "StopUnit") -> list[str]:
    """Return what is left of one unit's states in one step."""
    trace = [{"step": ["job", step, unit], "lines": [f"{unit}: {state}" for state in states]}]
    [(_, lines)] = fidelity.normalise(trace)
    return lines[unit]


RUNNING = "active/running success"
STOP = "deactivating/stop success"
STOP_TERM = "deactivating/stop-sigterm success"
STOP_KILL = "deactivating/stop-sigkill success"
STOP_POST = "deactivating/stop-post success"
FINAL_TERM = "deactivating/final-sigterm success"
FINAL_KILL = "deactivating/final-sigkill success"
DEAD = "inactive/dead success"


@pytest.mark.parametrize(
    ("plain", "passing"),
    [
        ((STOP, STOP_POST, DEAD), (STOP, STOP_TERM, STOP_POST, DEAD)),
        ((STOP, STOP_POST, DEAD), (STOP, STOP_KILL, STOP_POST, DEAD)),
        ((STOP, STOP_POST, DEAD), (STOP, STOP_TERM, STOP_POST, FINAL_TERM, DEAD)),
        ((STOP, STOP_POST, DEAD), (STOP, STOP_POST, FINAL_KILL, DEAD)),
        ((RUNNING, STOP_TERM, DEAD), (RUNNING, STOP_TERM, FINAL_TERM, DEAD)),
        ((RUNNING, STOP_TERM, DEAD), (RUNNING, STOP_TERM, FINAL_KILL, DEAD)),
        ((RUNNING, STOP_POST, DEAD), (RUNNING, STOP_KILL, STOP_POST, DEAD)),
        ((RUNNING, STOP_POST, DEAD), (RUNNING, STOP_KILL, STOP_POST, FINAL_KILL, DEAD)),
    ],
)
def test_a_state_that_waits_for_leftover_processes_is_forgiven(
    plain: tuple[str, ...], passing: tuple[str, ...]
) -> None:
    """With something left in the cgroup and with nothing left, the trace is the same."""
    assert told(*passing) == told(*plain)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        # A stop without ExecStop= always signals the main process.
        ((RUNNING, STOP_TERM, DEAD), (RUNNING, DEAD)),
        ((RUNNING, STOP_TERM, DEAD), (RUNNING, FINAL_TERM, DEAD)),
        # ExecStop= and ExecStopPost= run, or do not.
        ((STOP, STOP_POST, DEAD), (STOP, DEAD)),
        ((STOP, STOP_POST, DEAD), (STOP_POST, DEAD)),
        ((STOP, STOP_POST, DEAD), (STOP_TERM, STOP_POST, DEAD)),
        # The final states come last, and end.
        ((STOP, STOP_POST, DEAD), (FINAL_TERM, STOP, STOP_POST, DEAD)),
        ((STOP, STOP_POST, DEAD), (STOP, FINAL_TERM, STOP_POST, DEAD)),
        ((STOP, STOP_POST, DEAD), (STOP, STOP_POST, FINAL_TERM)),
        ((STOP, STOP_POST, DEAD), (STOP, STOP_POST, DEAD, FINAL_KILL, DEAD)),
        # The kill after a wait is a deadline that passed.
        ((STOP, STOP_TERM, STOP_POST, DEAD), (STOP, STOP_TERM, STOP_KILL, STOP_POST, DEAD)),
        ((STOP, STOP_POST, FINAL_TERM, DEAD), (STOP, STOP_POST, FINAL_TERM, FINAL_KILL, DEAD)),
        # A watchdog's state, and one that no systemd has, are not of leftovers.
        ((STOP, STOP_POST, DEAD), (STOP, "deactivating/stop-watchdog success", STOP_POST, DEAD)),
        ((STOP, STOP_POST, DEAD), (STOP, STOP_POST, "deactivating/final-x success", DEAD)),
    ],
)
def test_anything_else_is_a_difference(right: tuple[str, ...], wrong: tuple[str, ...]) -> None:
    """What systemd always passes through must be there, and what it never does must not."""
    assert told(*wrong) != told(*right)


@pytest.mark.parametrize("sub", ["stop-sigterm", "stop-sigkill"])
def test_after_a_deadline_no_state_is_by_chance(sub: str) -> None:
    """ExecStop= that ran into TimeoutStopSec= shows as itself."""
    assert told(STOP, f"deactivating/{sub} timeout", STOP_POST) != told(STOP, STOP_POST)
    assert told(STOP, f"deactivating/{sub} exit-code", STOP_POST) == told(STOP, STOP_POST)


def test_a_result_told_while_it_waits_is_no_other_state() -> None:
    """The main process ends during `stop-sigterm`: systemd tells the result first, then the next state."""
    assert told(STOP, STOP_TERM, "deactivating/stop-sigterm exit-code", "failed/failed exit-code") == [
        "deactivating/stop",
        "failed/failed exit-code",
    ]


def test_what_comes_before_may_be_of_an_earlier_step() -> None:
    """The unit was seen to run in the step before; and the other unit's states say nothing of this one's."""
    steps: list[dict[str, Any]] = [
        {"step": ["job", "StartUnit", "web.service"], "lines": [f"web.service: {RUNNING}"]},
        {
            "step": ["settle", 1],
            "lines": [
                f"dep.service: {STOP}",
                f"web.service: {STOP_KILL}",
                f"dep.service: {STOP_POST}",
                f"web.service: {FINAL_KILL}",
                f"web.service: {DEAD}",
            ],
        },
    ]
    assert fidelity.normalise(steps) == [
        (
            "job StartUnit web.service",
            {
                "web.service": ["active/running", "inactive/dead"],
                "dep.service": ["deactivating/stop", "deactivating/stop-post"],
            },
        )
    ]


def test_the_recorded_trace_still_shows_the_stop_without_execstop() -> None:
    """The unit whose file has gone is stopped by signal, then is dead: not less, and no leftover state."""
    trace = fidelity.normalise(json.loads(RECORDED.read_text()))
    stops = [lines["web.service"] for step, lines in trace if step == "job StopUnit web.service"]
    assert stops[-1] == ["job-new", "deactivating/stop-sigterm", "inactive/dead", "job-removed done"]


def test_a_lost_state_anywhere_in_the_recorded_trace_is_a_difference() -> None:
    """Whichever state of a step was not told, the comparison would fail, but for the waits for leftovers."""
    trace = json.loads(RECORDED.read_text())
    whole = fidelity.normalise(trace)
    forgiven = set()
    for row in trace:
        for said in {" ".join(line.split()[:2]) for line in row["lines"]}:  # whatever its result
            unit, what = said.split(": ", 1)
            lines = [line for line in row["lines"] if not f"{line} ".startswith(f"{said} ")]
            less = [{**other, "lines": lines} if other is row else other for other in trace]
            if unit in fidelity.UNITS and fidelity.normalise(less) == whole:
                forgiven.add(what)
    assert forgiven == {"UnitNew", "UnitRemoved", "deactivating/stop-sigterm", "deactivating/stop-sigkill"}
