"""Scope: runs that go wrong as a whole, or meet a bug: nothing is lost, all get an answer, the rest goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest

from eventd.files.model_actions import PutFile
from eventd.kernel.model.errors import DeadlineError, TemporaryError
from eventd.kernel.model.events import KernelEvent, KernelOrigin
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.report import RunResult, WorkloadState
from eventd.kernel.queue import RunHandle
from eventd.kernel.triggers import KEPT
from eventd.overrides.model import NETWORK
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import ActiveState, LoadState, UnitState
from eventd.repository.ports import Fetched
from eventd.status import documents, documents_why, documents_workload
from eventd.workloads.model_events import WorkloadEvent
from eventd.workloads.model_facts import WorkloadFact
from eventd_policies.gates import gates
from eventd_simulators.virtual_time import virtual
from tests.simulated.daemon import Story, container, containers, deployed


class Broken:
    """A method of a port of the running host that raises `error` while `on`; the rest is the port's own."""

    def __init__(self, port: Any, name: str, error: Callable[[], Exception]) -> None:
        self._port, self._name, self._real, self._error = port, name, getattr(port, name), error
        self.on = True
        self.calls = 0
        setattr(port, name, self._call)

    async def _call(self, *args: Any, **kwargs: Any) -> Any:
        if not self.on:
            return await self._real(*args, **kwargs)
        self.calls += 1
        raise self._error()


def break_port(story: Story, port: str, method: str, error: Callable[[], Exception]) -> Broken:
    """Break one method of one port of the running engine."""
    return Broken(getattr(story.host, port), method, error)


def full() -> Exception:
    return TemporaryError("cannot write the state: disk full", reason="disk-full")


def locked() -> Exception:
    return DeadlineError("process 4711 holds the lock", reason="host-locked")


@virtual()
async def test_a_bug_in_a_handler_fails_its_workload_only() -> None:
    """An exception that is no EventdError is a failure of its workload; the others converge, the daemon lives."""
    story = Story()
    await story.start()
    handlers = dict(story.engine.executor.handlers)
    real = handlers[PutFile]

    async def buggy(action: Any, tx: Any) -> None:
        if action.workload == "bad":
            raise ZeroDivisionError("a bug")
        await real(action, tx)

    story.engine.executor.handlers = {**handlers, PutFile: buggy}
    story.push({**container("bad"), **container("good")})
    await story.quiet(10)
    assert not story.dead
    assert story.unit("good").active is ActiveState.ACTIVE
    assert story.status("bad").state is WorkloadState.FAILED
    assert story.status("bad").reason == "bug"
    assert "ZeroDivisionError" in story.status("bad").message
    row = documents_workload.workload(story.engine.queries, "bad")
    assert row["retry_at"] is not None
    assert row["attempts"] > 1, "it was tried again in these ten seconds"
    told = documents_why.why(story.engine.queries, "bad")
    assert (told["attempts"], told["retry_at"]) == (row["attempts"], row["retry_at"])
    assert documents_workload.workload(story.engine.queries, "good")["attempts"] == 0
    await story.engine.overrides.suspend("bad", "root", "")
    assert documents_workload.workload(story.engine.queries, "bad")["retry_at"] is None, (
        "nothing of it is tried"
    )
    await story.engine.commands.resume("bad", "root")
    facts = story.dispatcher.facts
    assert facts.get(FactKey(WorkloadFact.WORKLOAD, "bad")) != facts.get(
        FactKey(WorkloadFact.WORKLOAD, "good")
    )
    assert not story.world.disk.steps, "the step of the bug is closed"
    story.engine.executor.handlers = handlers
    await story.quiet()
    await story.assert_converged()


@virtual()
async def test_a_message_of_a_bug_is_not_shown() -> None:
    """A foreign exception may quote anything, a secret too: only its type gets into a report."""
    story = Story()
    await story.start()

    async def buggy(_action: Any, _tx: Any) -> None:
        raise ValueError("the password is hunter2")

    story.engine.executor.handlers = {
        **story.engine.executor.handlers,
        PutFile: buggy,
    }
    story.push(container("web"))
    await story.quiet(10)
    assert "hunter2" not in repr(story.engine.queries.last_run)


