"""Scope: kill -9 at every step boundary, in the simulator exhaustively: the end is that of an undisturbed run."""

from __future__ import annotations

import pytest

from eventd_simulators.virtual_time import run
from tests.simulated.crashes import SCENARIOS, Scenario, differences, play, tell

PAIRS = 16
"""Pairs of kills for each scenario; `python -m tests.simulated.crashes` takes all of them."""


@pytest.mark.timeout(120)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
def test_a_kill_at_any_boundary_changes_nothing_of_the_end(scenario: Scenario) -> None:
    """Accounts, files, units with the content they run, records, documents, statuses: all as without the kill."""
    wanted, (last, *_) = play(scenario)
    assert last > 20
    for boundary in range(1, last + 1):
        assert not list(differences(scenario, wanted, boundary))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.name)
def test_nor_does_a_second_kill_while_the_first_is_recovered(scenario: Scenario) -> None:
    """A part of all pairs: the later boundary early in the second life, where recovery is, and spread over the rest."""
    wanted, (last, *_) = play(scenario)
    pairs = [(first, 1 + (first * 7 + again) % 30) for first in range(1, last + 1) for again in (0, 11)]
    assert len(pairs) > 40
    step = max(1, len(pairs) // PAIRS)
    for kills in pairs[::step]:
        assert not list(differences(scenario, wanted, *kills))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("scenario", SCENARIOS[:2], ids=lambda each: each.name)
def test_every_step_that_is_found_open_is_said_to_be_settled(scenario: Scenario) -> None:
    """By an event, and in what status shows: the verb, what became of it, and a sentence."""
    _, (last, *_) = play(scenario)
    verbs = set()
    for boundary in range(1, last + 1):
        _, _, story = run(tell(scenario, (boundary,)), limit=20_000)
        told = [e for e in story.events if e.kind == "recovered"]
        assert len(told) == len(story.world.disk.settled) == story.engine.recovery.found
        assert story.engine.recovery.done
        assert all(e.attributes["note"] and e.attributes["ended"] for e in told)
        verbs |= {step.verb for step, _, _ in story.world.disk.settled}
    assert {"put-file", "reload" if scenario.before else "create-account", "verify"} <= verbs


@pytest.mark.timeout(60)
def test_a_cut_off_restart_is_not_made_twice() -> None:
    """A kill after the unit was restarted, before that was written down: it keeps the invocation that it got."""
    scenario = SCENARIOS[1]
    _, (last, *_) = play(scenario)

    def restarts(boundary: int) -> tuple[int, set[str]]:
        _, _, story = run(tell(scenario, (boundary,)), limit=20_000)
        calls = [call for life in story.lives for call in life.life.calls if call.startswith("RestartUnit")]
        return len(calls), {
            ended for step, ended, _ in story.world.disk.settled if step.verb == "restart-unit"
        }

    found = [restarts(boundary) for boundary in range(1, last + 1)]
    resumed = [count for count, endings in found if "resumed" in endings]
    assert resumed
    assert set(resumed) == {1}
