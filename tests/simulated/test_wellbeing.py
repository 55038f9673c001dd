"""Scope: workloads after they were verified: expectations that cease to hold, flapping, remedies, crashes and loops."""

from __future__ import annotations

import asyncio

import pytest

from eventd.gates.model_facts import GateFact
from eventd.health.model_events import HealthEvent, HealthOrigin
from eventd.health.model_expectations import CRASHED, UNHEALTHY
from eventd.health.model_facts import HealthFact
from eventd.kernel.model.events import EventKind, KernelEvent, KernelOrigin
from eventd.kernel.model.facts import FactKey, FactValue
from eventd.kernel.model.report import RunResult, WorkloadState
from eventd.kernel.queue import RunHandle
from eventd.kernel.status_store import REPAIRS
from eventd.mounts.model_facts import MountFact, MountState
from eventd.platform.model_facts import ActiveState, FileKind, FileState, LoadState, PlatformFact, UnitState
from eventd.status import documents
from eventd.updates.model_facts import UpdateFact
from eventd.workloads.model_facts import WorkloadFact
from eventd_simulators.virtual_time import virtual
from tests.simulated.daemon import Story, container, deployed

CHECK = "HealthCmd=true"
BOX = FactKey(HealthFact.CONTAINER, "web", "web")
THERE = FileState(FileKind.REGULAR, "", 0o644, 0, 0)
EXPECTED: dict[str, tuple[str, FactKey, FactValue, FactValue]] = {
    "container": ("container:web=healthy", BOX, "healthy", "unhealthy"),
    "unit": (
        "unit:db.service",
        FactKey(PlatformFact.UNIT, "db.service"),
        UnitState("db.service", LoadState.LOADED, ActiveState.ACTIVE),
        UnitState("db.service", LoadState.LOADED, ActiveState.FAILED),
    ),
    "mount": (
        "mount:/srv/a",
        FactKey(MountFact.MOUNT, "/srv/a"),
        MountState("/srv/a", "/dev/a", "ext4", "rw", "8:1"),
        None,
    ),
    "file": ("file:/srv/flag", FactKey(PlatformFact.FILE, "/srv/flag"), THERE, None),
    "http": (
        "http://127.0.0.1:8080/ping",
        FactKey(GateFact.PROBE, "http://127.0.0.1:8080/ping"),
        True,
        False,
    ),
    "not": ("not(file:/srv/flag)", FactKey(PlatformFact.FILE, "/srv/flag"), None, THERE),
    "any": ("any(file:/srv/flag, mount:/srv/a)", FactKey(PlatformFact.FILE, "/srv/flag"), THERE, None),
}


def tell(story: Story, key: FactKey, value: FactValue) -> None:
    """Set a fact, as its source would."""
    story.dispatcher.emit(
        HealthOrigin.PODMAN, HealthEvent.HEALTH, key.name, scope=key.scope, facts=[(key, value)]
    )


def count(story: Story, kind: EventKind, name: str = "web") -> int:
    return sum(event.kind is kind and event.subject == name for event in story.events)


def web(options: str = "", more: str = CHECK, image: str = "web") -> dict[str, str | bytes]:
    return {**container("web", image, more), "workloads/web/workload.toml": options}


