"""Scope: a lost, damaged or set back database: what marks and the host show is managed on, the rest is left alone."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from eventd.kernel.model.report import WorkloadState
from eventd.workloads.model_records import Records, StateLoss
from eventd_simulators.inprocess.store import Disk
from eventd_simulators.virtual_time import run, virtual
from tests.simulated.crashes import Files, state, two
from tests.simulated.daemon import Story, container

WANTED: Files = {**two("1", "1"), **container("other")}
SAME = ("accounts", "linger", "managers", "files", "units", "workloads", "unit records", "file records")


async def deployed(files: Files = WANTED) -> Story:
    story = Story()
    story.world.remote.push(files)
    await story.start()
    await story.quiet(100)
    await story.kill()
    return story


def lose(story: Story, *, markers: bool = True) -> Disk:
    """Begin another database; the marks stay, since they are no part of it."""
    before = story.world.disk
    story.world.disk = Disk(markers=dict(before.markers) if markers else {})
    return before


def changes(story: Story) -> list[str]:
    """What this life did to the host."""
    return [call for call in story.host.life.calls if call not in ("store", "fetch")]


def losses(story: Story) -> list[StateLoss]:
    return list(story.engine.rebuild.losses.rows.values())


@virtual()
async def test_records_are_made_anew_and_nothing_is_touched() -> None:
    """Accounts, files and units are eventd's as before; no unit is restarted, no file written."""
    story = await deployed()
    before = state(story)
    lose(story)
    await story.start()
    await story.quiet(100)
    assert changes(story) == []
    after = state(story)
    assert {key: after[key] for key in SAME} == {key: before[key] for key in SAME}
    (loss,) = losses(story)
    assert (loss.restored, loss.unproven, loss.acknowledged) == (("other", "web"), (), False)
    await story.assert_converged()


@virtual()
async def test_a_removal_after_the_loss_takes_the_files_and_leaves_the_account() -> None:
    """What was recorded anew is cleaned up as if it had never been lost."""
    story = await deployed()
    lose(story)
    await story.start()
    await story.quiet(100)
    story.push(container("other"))
    await story.quiet(100)
    assert not [path for path, _ in story.world.tree.below("/etc") if "/web" in path]
    assert story.world.model.accounts.get("web") is not None
    assert story.status("web").state is WorkloadState.REMOVED


@virtual()
async def test_a_workload_that_left_while_the_daemon_was_down_is_cleaned_up_too() -> None:
    """Its files are those of the revision that its mark says was verified."""
    story = await deployed()
    lose(story)
    story.world.remote.push(container("other"))
    await story.start()
    await story.quiet(100)
    assert not [path for path, _ in story.world.tree.below("/etc") if "/web" in path]
    assert story.world.model.accounts.get("web") is not None
    assert "web" not in story.world.model.managers


@virtual()
async def test_a_change_while_the_daemon_was_down_is_applied_once() -> None:
    """The files of the verified revision may be replaced; only the changed unit is restarted."""
    story = await deployed()
    lose(story)
    story.world.remote.push({**two("2", "1"), **container("other")})
    await story.start()
    await story.quiet(100)
    assert [call for call in changes(story) if call.startswith(("StartUnit", "RestartUnit"))] != []
    assert not [call for call in changes(story) if "other" in call]
    await story.assert_converged()


@virtual()
async def test_without_marks_nothing_is_eventds() -> None:
    """The folder of marks is gone as well: every workload is held back, and nothing of it is touched."""
    story = await deployed()
    before = state(story)
    lose(story, markers=False)
    await story.start()
    await story.quiet(100)
    assert changes(story) == []
    assert story.status("web").reason == "account-exists"
    after = state(story)
    assert {key: after[key] for key in ("accounts", "linger", "files", "units")} == {
        key: before[key] for key in ("accounts", "linger", "files", "units")
    }