@pytest.mark.parametrize(
    ("port", "method", "error"),
    [("store", "begin_run", full), ("lock", "acquire", locked), ("store", "begin_run", ZeroDivisionError)],
)
def test_a_run_that_cannot_begin_is_made_up_for(
    port: str, method: str, error: Callable[[], Exception]
) -> None:
    """Its triggers are kept and tried again with growing pauses; who asked is told; the status says so."""

    @virtual()
    async def story_of_it() -> None:
        story = await deployed(container("web"))
        broken = break_port(story, port, method, error)
        story.manager("web").stop("web.service")
        await story.quiet(60)
        assert not story.dead
        assert story.unit("web").active is ActiveState.INACTIVE
        assert documents.overall(story.engine.queries) == "degraded"
        assert 3 <= broken.calls <= 12, "with growing pauses"
        async with asyncio.timeout(30):
            report = await story.sync()
        assert report is not None
        assert report.result is RunResult.FAILED
        assert report.error
        broken.on = False
        await story.quiet(400)
        assert story.unit("web").active is ActiveState.ACTIVE
        await story.assert_converged()
        assert documents.overall(story.engine.queries) == "converged"

    story_of_it()


@virtual()
async def test_a_report_that_cannot_be_written_is_told_all_the_same() -> None:
    """The disk fills up during the run: who waits gets the report, and the next run is not in its way."""
    story = await deployed(container("web"))
    broken = break_port(story, "store", "end_run", full)
    async with asyncio.timeout(30):
        report = await story.sync()
    assert report is not None
    assert story.engine.queries.current_run is None
    broken.on = False
    assert not story.dead
    await story.assert_converged()


@pytest.mark.parametrize("error", [lambda: TemporaryError("git was killed"), ZeroDivisionError])
def test_a_commit_that_cannot_be_read_is_tried_again(error: Callable[[], Exception]) -> None:
    """A temporary error, or a bug, of reading a commit is retried without a new trigger."""

    @virtual()
    async def story_of_it() -> None:
        story = await deployed(container("web"))
        broken = break_port(story, "repository", "tree", error)
        story.push(container("web", more="Environment=A=2"))
        await story.quiet(20)
        assert not story.dead
        assert documents.overall(story.engine.queries) == "degraded"
        broken.on = False
        await story.quiet(600)
        await story.assert_converged()

    story_of_it()


@virtual()
async def test_a_generator_that_hangs_is_an_error_of_loading() -> None:
    """An error inside of the checks, which run side by side, is an EventdError and no group of exceptions."""
    story = await deployed(container("web"))
    broken = break_port(story, "generator", "dry_run", lambda: DeadlineError("the generator hangs"))
    story.push(container("web", more="Environment=A=2"))
    await story.quiet(20)
    assert not story.dead
    error = story.engine.queries.load_error
    assert error is not None
    assert error.reason == "deadline"
    broken.on = False
    await story.quiet(600)
    await story.assert_converged()


@virtual()
async def test_what_leaves_the_repository_before_it_was_made_is_forgotten() -> None:
    """A workload that was refused, or failed before it had an account, leaves no trace in the status."""
    story = await deployed(container("web"))
    story.world.model.accounts.add("human", shell="/bin/bash")
    story.push(
        {
            **container("web"),
            **container("human"),
            "workloads/wrong/wrong.container": "[Container]\nImagine=x\n",
        }
    )
    await story.quiet(60)
    assert story.status("human").state is WorkloadState.FAILED
    assert story.status("wrong").state is WorkloadState.REFUSED
    assert documents.overall(story.engine.queries) == "degraded"
    story.push(container("web"))
    await story.quiet(60)
    assert sorted(story.engine.queries.names()) == ["web"]
    assert documents.overall(story.engine.queries) == "converged"


@virtual()
async def test_a_hold_whose_workload_is_refused_wakes_nobody() -> None:
    """A gate's deadline passes while the workload cannot be planned: that is not looked at over and over."""
    story = await deployed(container("web"))
    judge = story.engine.judge
    judge.policies = (*judge.policies, gates)
    gated = {**container("db"), "workloads/db/workload.toml": 'requires = ["unit:never.target"]\n'}
    story.push({**container("web"), **gated})
    await story.quiet(20)
    assert story.status("db").state is WorkloadState.HELD
    story.push({**container("web"), "workloads/db/db.container": "[Container]\nImagine=x\n"})
    await story.quiet(10)
    before = story.dispatcher.sequence
    await story.quiet(600)
    assert story.status("db").state is WorkloadState.REFUSED
    assert story.dispatcher.sequence - before < 5


