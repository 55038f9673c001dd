"""Scope: the queue of dirty workloads, the waits on facts, the numbering of events: nothing gets lost on the way."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventd.kernel import waiting
from eventd.kernel.dispatch import Dispatcher
from eventd.kernel.failures import FORGET, Failures
from eventd.kernel.model.events import Event, EventKind, KernelEvent, KernelOrigin
from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.model.report import Outcome, RunResult, WorkloadReport, overall
from eventd.kernel.queue import Batch, Queue, RunHandle
from eventd.kernel.status_store import REPAIRS, Records
from eventd.kernel.triggers import KEPT, noted
from eventd.mounts.model_events import MountEvent
from eventd.platform.model_facts import PlatformFact
from eventd.repository.model_events import RepositoryEvent
from eventd.workloads.model_events import WorkloadEvent
from eventd.workloads.model_final import FINAL
from eventd_simulators.virtual_time import virtual
from tests.simulated.daemon import container, deployed

KEY = FactKey(PlatformFact.SHUTDOWN)
CAUSES = (
    KernelEvent.SYNC,
    KernelEvent.BOOT,
    KernelEvent.CONFIG_CHANGED,
    WorkloadEvent.RESTART,
    RepositoryEvent.PUSHED,
    RepositoryEvent.REVISION,
)


def event(kind: EventKind, number: int) -> Event:
    return Event(number, KernelOrigin.DAEMON, kind, str(number), 0.0, 0.0)


@given(st.lists(st.sampled_from(["touch a", "touch b", "all", "take", "put back"])))
def test_what_was_touched_is_taken_once(steps: list[str]) -> None:
    """Whatever the order: nothing that was made dirty is missing from what is taken after it."""
    queue, owed, everything, kept = Queue(), set[str](), False, Batch()
    handles: list[RunHandle] = []
    for step in steps:
        match step.split():
            case ["touch", name]:
                queue.touch(name, None)
                owed.add(name)
            case ["all"]:
                handles.append(RunHandle())
                queue.touch_all(None, handle=handles[-1])
                everything = True
            case ["take"]:
                kept = queue.take()
                assert kept.names == owed
                assert kept.everything is everything
                assert kept.handles == handles
                owed, everything, handles = set(), False, []
            case _:
                owed |= kept.names
                everything |= kept.everything
                handles = kept.handles + handles
                queue.put_back(kept)
                kept = Batch()
    assert bool(queue.pending) is bool(owed or everything)


def test_causes_are_never_left_out_of_the_triggers() -> None:
    """A storm of other events does not push a sync or a push out of the report."""
    queue = Queue()
    for number in range(100):
        queue.touch("web", event(MountEvent.DEVICE, number))
    queue.touch_all(event(KernelEvent.SYNC, 101))
    queue.put_back(queue.take())
    assert queue.pending.triggers[0].kind is KernelEvent.SYNC
    assert len(queue.pending.triggers) < 40


@given(
    st.lists(st.sampled_from([*CAUSES, MountEvent.DEVICE, KernelEvent.READ]), max_size=400),
    st.integers(1, 50),
)
def test_triggers_are_bounded_and_no_kind_of_cause_is_left_out(kinds: list[EventKind], size: int) -> None:
    """However many come, and in whatever portions: a few stay, causes first, and of each kind the last one."""
    events = [event(kind, number) for number, kind in enumerate(kinds, 1)]
    kept: tuple[Event, ...] = ()
    for at in range(0, len(events), size):
        kept = noted(kept, events[at : at + size])
    assert len(kept) <= KEPT
    causes = [each.kind in CAUSES for each in kept]
    assert causes == sorted(causes, reverse=True)
    last = {each.kind: each.sequence for each in events if each.kind in CAUSES}
    assert set(last.values()) <= {each.sequence for each in kept}


def test_who_asks_and_leaves_while_a_run_is_on_leaves_nothing_behind() -> None:
    """A thousand who did not wait, or no longer do, are counted, and only who waits is kept; so are their causes."""
    queue, waits = Queue(), RunHandle()
    queue.restart("web", None, waits)
    for number in range(1, 1001):
        handle = RunHandle(left=number % 2 == 0)
        queue.restart("web", event(WorkloadEvent.RESTART, number), handle)
        queue.touch_all(event(KernelEvent.SYNC, 1000 + number), forced=True, handle=handle)
        handle.left = True
    batch = queue.pending
    assert batch.requests == 2001
    assert waits in batch.handles
    assert waits in batch.restarts["web"]
    assert len(batch.handles) + len(batch.restarts["web"]) <= 4
    assert len(batch.triggers) <= KEPT


@virtual()
async def test_a_touch_during_the_wait_ends_it_and_a_timeout_does_too() -> None:
    """And what was put back wakes as well."""
    queue, loop = Queue(), asyncio.get_running_loop()
    before = loop.time()
    await queue.wait(5)
    assert loop.time() - before == pytest.approx(5)
    loop.call_later(3, queue.touch, "web", None)
    await queue.wait(None)
    batch = queue.take()
    loop.call_later(3, queue.put_back, batch)
    await queue.wait(None)
    assert queue.take().names == {"web"}


@virtual()
async def test_a_wait_on_facts_ends_at_its_deadline() -> None:
    """Nothing changes: False after just so many seconds, and nobody is left watching."""
    facts, loop = Facts(), asyncio.get_running_loop()
    before = loop.time()
    assert not await waiting.until(facts, [KEY], lambda: False, timeout=7)
    assert loop.time() - before == pytest.approx(7)
    loop.call_later(2, facts.set, KEY, True)
    assert await waiting.until(facts, [KEY], lambda: facts.get(KEY) is True, timeout=7)
    assert await waiting.until(facts, [KEY], lambda: True, timeout=0)
    assert not facts._watchers


@virtual()
async def test_the_dispatcher_loses_no_event_for_a_follower() -> None:
    """Emitted between two waits, or many at once: `more` returns at once, `since` has all of them in order."""
    dispatcher, got = Dispatcher(), []

    async def follow() -> None:
        last = 0
        while last < 30:
            await dispatcher.more(last)
            for each in dispatcher.since(last):
                got.append(each.sequence)
                last = each.sequence

    tasks = [asyncio.create_task(follow()) for _ in range(2)]
    for _ in range(10):
        for _ in range(3):
            dispatcher.emit(KernelOrigin.DAEMON, KernelEvent.READ, "x")
        await asyncio.sleep(0.1)
    await asyncio.gather(*tasks)
    assert sorted(got) == sorted([*range(1, 31), *range(1, 31)])


def test_failures_wait_longer_and_longer_and_another_content_does_not_wait() -> None:
    """Backoff per content; a reason that time does not cure has no retry by time at all."""
    failures, report = Failures(Records(), FINAL), WorkloadReport("web", Outcome.FAILED, "start-failed")
    pauses = [(f := failures.note("web", "d", report, float(n), 0.0)).retry_at - f.at for n in range(6)]  # type: ignore[operator]
    assert pauses == sorted(set(pauses))
    assert not failures.may_start("web", "d", 6.0)
    assert failures.may_start("web", "other", 6.0)
    final = WorkloadReport("web", Outcome.FAILED, "shadowed", judged=True)
    assert failures.note("web", "d", final, 7.0, 0.0).retry_at is None
    assert failures.next_retry() is None


def test_a_failure_that_no_fact_would_end_is_tried_again_by_time() -> None:
    """A handler says "protected": what it names wakes it; if it names nothing, time alone brings it back."""
    failures, row = Failures(Records(), FINAL), WorkloadReport("rename:web", Outcome.FAILED, "protected")
    assert failures.note("rename:web", "d", row, 1.0, 0.0).retry_at is not None
    named = replace(row, wakes_on=frozenset({FactKey(PlatformFact.ACCOUNT, "web")}))
    assert failures.note("rename:web", "d", named, 2.0, 0.0).retry_at is None
    failures.wake("rename:web", 3.0)
    assert failures.may_start("rename:web", "d", 3.0)


def test_a_due_retry_is_taken_once() -> None:
    """Nobody who looks at what is due can go round in circles."""
    failures = Failures(Records(), FINAL)
    failures.note("web", "d", WorkloadReport("web", Outcome.FAILED, "x"), 0.0, 0.0)
    assert failures.take_due(1e6) == ["web"]
    assert failures.take_due(1e6) == []
    assert failures.next_retry() is None
    assert failures.may_start("web", "d", 1e6)


def test_repairs_in_a_row_are_counted_and_forgotten() -> None:
    """The first few are made at once; then no more, until it has been quiet for long enough."""
    failures = Failures(Records(), FINAL)
    assert [failures.repair("web", float(n)) for n in range(REPAIRS + 1)] == [True] * REPAIRS + [False]
    assert failures.repair("web", 2 * FORGET)


@pytest.mark.parametrize(
    ("outcomes", "result"),
    [
        ([Outcome.OK, Outcome.FAILED, Outcome.UNCHANGED], RunResult.FAILED),
        ([Outcome.OK, Outcome.REFUSED], RunResult.FAILED),
        ([Outcome.OK, Outcome.HELD, Outcome.FAILED], RunResult.FAILED),
        ([Outcome.OK, Outcome.HELD], RunResult.HELD),
        ([Outcome.SUPERSEDED, Outcome.OK], RunResult.INTERRUPTED),
        ([Outcome.OK, Outcome.UNCHANGED], RunResult.OK),
        ([], RunResult.OK),
    ],
)
def test_there_is_no_partial_success(outcomes: list[Outcome], result: RunResult) -> None:
    """Any failed or refused workload fails the run; an error of the whole does anyway."""
    assert overall(outcomes, error=False) is result
    assert overall(outcomes, error=True) is RunResult.FAILED


@virtual()
async def test_runs_of_two_tasks_are_one_after_the_other() -> None:
    """Whoever calls `run`: the journal never has two open runs."""
    story = await deployed(container("web"), 60)
    engine = story.engine
    batches = [Batch(everything=True, record=True) for _ in range(5)]
    await asyncio.gather(*(engine.runs.run(batch) for batch in batches))
    assert story.world.disk.most_open == 1
    assert len(story.world.disk.runs) >= 5


@virtual()
async def test_what_happens_during_a_run_is_seen_by_a_later_one() -> None:
    """A unit is stopped while a run is on for another workload's slow start: it is up again without more ado."""
    story = await deployed({**container("web"), **container("db")}, 60)
    story.world.model.behaviours.set("db", "db.service", start=30.0)
    story.push({**container("web"), **container("db", more="Environment=A=2")})
    await asyncio.sleep(5)
    assert story.engine.queries.current_run is not None
    story.manager("web").stop("web.service")
    await story.quiet(100)
    await story.assert_converged()
