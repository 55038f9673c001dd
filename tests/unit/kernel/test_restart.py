"""Scope: a restart that was asked for: it is made and verified in a run, also in one that is on, and by no other."""

from __future__ import annotations

from eventd.kernel.model.events import KernelOrigin
from eventd.kernel.model.report import Outcome, RunResult, WorkloadState
from eventd.kernel.queue import RunHandle
from eventd.workloads.model_events import WorkloadEvent
from eventd_simulators.virtual_time import virtual
from tests.simulated.daemon import Story, container


async def started(**workloads: str) -> Story:
    """A converged host with these workloads, each with a workload.toml."""
    story = Story()
    await story.start()
    files: dict[str, str | bytes] = {}
    for name, options in workloads.items():
        files |= {**container(name), f"workloads/{name}/workload.toml": options}
    story.push(files)
    await story.quiet(200)
    return story


def restart(story: Story, name: str) -> RunHandle:
    """Ask, as the route does."""
    handle = RunHandle()
    trigger = story.dispatcher.emit(KernelOrigin.REQUEST, WorkloadEvent.RESTART, name, scope=name)
    story.engine.loop.restart(name, trigger, handle)
    return handle


@virtual()
async def test_a_restart_is_made_once_and_verified() -> None:
    """Another invocation, a report, and no second restart after it."""
    story = await started(web="", db="")
    before = story.unit("web").invocation, story.unit("db").invocation
    handle = restart(story, "web")
    await handle.done.wait()
    assert handle.report is not None
    assert handle.report.result is RunResult.OK
    assert [(row.name, row.outcome) for row in handle.report.workloads] == [("web", Outcome.OK)]
    after = story.unit("web").invocation
    assert after != before[0]
    await story.quiet(200)
    assert (story.unit("web").invocation, story.unit("db").invocation) == (after, before[1])
    assert story.status("web").state is WorkloadState.CONVERGED
    await story.kill()


@virtual()
async def test_a_restart_does_not_wait_for_another_workload() -> None:
    """A run is on that verifies a slow one: the restart is made in it, though its answer comes with the run's end."""
    story = await started(web="", slow='[health]\ngrace = "60s"\n')
    before = story.unit("web").invocation
    slow = restart(story, "slow")
    await slow.started.wait()
    await story.quiet(10)
    handle = restart(story, "web")
    await handle.started.wait()
    await story.quiet(10)
    assert handle.run == slow.run
    assert not slow.done.is_set()
    assert story.unit("web").invocation != before
    await handle.done.wait()
    await slow.done.wait()
    assert handle.report == slow.report
    await story.kill()


@virtual()
async def test_a_restart_of_what_is_being_worked_on_gets_the_following_run() -> None:
    """Nothing is lost: the second request is a second restart."""
    story = await started(slow='[health]\ngrace = "60s"\n')
    first = restart(story, "slow")
    await first.started.wait()
    await story.quiet(10)
    between = story.unit("slow").invocation
    second = restart(story, "slow")
    await second.done.wait()
    assert first.done.is_set()
    assert second.run != first.run
    assert story.unit("slow").invocation != between
    await story.kill()


@virtual()
async def test_a_restart_of_what_has_left_the_repository_is_answered() -> None:
    """Between the request and the run the workload went: the run says nothing of it, and who waits is told."""
    story = await started(web="", db="")
    handle = RunHandle()
    story.engine.loop.restart("gone", None, handle)
    await handle.done.wait()
    assert handle.report is not None
    assert "gone" not in {row.name for row in handle.report.workloads}
    await story.kill()
