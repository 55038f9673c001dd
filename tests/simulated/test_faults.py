"""Scope: the invariants under faults: many seeds, each another schedule; a failing seed replays exactly."""

from __future__ import annotations

import asyncio

import pytest

from eventd.kernel.model.report import WorkloadState
from eventd.platform.model_facts import ActiveState
from eventd_simulators.faults import Faults, stormy
from eventd_simulators.virtual_time import run
from tests.simulated.daemon import QUIET, Story, container, deployed

SEEDS = range(40)


async def upheaval(story: Story, seed: int) -> None:
    """A busy hour: pushes, hand-made drift, lost buses, reloads, kills, crashes in the middle, reboots."""
    chance = story.world.faults.random
    names = ["a", "b", "c"]
    for step in range(6):
        files: dict[str, str | bytes] = {}
        for name in names:
            if chance.random() < 0.8:
                files |= container(name, more=f"Environment=STEP={chance.randrange(3)}")
        story.push(files or container("a"))
        await asyncio.sleep(chance.choice((0.0, 0.1, 1.0, 30.0)))
        for name, manager in list(story.world.model.managers.items()):
            match chance.randrange(6):
                case 0 if f"{name}.service" in manager.units:
                    manager.stop(f"{name}.service")
                case 1:
                    story.world.model.restart_bus(name)
                case 2:
                    manager.reload()
                case 3:
                    for path, _ in list(story.world.tree.below("/etc/containers/systemd/users")):
                        if chance.random() < 0.3:
                            story.world.tree.remove(path)
                case _:
                    pass
        match chance.randrange(8):
            case 0:
                await story.kill()
                await story.start()
            case 1:
                story.world.faults.crash_at = story.host.life.steps + chance.randrange(1, 30)
                story.push(container("a", more=f"Environment=CRASH={step}"))
                await asyncio.sleep(60)
            case 2:
                await story.kill()
                story.world.model.reboot()
                await story.start()
            case _:
                pass
        await asyncio.sleep(chance.choice((0.0, 5.0, 120.0)))
        await revive(story)
        assert not story.dead, f"seed {seed}: the daemon ended in step {step}"


async def last_word(story: Story) -> None:
    """The last push and drift come amid faults and runs; then nobody says anything more."""
    chance = story.world.faults.random
    story.push({**container("a"), **container("b", more="Environment=LAST=1")})
    for _ in range(chance.randrange(4)):
        await asyncio.sleep(chance.choice((0.0, 0.02, 0.1, 0.3, 1.0)))
        for name, manager in list(story.world.model.managers.items()):
            if chance.random() < 0.5 and f"{name}.service" in manager.units:
                manager.stop(f"{name}.service")
        for path, _ in list(story.world.tree.below("/etc/containers/systemd/users")):
            if chance.random() < 0.2:
                story.world.tree.remove(path)
    story.world.faults.calm()
    await revive(story)


async def revive(story: Story) -> None:
    """Start the daemon again if a crash that was asked for has come."""
    if story.host.life.dead:
        await story.until_dead()
        await story.start()


async def converges(seed: int) -> None:
    """One whole story of a seed."""
    story = Story(stormy(seed))
    await story.start()
    await upheaval(story, seed)
    await last_word(story)
    await story.quiet()
    await story.assert_converged()


@pytest.mark.parametrize("seed", SEEDS)
def test_it_converges_once_faults_stop(seed: int) -> None:
    """Whatever failed, was lost, repeated or slow: after it the host is as wanted and the plan is empty."""
    run(converges(seed), seed=seed, limit=20 * QUIET)


def steps_of_a_first_run() -> int:
    """How many step boundaries an undisturbed first run has."""

    async def main() -> int:
        story = Story()
        story.world.remote.push(container("web"))
        await story.start()
        await story.quiet(100)
        return story.host.life.steps

    return run(main())


def test_a_crash_at_any_step_is_recovered() -> None:
    """Kill -9 at each step boundary of a first deployment: the end is that of an undisturbed run."""
    total = steps_of_a_first_run()
    assert total > 20

    async def main(step: int) -> None:
        story = Story(Faults(crash_at=step))
        story.world.remote.push(container("web"))
        await story.start()
        await story.until_dead()
        assert story.host.life.dead
        await story.start()
        await story.quiet(300)
        await story.assert_converged()

    for step in range(1, total + 1):
        run(main(step))


def test_a_crash_at_any_step_of_a_change_is_recovered() -> None:
    """The same for a change and a removal."""
    before = {**container("web"), **container("old")}
    after = container("web", more="Environment=A=2")

    async def main(crash_at: int | None) -> int:
        story = Story()
        story.world.remote.push(before)
        await story.start()
        await story.quiet(100)
        done = story.host.life.steps
        story.world.faults.crash_at = None if crash_at is None else done + crash_at
        story.push(after)
        if crash_at is None:
            await story.quiet(100)
            return story.host.life.steps - done
        await story.until_dead()
        await story.start()
        await story.quiet(300)
        await story.assert_converged()
        assert "old" not in story.world.model.managers
        assert story.world.model.accounts.get("old") is not None
        return 0

    for step in range(1, run(main(None)) + 1):
        run(main(step))