@virtual()
async def test_a_unit_that_ends_well_again_and_again_is_not_started_for_ever() -> None:
    """A service that exits with 0 soon after each start is a loop too: it is reported, and its start waits."""
    story = Story()
    story.world.model.behaviours.set("web", "web.service", runs_for=3.0, status=0)
    await story.begin(container("web", more="[Service]\nRestart=no"), 300)
    starts = [call for call in story.host.life.calls if call == "StartUnit web/web.service"]
    assert 3 < len(starts) < 20
    assert story.status("web").state is WorkloadState.FAILED
    assert story.status("web").reason == "crash-looping"


@virtual()
async def test_a_request_before_the_first_commit_is_answered_later() -> None:
    """`sync` without a fetch while the first fetch is on: it gets the run that the fetch leads to."""
    story = Story()
    story.world.remote.push(container("web"))
    story.world.faults.latency = (1.0, 1.1)
    await story.start()
    handle = RunHandle()
    event = story.dispatcher.emit(KernelOrigin.REQUEST, KernelEvent.SYNC, "sync")
    assert story.engine.queries.desired is None
    story.engine.loop.request(event, forced=True, handle=handle)
    async with asyncio.timeout(300):
        await handle.done.wait()
    assert handle.report is not None


@virtual()
async def test_nothing_begins_once_the_daemon_drains() -> None:
    """What is dirty when SIGTERM comes is left to the next process; waits are interrupted."""
    story = Story()
    story.world.model.behaviours.set("web", "web.service", start=60.0)
    await story.start()
    story.engine.runs.concurrency = 1
    story.push({**container("aaa", "unhealthy", more="Notify=healthy\nHealthCmd=true"), **container("web")})
    await asyncio.sleep(5)
    assert story.engine.queries.current_run is not None
    before = story.dispatcher.sequence
    loop = asyncio.get_running_loop()
    at = loop.time()
    await story.engine.runs.drain(20.0)
    assert loop.time() - at < 5.0
    assert story.engine.queries.current_run is None
    assert story.world.model.accounts.get("web") is None, "a workload that had not begun is left"
    runs = len(story.world.disk.runs)
    story.manager("aaa").stop("aaa.service")
    await story.quiet(60)
    assert len(story.world.disk.runs) == runs
    assert before
    with pytest.raises(TemporaryError, match="is stopping"):
        async with story.engine.runs.alone():
            pass


@virtual()
async def test_no_run_begins_when_a_shutdown_is_announced_while_it_waits_for_the_lock() -> None:
    """PrepareForShutdown comes between the trigger and the run: the trigger is kept until it is called off."""
    story = await deployed(container("web"))
    lock = story.host.lock
    real = lock.acquire

    async def slow(*, timeout: float, waiting: Any = None) -> None:
        await asyncio.sleep(10)
        await real(timeout=timeout, waiting=waiting)

    lock.acquire = slow  # type: ignore[method-assign]
    story.manager("web").stop("web.service")
    await asyncio.sleep(5)
    story.world.model.logind.prepare_for_shutdown(active=True)
    await story.quiet(60)
    assert story.unit("web").active is ActiveState.INACTIVE
    story.world.model.logind.prepare_for_shutdown(active=False)
    await story.quiet(60)
    assert story.unit("web").active is ActiveState.ACTIVE


@virtual()
async def test_a_fetch_that_works_again_ends_the_failure() -> None:
    """The remote was away and has nothing new: the next run says ok, and the host is converged again."""
    story = await deployed(container("web"))
    story.world.remote.down = True
    story.host.pushed()
    await story.quiet(5)
    last = story.engine.queries.last_run
    assert last is not None
    assert last.result is RunResult.FAILED
    assert documents.overall(story.engine.queries) == "degraded"
    story.world.remote.down = False
    await story.quiet()
    last = story.engine.queries.last_run
    assert last is not None
    assert last.result is RunResult.OK
    assert documents.overall(story.engine.queries) == "converged"


@pytest.mark.parametrize("pause", [0.0, 0.1, 1.0, 60.0])
@virtual()
async def test_a_removed_account_does_not_keep_its_workload_from_leaving(pause: float) -> None:
    """Somebody deleted the account, then the workload left the repository: it is gone, not failed.

    Whether eventd sees that it left before it has made the account again, with another uid, meanwhile, or after.
    """
    story = await deployed(containers("web", "db"))
    before = story.manager("web")

    story.world.model.accounts.remove("web")
    await asyncio.sleep(pause)
    if pause == 60.0:
        await story.assert_as_wanted()
        assert story.manager("web") is not before
    story.push(container("db"))
    await story.quiet(600)
    assert story.status("web").state is WorkloadState.REMOVED