@pytest.mark.parametrize("kind", EXPECTED)
@virtual()
async def test_an_expectation_that_ceases_to_hold_fails_the_workload(kind: str) -> None:
    """Of whatever kind: status, run, metrics' source and the gates of others follow, and so they do when it is back."""
    text, key, good, bad = EXPECTED[kind]
    story = Story()
    await story.start()
    tell(story, key, good)
    other = {**container("app"), "workloads/app/workload.toml": 'requires = ["workload:web=healthy"]\n'}
    story.push({**web(f'[health]\nexpect = ["{text}"]\ndeadline = "30s"\n', more=""), **other})
    for _ in range(20):  # what is probed is asked anew for each start
        await story.quiet(2)
        tell(story, key, good)
    await story.quiet(100)
    assert story.status("web").state is WorkloadState.CONVERGED
    assert story.status("app").state is WorkloadState.CONVERGED
    runs = len(story.world.disk.runs)
    tell(story, key, bad)
    await story.quiet(5)
    current = story.status("web")
    assert (current.state, current.reason) == (WorkloadState.FAILED, UNHEALTHY)
    assert current.message
    assert documents.overall(story.engine.queries) == "degraded"
    assert story.dispatcher.facts.get(FactKey(WorkloadFact.WORKLOAD, "web")) == "active"
    assert len(story.world.disk.runs) == runs, "a report needs no run"
    report = await story.sync()
    assert report is not None
    assert report.result is RunResult.FAILED
    assert {row.name: row.reason for row in report.workloads}["web"] == UNHEALTHY
    tell(story, key, good)
    await story.quiet(5)
    assert story.status("web").state is WorkloadState.CONVERGED
    assert story.dispatcher.facts.get(FactKey(WorkloadFact.WORKLOAD, "web")) == "healthy"
    assert (count(story, HealthEvent.UNHEALTHY), count(story, HealthEvent.HEALED)) == (1, 1)


@pytest.mark.parametrize(
    "more", [CHECK, "", f"{CHECK}\nNotify=false"], ids=["check", "image", "not waited for"]
)
@virtual()
async def test_a_container_that_turns_unhealthy_is_expected_not_to(more: str) -> None:
    """Nobody wrote an `expect`: what podman says of any container counts, be the check its image's own."""
    story = await deployed(web(more=more))
    assert story.status("web").state is WorkloadState.CONVERGED, "that nothing is known is no failure"
    tell(story, BOX, "unhealthy")
    await story.quiet(5)
    assert story.status("web").reason == UNHEALTHY
    assert "container web of web is unhealthy" in story.status("web").message
    tell(story, BOX, "healthy")
    await story.quiet(5)
    assert story.status("web").state is WorkloadState.CONVERGED


@virtual()
async def test_a_check_without_a_result_yet_is_not_unhealthy() -> None:
    """A container that podman restarted is on its way."""
    story = await deployed(web())
    tell(story, BOX, "starting")
    await story.quiet(5)
    assert (story.status("web").state, story.status("web").reason) == (WorkloadState.PENDING, "starting")
    assert count(story, HealthEvent.UNHEALTHY) == 0


@virtual()
async def test_flapping_is_told_a_few_times_and_not_for_ever() -> None:
    """Unhealthy at once, healthy again after a pause that grows; the state does not follow each turn."""
    story = await deployed(web())
    before = len(story.events)
    for turn in range(400):
        tell(story, BOX, "unhealthy" if turn % 2 == 0 else "healthy")
        await story.quiet(2)
    own = [event for event in story.events[before:] if event.origin is KernelOrigin.DAEMON]
    assert len(own) < 20, own
    assert story.status("web").reason == UNHEALTHY, "it is not healthy because it was so for a moment"
    await story.quiet(600)
    assert story.status("web").state is WorkloadState.CONVERGED


def heal_by_restart(story: Story, *, mends: bool) -> list[str]:
    """Have the container's health begin anew with each start of its unit; returns the starts as they come."""
    seen: list[str] = [story.unit("web").invocation]

    def listen(key: FactKey) -> None:
        state = story.dispatcher.facts.get(key)
        if isinstance(state, UnitState) and state.up and state.invocation not in seen:
            seen.append(state.invocation)
            loop = asyncio.get_running_loop()
            loop.call_later(0.1, tell, story, BOX, "starting")
            loop.call_later(3.0, tell, story, BOX, "healthy")
            if not mends:
                loop.call_later(8.0, tell, story, BOX, "unhealthy")

    story.dispatcher.facts.watch([FactKey(PlatformFact.UNIT, "web.service", "web")], listen)
    return seen


