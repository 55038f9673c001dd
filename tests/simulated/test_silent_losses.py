"""Scope: signals that are lost without anybody being told: no gap, no error. What finds each, and until when it is not.

The table of it is in docs/explanation/lost-signals.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.report import RunResult, WorkloadState
from eventd.platform.model_facts import ActiveState, PlatformFact
from eventd_simulators.faults import Lossy, stormy
from eventd_simulators.virtual_time import run
from tests.simulated.daemon import QUIET, Story, container
from tests.simulated.test_faults import revive, upheaval
from tests.simulated.test_storage import UUID, DiskStory


def stop_the_unit(story: Story) -> None:
    """Somebody stops it by hand."""
    story.manager("web").stop("web.service")


def remove_the_file(story: Story) -> None:
    """Somebody removes what eventd installed."""
    paths = [path for path, _ in story.world.tree.below("/etc/containers/systemd/users")]
    assert paths
    for path in paths:
        story.world.tree.remove(path)


def end_lingering(story: Story) -> None:
    """`loginctl disable-linger web`."""
    account = story.world.model.accounts.get("web")
    assert account is not None
    story.world.model.logind.set_linger(account, enable=False)


def delete_the_account(story: Story) -> None:
    """`userdel web`, while its processes run on."""
    story.world.model.accounts.remove("web")


@dataclass(frozen=True)
class Case:
    """A loss that only a read finds."""

    signal: Lossy
    happens: Callable[[Story], None]
    is_right: Callable[[Story], bool]


CASES = {
    "unit": Case(Lossy.UNIT, stop_the_unit, lambda s: s.unit("web").active is ActiveState.ACTIVE),
    "file": Case(
        Lossy.FILE, remove_the_file, lambda s: bool([*s.world.tree.below("/etc/containers/systemd/users")])
    ),
    "linger": Case(Lossy.LINGER, end_lingering, lambda s: s.world.model.logind.is_lingering("web")),
    "account": Case(
        Lossy.ACCOUNT, delete_the_account, lambda s: s.world.model.accounts.get("web") is not None
    ),
}


async def deployed(story: Story) -> None:
    """Start a daemon with one workload, converged."""
    await story.begin(container("web"), 60)
    await story.assert_converged()


@pytest.mark.parametrize("fetch", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_a_sync_finds_what_no_signal_told(name: str, *, fetch: bool) -> None:
    """A fact is wrong until something is read: nothing polls, and `eventctl sync` reads before it plans."""
    case = CASES[name]

    async def main() -> None:
        story = Story()
        await deployed(story)
        assert case.is_right(story)
        story.world.faults.silent = {case.signal}
        case.happens(story)
        await story.quiet()
        assert not case.is_right(story), "something found it: the table says that nothing does"
        assert story.status("web").state is WorkloadState.CONVERGED, "it is believed to be as it was"
        story.world.faults.calm()
        report = await (story.sync() if fetch else story.repair())
        assert report is not None
        await story.quiet()
        assert case.is_right(story)
        await story.assert_converged()

    run(main())


@pytest.mark.parametrize("finds", ["a change of the workload", "its bus", "a restart of the daemon"])
def test_a_lost_change_of_a_unit_is_found_by_the_next_read(finds: str) -> None:
    """Whatever has its units read: a push that concerns it, a connection that is made anew, a new life."""

    async def main() -> None:
        story = Story()
        await deployed(story)
        story.world.faults.silent = {Lossy.UNIT}
        stop_the_unit(story)
        await story.quiet()
        assert story.unit("web").active is not ActiveState.ACTIVE
        story.world.faults.calm()
        match finds:
            case "a change of the workload":
                story.push(container("web", more="Environment=A=1"))
            case "its bus":
                story.world.model.restart_bus("web")
            case _:
                await story.kill()
                await story.start()
        await story.quiet()
        await story.assert_converged()

    run(main())


@pytest.mark.parametrize("more", ["", "Environment=A=1"])
def test_the_lost_end_of_a_job_is_read_at_its_deadline(more: str) -> None:
    """The unit is up and nothing is queued: no failure is reported, and the revision is not taken back."""

    async def main() -> None:
        story = Story()
        await deployed(story)
        if not more:
            story.world.faults.silent = {Lossy.UNIT}
            stop_the_unit(story)
            await story.quiet(10)
        story.world.faults.silent = {Lossy.JOB}
        runs = len(story.world.disk.reports)
        if more:
            story.push(container("web", more=more))
        else:
            await story.sync()
        await story.quiet()
        reports = story.world.disk.reports[runs:]
        assert reports
        assert {report.result for report in reports} == {RunResult.OK}
        story.world.faults.calm()
        await story.assert_converged()

    run(main())


def test_the_lost_ends_of_all_jobs_of_a_first_deployment_only_delay_it() -> None:
    """The manager's start has its deadline too; the next attempt sees that it is up."""

    async def main() -> None:
        story = Story()
        await story.start()
        story.world.faults.silent = {Lossy.JOB}
        story.push(container("web"))
        await story.quiet()
        story.world.faults.calm()
        await story.assert_converged()

    run(main())