@pytest.mark.parametrize("seed", range(20))
def test_there_is_never_more_than_one_run(seed: int) -> None:
    """However triggers come, a run begins only when the one before it has ended."""

    async def main() -> None:
        story = Story(stormy(seed))
        await story.start()
        await upheaval(story, seed)
        story.world.faults.calm()
        await story.quiet()
        assert story.world.disk.most_open == 1
        assert not story.world.disk.open_runs

    run(main(), seed=seed, limit=20 * QUIET)


@pytest.mark.parametrize("seed", range(10))
def test_a_slow_user_manager_is_waited_for(seed: int) -> None:
    """A manager that takes 40 s is no failure, and nothing polls it."""

    async def main() -> None:
        story = Story(stormy(seed))
        story.world.faults.calm()
        story.world.faults.slow_managers = 1.0
        await story.begin(container("web"))
        await story.assert_converged()
        assert {str(report.result) for report in story.world.disk.reports} == {"ok"}

    run(main(), seed=seed)


def test_flaky_starts_are_retried_and_forgotten() -> None:
    """A unit whose first two starts fail is up in the end, without anybody asking."""

    async def main() -> None:
        story = await deployed(container("web", "flaky"), QUIET)
        assert story.unit("web").active is ActiveState.ACTIVE
        await story.assert_converged()

    run(main())


def test_a_failure_is_retried_and_stays_a_failure_until_it_is_cured() -> None:
    """Each retry is a failed run with the same reason; nothing in between says that all is well."""

    async def main() -> None:
        story = await deployed(container("web", "missing"), 10)
        reason = story.status("web").reason
        runs = story.engine.runs.counters.runs_failed
        assert story.status("web").state is WorkloadState.FAILED
        await story.quiet(600)
        again = story.engine.runs.counters
        assert again.runs_failed > runs, "it was tried again"
        assert again.runs_failed == again.runs
        assert (story.status("web").state, story.status("web").reason) == (WorkloadState.FAILED, reason)
        story.push(container("web"))
        await story.quiet()
        assert story.status("web").state is WorkloadState.CONVERGED

    run(main())


@pytest.mark.parametrize("seed", range(10))
def test_a_run_replays_exactly(seed: int) -> None:
    """The same seed gives the same calls in the same order, and the same events."""

    async def main() -> tuple[list[str], list[str]]:
        story = Story(stormy(seed))
        await story.start()
        await upheaval(story, seed)
        return story.host.life.calls, [f"{e.monotonic} {e.kind} {e.subject}" for e in story.events]

    assert run(main(), seed=seed) == run(main(), seed=seed)


def test_a_lost_signal_costs_a_reread() -> None:
    """The signal of a stopped unit is dropped: the gap makes its source read again, and it is repaired."""

    async def main() -> None:
        story = await deployed(container("web"), 60)
        story.world.faults.drops = 1.0
        story.manager("web").stop("web.service")
        await asyncio.sleep(0.5)
        story.world.faults.drops = 0.0
        await asyncio.sleep(5)
        await story.assert_as_wanted()

    run(main())


def test_an_inotify_overflow_costs_a_reread() -> None:
    """The same for a file that was removed while the kernel's queue was full."""

    async def main() -> None:
        story = await deployed(container("web"), 60)
        story.world.faults.drops = 1.0
        for path, _ in list(story.world.tree.below("/etc/containers/systemd/users")):
            story.world.tree.remove(path)
        await asyncio.sleep(0.5)
        story.world.faults.drops = 0.0
        await asyncio.sleep(5)
        await story.assert_as_wanted()

    run(main())


@pytest.mark.parametrize(
    "call",
    [
        "useradd web",
        "SetUserLinger web",
        "StartUnit /user@",
        "put ",
        "Reload web",
    ],
)
def test_an_effect_whose_answer_is_lost_is_found(call: str) -> None:
    """A call that took effect and came back as an error does not stand in its own way."""

    async def main() -> None:
        story = Story()
        await story.start()
        story.push(container("web"))
        if call.startswith(("put", "Reload")):
            await story.quiet(60)
        story.world.faults.lost_replies.append(call)
        story.push(container("web", more="Environment=A=1"))
        await story.quiet()
        assert not story.world.faults.lost_replies
        await story.assert_converged()

    run(main())


def test_events_that_mean_nothing_cause_nothing() -> None:
    """Signals without a change of a fact: no run is recorded, no call is made."""

    async def main() -> None:
        story = await deployed(container("web"), 60)
        runs, calls = len(story.world.disk.runs), len(story.host.life.calls)
        story.world.faults.duplicates = 1.0
        for _ in range(20):
            story.manager("web").reload()
            await asyncio.sleep(1)
        assert len(story.world.disk.runs) == runs
        assert len(story.host.life.calls) == calls

    run(main())


def test_a_new_boot_needs_no_timer() -> None:
    """Between two events there is no timer of the daemon's own: when nothing happens, nothing wakes up."""

    async def main() -> None:
        story = await deployed(container("web"), 60)
        before = len(story.events)
        await story.quiet(86_000)
        assert len(story.events) == before

    run(main(), limit=100_000)