@virtual()
async def test_on_unhealthy_restart_restarts_it_and_sees_it_healthy() -> None:
    """Once, verified, told in the run; and the workload is converged again."""
    story = await deployed(web('[health]\non_unhealthy = "restart"\n'))
    starts = heal_by_restart(story, mends=True)
    tell(story, BOX, "unhealthy")
    await story.quiet(60)
    assert len(starts) == 2
    assert story.status("web").state is WorkloadState.CONVERGED
    last = story.engine.queries.last_run
    assert last is not None
    assert [(row.outcome.value, row.reason) for row in last.workloads] == [("ok", UNHEALTHY)]


@virtual()
async def test_restarts_of_what_they_do_not_mend_are_bounded() -> None:
    """As repairs are: at once a few times, then with pauses that grow; it is failed all along, and says so."""
    story = await deployed(web('[health]\non_unhealthy = "restart"\n'))
    starts = heal_by_restart(story, mends=False)
    tell(story, BOX, "unhealthy")
    await story.quiet(600)
    assert REPAIRS <= len(starts) - 1 < 20
    assert story.status("web").state is WorkloadState.FAILED
    assert story.status("web").reason == UNHEALTHY


@virtual()
async def test_what_no_restart_can_mend_is_not_restarted_for_it() -> None:
    """A mount that it expects is gone: that is nothing of the workload's own."""
    key, mount = EXPECTED["mount"][1], EXPECTED["mount"][2]
    story = Story()
    await story.start()
    tell(story, key, mount)
    story.push(web('[health]\nexpect = ["mount:/srv/a"]\non_unhealthy = "restart"\n'))
    await story.quiet(100)
    before = story.unit("web").invocation
    tell(story, key, None)
    await story.quiet(100)
    assert story.unit("web").invocation == before
    assert story.status("web").reason == UNHEALTHY


@virtual()
async def test_on_unhealthy_rollback_goes_back_to_what_was_verified_before() -> None:
    """The host says so until the repository has something else; with nothing before it, it is reported."""
    options = '[health]\non_unhealthy = "rollback"\n'
    story = await deployed(web(options))
    tell(story, BOX, "unhealthy")
    await story.quiet(20)
    assert story.status("web").reason == UNHEALTHY
    tell(story, BOX, "healthy")
    await story.quiet(1000)
    story.push(web(options, image="web2"))
    await story.quiet(100)
    assert story.status("web").state is WorkloadState.CONVERGED
    heal_by_restart(story, mends=True)
    tell(story, BOX, "unhealthy")
    await story.quiet(60)
    current = story.status("web")
    assert current.state is WorkloadState.ROLLED_BACK
    assert "unhealthy" in current.message
    assert documents.overall(story.engine.queries) == "degraded"


@virtual()
async def test_one_crash_is_repaired_and_told_as_one_crash() -> None:
    """The run is ok and names it, an event and a counter say it, and it is never called failed or a loop."""
    story = await deployed(web(more="[Service]\nRestart=no"))
    states = []
    story.engine.passes.subscribe("test", lambda: states.append(story.status("web").state))
    story.manager("web").units["web.service"].exit(9)
    await story.quiet(30)
    assert story.status("web").state is WorkloadState.CONVERGED
    assert WorkloadState.FAILED not in states
    last = story.engine.queries.last_run
    assert last is not None
    assert (last.result, last.workloads[0].reason) == (RunResult.OK, CRASHED)
    assert "web.service ended" in last.workloads[0].message
    assert "it was started again" in last.workloads[0].message
    assert count(story, HealthEvent.CRASHED) == 1
    assert story.engine.wellbeing.crashes == {"web": 1}