@pytest.mark.parametrize("how", ["another uid", "a person's"])
@virtual()
async def test_an_account_that_is_not_the_marked_one_is_left_alone(how: str) -> None:
    """It was replaced since; whoever is shown to be eventd's no more is named."""
    story = await deployed()
    lose(story)
    accounts = story.world.model.accounts
    web = accounts.get("web")
    assert web is not None
    changed = replace(web, uid=4711) if how == "another uid" else replace(web, shell="/bin/bash")
    accounts.put(changed)  # type: ignore[attr-defined]
    await story.start()
    await story.quiet(100)
    (loss,) = losses(story)
    assert (loss.restored, loss.unproven) == (("other",), ("web",))
    assert "web" not in story.world.disk.records.workloads
    assert not [call for call in changes(story) if "web" in call]


@virtual()
async def test_a_database_that_was_set_back_catches_up() -> None:
    """A lost -wal: the rows are those of before the last deployments. The marks are ahead, and win."""
    story = await deployed(container("other"))
    old = copy.deepcopy(story.world.disk)
    await story.begin(WANTED)
    before = state(story)
    await story.kill()
    old.markers = story.world.disk.markers
    story.world.disk = old
    await story.start()
    await story.quiet(100)
    assert changes(story) == []
    after = state(story)
    assert {key: after[key] for key in SAME} == {key: before[key] for key in SAME}
    (loss,) = losses(story)
    assert loss.restored == ("web",)


@virtual()
async def test_a_crash_while_records_are_made_anew_is_no_second_loss() -> None:
    """Killed at any boundary of the rebuild, the next start goes on, and says it once."""
    for boundary in range(1, 40):
        story = await deployed()
        before = state(story)
        lose(story)
        story.world.faults.crash_at = boundary
        await story.start()
        await story.quiet(50)
        if story.host.life.dead:
            await story.until_dead()
            await story.start()
        story.world.faults.crash_at = None
        await story.quiet(100)
        after = state(story)
        assert {key: after[key] for key in SAME} == {key: before[key] for key in SAME}, boundary
        assert len(losses(story)) == 1, boundary
        assert set(losses(story)[0].restored) <= {"other", "web"}


@virtual()
async def test_an_acknowledged_loss_is_not_told_again() -> None:
    """Nor is it made into a new one by the next start."""
    story = await deployed()
    lose(story)
    await story.start()
    await story.quiet(100)
    assert await story.engine.rebuild.acknowledge() == 1
    await story.kill()
    await story.start()
    await story.quiet(100)
    assert story.engine.rebuild.unacknowledged == ()
    assert len(losses(story)) == 1


@virtual()
async def test_marks_are_made_for_records_that_have_none() -> None:
    """From a version without marks, or deleted by hand."""
    story = await deployed()
    story.world.disk.markers.clear()
    await story.start()
    await story.quiet(100)
    assert story.world.disk.markers == story.world.disk.records.workloads
    assert losses(story) == []


@virtual()
async def test_a_unit_that_runs_without_a_record_is_recorded_though_nothing_else_is_due() -> None:
    """Killed between the last step and the record of a unit that its manager had started by itself."""
    story = await deployed()
    records = story.world.disk.records
    whole = copy.deepcopy(records.units)
    del records.units["web"]["web.service"]
    records.units["other"]["gone.service"] = records.units["other"]["other.service"]
    await story.start()
    await story.quiet(100)
    assert changes(story) == []
    assert {name: set(units) for name, units in story.world.disk.records.units.items()} == {
        name: set(units) for name, units in whole.items()
    }
    await story.assert_converged()


@pytest.mark.parametrize("seed", range(8))
def test_a_database_whose_writes_fail_now_and_then_agrees_with_the_host(seed: int) -> None:
    """A full disk, an fsync that fails: once that is over, the host is as wanted and the records are true."""

    async def main() -> None:
        story = Story()
        story.world.faults.store_failures = 0.15
        story.world.faults.random.seed(seed)
        await story.start()
        for step in range(4):
            story.push({**two(str(step), "1"), **(container("other") if step % 2 else {})})
            await story.quiet(20)
        story.world.faults.calm()
        await story.quiet()
        await story.assert_converged()
        assert not story.world.disk.steps
        rows = story.world.disk.records
        assert rows.files["web"].keys() == {
            path for path, _ in story.world.tree.below("/etc") if f"/{rows.workloads['web'].uid}/" in path
        }

    run(main(), seed=seed, limit=40_000)


def test_the_lost_state_is_empty() -> None:
    """What these tests begin from."""
    assert Disk().records == Records()
