"""Scope: when a run is stuck, and so the watchdog not fed: not because it is long, but when nothing will end it."""

from __future__ import annotations

import dataclasses
import math
import typing

import anyio
import pytest

from eventd.health.model_actions import Verify
from eventd.kernel.model.action import Action
from eventd.kernel.model.report import WorkloadState
from eventd.kernel.run_watch import DEADLINES, QUIET, RunWatch, longest
from eventd.updates.model_actions import PullImages
from eventd.workloads.controller_transaction import Transaction
from eventd.workloads.model_actions import StartUnit
from eventd_simulators.virtual_time import virtual
from tests.simulated.daemon import DOMAINS, Story, container

HOUR = 3600.0


def story_with(kind: type[typing.Any], handler: typing.Any) -> Story:
    """A host whose daemon carries out one kind of action in its own way."""
    return Story(handlers={kind: handler})


def watch_of(story: Story) -> RunWatch:
    return story.engine.watch


@virtual()
async def test_a_step_that_nothing_ends_is_stuck_after_all_of_its_deadlines() -> None:
    """A handler that waits for what never comes holds the lock: nothing on the host is repaired any more."""

    async def never(_action: Action, _tx: Transaction) -> None:
        await anyio.sleep_forever()

    story = story_with(StartUnit, never)
    await story.begin(container("web"), 60)
    assert story.engine.queries.current_run is not None
    assert watch_of(story).stuck() == ""
    await story.quiet(3 * HOUR)
    assert "start-unit web.service" in watch_of(story).stuck()
    await story.kill()


@virtual()
async def test_a_run_that_waits_between_two_steps_is_stuck() -> None:
    """Whatever it is that does not return: a plan, a write, a source that is asked."""
    story = Story()
    await story.start()
    await story.quiet(60)
    runs = story.engine.runs
    real = runs.revision

    class Hanging:
        """Does not return from what is written before a run."""

        def __getattr__(self, name: str) -> typing.Any:
            return getattr(real, name)

        async def end_overrides(self) -> None:
            await anyio.sleep_forever()

    runs.revision = Hanging()  # type: ignore[assignment]
    story.push(container("web"))
    await story.quiet(60)
    assert watch_of(story).stuck() == ""
    await story.quiet(QUIET + 60)
    assert "none of its steps" in watch_of(story).stuck()
    await story.kill()


@virtual()
async def test_a_long_run_is_not_stuck_and_no_run_is_none() -> None:
    """A check that takes as long as its deadline of hours; after that the host is idle for days."""

    async def slow(action: Action, tx: Transaction) -> None:
        assert isinstance(action, Verify)
        await anyio.sleep(12 * HOUR)
        await DOMAINS.handlers[Verify](action, tx)

    story = story_with(Verify, slow)
    await story.start()
    story.push({**container("web"), "workloads/web/workload.toml": '[health]\ndeadline = "12h"\n'})
    for _ in range(24):
        await story.quiet(HOUR / 2)
        assert watch_of(story).stuck() == ""
    await story.quiet(6 * HOUR)
    assert watch_of(story).stuck() == ""
    assert story.status("web").state is WorkloadState.CONVERGED


@virtual()
async def test_many_steps_side_by_side_are_watched_each() -> None:
    """One that goes on for long hides no other that is stuck, and one that has ended is forgotten."""
    watch = RunWatch()
    pull = PullImages("web", tuple(f"image-{n}" for n in range(20)), 600.0, "")
    start = StartUnit("db", "db.service", "", "", 90.0)
    with watch.run(), watch.step(pull):
        with watch.step(start):
            await anyio.sleep(longest(start) + 1)
            assert "db.service" in watch.stuck()
        await anyio.sleep(20 * 600.0 - longest(start))
        assert watch.stuck() == ""


def test_all_deadlines_of_an_action_count_and_no_number_that_is_none() -> None:
    """What is a `float` in an action is a deadline, or the time of day of something: a new one has to be told."""
    names = {
        each.name
        for action in DOMAINS.handlers
        for each in dataclasses.fields(action)
        if typing.get_type_hints(action)[each.name] is float
    }
    assert names - {"since"} == set(DEADLINES)
    assert longest(Verify("web", (), "", 12 * HOUR, 10.0, "")) > 12 * HOUR + 10.0
    assert longest(PullImages("web", ("a", "b", "c"), 600.0, "")) > 3 * 600.0
    assert math.isinf(longest(StartUnit("db", "db.service", "", "", math.inf)))


@pytest.mark.parametrize("held", [False, True])
@virtual()
async def test_only_a_run_can_be_stuck(held: bool) -> None:
    """A daemon that is idle for hours is in order; what is done between two runs, under their lock, is watched too."""
    story = Story()
    await story.start()
    if not held:
        await story.quiet(20 * HOUR)
        assert watch_of(story).stuck() == ""
        return
    async with story.engine.runs.alone():
        await story.quiet(QUIET + 60)
        assert watch_of(story).stuck()
    assert watch_of(story).stuck() == ""