def test_a_lost_login_is_found_by_a_sync_or_the_next_one() -> None:
    """SESSIONS is what keeps a person's manager from being stopped."""

    async def main() -> None:
        story = Story()
        await deployed(story)
        sessions, account = FactKey(PlatformFact.SESSIONS, "web"), story.world.model.accounts.get("web")
        assert account is not None
        story.world.faults.silent = {Lossy.SESSION, Lossy.USER}
        first = story.world.model.logind.login(account)
        await story.quiet()
        assert not story.dispatcher.facts.get(sessions)
        await story.sync()
        assert story.dispatcher.facts.get(sessions) == {first.id}
        story.world.model.logind.logout(first.id)
        await story.quiet()
        assert story.dispatcher.facts.get(sessions) == {first.id}
        story.world.faults.calm()
        second = story.world.model.logind.login(account)
        await story.quiet()
        assert story.dispatcher.facts.get(sessions) == {second.id}

    run(main())


def test_a_shutdown_that_was_called_off_unheard_ends_with_a_sync() -> None:
    """Until then no run begins, as the host is believed to go down."""

    async def main() -> None:
        story = Story()
        await deployed(story)
        story.world.model.logind.prepare_for_shutdown(active=True)
        await story.quiet(10)
        story.world.faults.silent = {Lossy.SHUTDOWN}
        story.world.model.logind.prepare_for_shutdown(active=False)
        await story.quiet(10)
        story.world.faults.calm()
        stop_the_unit(story)
        await story.quiet()
        assert story.unit("web").active is not ActiveState.ACTIVE
        await story.sync()
        await story.quiet()
        await story.assert_converged()

    run(main())


@pytest.mark.parametrize("lost", [Lossy.DEVICE, Lossy.MOUNT])
def test_a_lost_change_of_a_disk_is_found_by_a_sync(lost: Lossy) -> None:
    """A disk that came unheard is attached; a mount that went unheard is made again."""

    async def main() -> None:
        story = DiskStory()
        await story.start()
        story.deploy()
        if lost is Lossy.MOUNT:
            story.drives.plug("sdb1", UUID)
        await story.quiet(60)
        story.world.faults.silent = {lost}
        if lost is Lossy.MOUNT:
            story.assert_settled()
            story.drives.unmount("/srv/media")
        else:
            story.drives.plug("sdb1", UUID)
        await story.quiet()
        assert story.drives.on("/srv/media") is None, "something found it: the table says that nothing does"
        story.world.faults.calm()
        await story.sync()
        await story.quiet()
        story.assert_settled()
        assert story.drives.on("/srv/media") == UUID
        assert story.active

    run(main())


@pytest.mark.parametrize("seed", range(12))
def test_after_a_storm_of_silent_losses_a_sync_converges(seed: int) -> None:
    """Kinds of signals are lost in turn, amid pushes, crashes and reboots; last comes drift that nobody hears of."""

    async def main() -> None:
        story = Story(stormy(seed))
        await story.start()
        faults, over = story.world.faults, asyncio.Event()

        async def lose() -> None:
            while not over.is_set():
                faults.silent = {kind for kind in Lossy if faults.random.random() < 0.3}
                await asyncio.sleep(faults.random.choice((0.1, 3.0, 60.0)))

        async with asyncio.TaskGroup() as group:
            group.create_task(lose())
            await upheaval(story, seed)
            over.set()
        faults.calm()
        await revive(story)
        await story.quiet()
        faults.silent = set(Lossy)
        for name, manager in story.world.model.managers.items():
            if f"{name}.service" in manager.units:
                manager.stop(f"{name}.service")
        for path, _ in list(story.world.tree.below("/etc/containers/systemd/users")):
            if faults.random.random() < 0.5:
                story.world.tree.remove(path)
        await story.quiet(60)
        faults.calm()
        await story.sync()
        await story.quiet()
        await story.assert_converged()

    run(main(), seed=seed, limit=30 * QUIET)