async def with_a_slow_run(*names: str) -> Story:
    """A host on which a run over the workload `slow` alone waits for its start, for 30 seconds."""
    story = await deployed(containers("slow", *names))
    story.world.model.behaviours.set("slow", "slow.service", start=30.0)
    story.manager("slow").stop("slow.service")
    await story.quiet(5)
    assert story.engine.queries.current_run is not None
    return story


@virtual()
async def test_what_joined_a_run_that_fails_is_made_up_for() -> None:
    """What becomes dirty while a run is on, as the disk is full, is dealt with after it; what is on goes on."""
    story = await with_a_slow_run("web")
    runs, failed = story.engine.runs, 0
    real = runs.revision

    class Failing:
        """Cannot write once, when the last that is heard of `web` for now has been taken from the queue."""

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        async def end_overrides(self) -> None:
            nonlocal failed
            if not failed and story.unit("web").active is ActiveState.INACTIVE:
                failed += 1
                raise full()
            await real.end_overrides()

    runs.revision = Failing()  # type: ignore[assignment]
    story.manager("web").stop("web.service")
    await story.quiet(200)
    assert failed
    assert story.engine.runs.counters.runs_failed == 0
    assert not story.world.disk.steps
    await story.assert_converged()


@virtual()
async def test_a_long_run_names_no_more_triggers_than_a_short_one() -> None:
    """Whatever joins it while it is on, it remains a report that can be read, written and kept."""
    story = await with_a_slow_run("a", "b", "c")
    engine = story.engine
    on = engine.queries.current_run
    assert on is not None
    for name in ("a", "b", "c"):
        for _ in range(KEPT):
            event = story.dispatcher.emit(KernelOrigin.DAEMON, WorkloadEvent.RESTART, name, scope=name)
            handle = RunHandle()
            engine.loop.restart(name, event, handle)
        await handle.started.wait()
        assert handle.run == on.id
    current = engine.queries.current_run
    assert current is not None
    assert current.id == on.id
    assert len(current.triggers) <= KEPT
    await story.kill()


@virtual()
async def test_what_happens_while_a_run_takes_in_another_event_joins_it_too() -> None:
    """Rollbacks whose cause is gone are ended first, which is written to the disk: that takes a moment."""
    story = await with_a_slow_run("a", "b")
    runs = story.engine.runs
    real = runs.revision

    class Slow:
        """Takes a second to write that."""

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        async def end_overrides(self) -> None:
            await asyncio.sleep(1)
            await real.end_overrides()

    runs.revision = Slow()  # type: ignore[assignment]
    story.world.model.behaviours.set("a", "a.service", start=8.0)
    story.manager("a").stop("a.service")
    await story.quiet(1.5)  # a's turn has begun, and what joins with it is looked at
    story.manager("b").stop("b.service")
    await story.quiet(6)
    assert runs.current is not None
    assert story.unit("b").active is ActiveState.ACTIVE
    await story.quiet(100)
    await story.assert_converged()


@virtual()
async def test_the_network_that_comes_while_a_fetch_fails_has_it_tried_at_once() -> None:
    """That fetch was begun without it: its failure is not what there is to wait for."""
    story = await deployed(container("web"))
    fetcher = story.engine.fetcher
    fetcher.attempts = 20
    begun: list[float] = []

    class Offline:
        """Fails after a while, as a name that nobody resolves does."""

        async def fetch(self) -> Fetched:
            begun.append(anyio.current_time())
            await asyncio.sleep(10)
            raise TemporaryError("cannot resolve forge.example", reason="remote-unreachable")

    fetcher.host = replace(fetcher.host, repository=Offline())  # type: ignore[arg-type]
    fetcher.request()
    await story.quiet(5)
    online = UnitState(NETWORK.name, LoadState.LOADED, ActiveState.ACTIVE, "active")
    assert story.dispatcher.facts.get(NETWORK) != online
    story.dispatcher.emit(
        PlatformOrigin.SYSTEMD, PlatformEvent.UNIT_CHANGED, NETWORK.name, facts=[(NETWORK, online)]
    )
    await story.quiet(6)
    assert [round(at - begun[0]) for at in begun] == [0, 10]