@pytest.mark.parametrize("restart", ["no", "always\nRestartSec=15"])
@virtual()
async def test_a_loop_is_a_loop(restart: str) -> None:
    """Whoever starts it again: after the same number of crashes in a short time it is failed, and stays so while up."""
    story = Story()
    story.world.model.behaviours.set("web", "web.service", runs_for=12.0, status=3)
    await story.begin(web(more=f"[Service]\nRestart={restart}"), 400)
    current = story.status("web")
    assert (current.state, current.reason) == (WorkloadState.FAILED, "crash-looping")
    assert REPAIRS <= count(story, HealthEvent.CRASHED) <= REPAIRS + 1, "a loop is told once"


@virtual()
async def test_a_fix_ends_a_loop_at_once() -> None:
    """How often the content before crashed says nothing about the one that is up now."""
    story = Story()
    story.world.model.behaviours.set("web", "web.service", runs_for=12.0, status=3)
    await story.begin(web(more="[Service]\nRestart=always"), 400)
    assert story.status("web").reason == "crash-looping"
    story.world.model.behaviours.set("web", "web.service", runs_for=None, status=0)
    story.push(web(more="[Service]\nRestart=always\nTimeoutStopSec=7"))
    await story.quiet(10)
    assert story.status("web").state is WorkloadState.CONVERGED


@virtual()
async def test_what_runs_and_would_not_start_again_is_at_risk() -> None:
    """A shut gate, an image that is gone: it runs on, gates on it stay open, and it is told once."""
    story = Story()
    await story.start()
    flag, image = EXPECTED["file"][1], FactKey(UpdateFact.IMAGE, "localhost/web:1", "web")
    tell(story, flag, THERE)
    story.push(web('requires = ["file:/srv/flag"]\n'))
    await story.quiet(100)
    for key, bad, good, said in (
        (flag, None, THERE, "file /srv/flag is not there"),
        (image, False, None, "the image localhost/web:1 is not in its store"),
    ):
        assert story.status("web").state is WorkloadState.CONVERGED
        before = count(story, HealthEvent.AT_RISK)
        tell(story, key, bad)
        await story.quiet(5)
        current = story.status("web")
        assert (current.state, current.reason) == (WorkloadState.AT_RISK, "would-not-start")
        assert said in current.message
        assert documents.overall(story.engine.queries) == "at-risk"
        assert story.dispatcher.facts.get(FactKey(WorkloadFact.WORKLOAD, "web")) == "healthy"
        report = await story.sync()
        assert report is not None
        assert report.result is RunResult.OK
        assert story.status("web").state is WorkloadState.AT_RISK
        assert count(story, HealthEvent.AT_RISK) == before + 1
        tell(story, key, good)
        await story.quiet(5)
    assert story.status("web").state is WorkloadState.CONVERGED
    assert story.unit("web").active is ActiveState.ACTIVE


@virtual()
async def test_a_gate_on_another_workload_puts_nobody_at_risk() -> None:
    """That one has a state of its own, which passes."""
    story = await deployed({**container("db"), **web('requires = ["workload:db=healthy"]\n')})
    tell(story, FactKey(HealthFact.CONTAINER, "db", "db"), "unhealthy")
    await story.quiet(5)
    assert story.status("db").reason == UNHEALTHY
    assert story.status("web").state is WorkloadState.CONVERGED


@virtual()
async def test_a_restart_that_an_operator_asks_for_begins_anew() -> None:
    """What went wrong before says nothing about the new start: it is converged as soon as it is healthy."""
    story = await deployed(web())
    for health in ("unhealthy", "healthy", "unhealthy", "healthy", "unhealthy", "healthy"):
        tell(story, BOX, health)
        await story.quiet(2)
    assert story.status("web").reason == UNHEALTHY
    handle = RunHandle()
    event = story.dispatcher.emit(KernelOrigin.REQUEST, KernelEvent.SYNC, "web")
    story.engine.loop.restart("web", event, handle)
    await handle.done.wait()
    assert handle.report is not None
    assert handle.report.result is RunResult.OK
    assert story.status("web").state is WorkloadState.CONVERGED
