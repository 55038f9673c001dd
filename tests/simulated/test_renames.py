"""Renames: a workload under a new name is never silently given an empty home beside the one with its data."""

from __future__ import annotations

from eventd.kernel.model.report import WorkloadState
from eventd.kernel.progress import Progress
from eventd_simulators.faults import Faults
from eventd_simulators.virtual_time import run, virtual
from tests.simulated.daemon import CONTAINER, QUIET, Story

QUADLET = CONTAINER.format(image="localhost/web:1", name="web", more="")


def at(name: str, options: str = "", quadlet: str = QUADLET) -> dict[str, str | bytes]:
    """Return the same workload as `workloads/NAME`."""
    files: dict[str, str | bytes] = {f"workloads/{name}/web.container": quadlet}
    return {**files, f"workloads/{name}/workload.toml": options} if options else files


async def deployed(options: str = "", faults: Faults | None = None) -> Story:
    """Return a story in which the workload old runs and has written to its home."""
    told = Story(faults)
    await told.begin(at("old", options), 300)
    assert told.status("old").state is WorkloadState.CONVERGED
    told.world.homes["old"] = 1
    return told


def calls(told: Story) -> list[str]:
    """Return what was done to accounts, over all lives."""
    return [
        c for life in told.lives for c in life.life.calls if c.startswith(("useradd", "usermod", "userdel"))
    ]


@virtual()
async def test_the_same_content_under_another_name_is_held_until_somebody_says_what_it_is() -> None:
    """`git mv workloads/old workloads/new` alone starts nothing, and says what to write; it stays held for as long."""
    told = await deployed()
    told.push(at("new"))
    await told.quiet(10_000)
    held = told.status("new")
    assert (held.state, held.reason) == (WorkloadState.HELD, "renamed")
    assert "old" in held.message
    assert 'renamed_from = "old"' in held.hint
    assert told.status("old").state is WorkloadState.REMOVED
    assert calls(told) == ["useradd old"]
    await told.kill()
    await told.start()
    await told.quiet()
    assert told.status("new").reason == "renamed"
    assert calls(told) == ["useradd old"]


@virtual()
async def test_renamed_from_gives_the_account_to_the_new_name() -> None:
    """The same uid, home and subordinate ids; the old name is forgotten."""
    told = await deployed()
    before = told.world.model.accounts.get("old")
    assert before is not None
    told.push(at("new", 'renamed_from = "old"\n'))
    await told.quiet()
    assert told.status("new").state is WorkloadState.CONVERGED
    after = told.world.model.accounts.get("new")
    assert after is not None
    assert (after.uid, after.home, after.subuid) == (before.uid, before.home, before.subuid)
    assert told.world.model.accounts.get("old") is None
    assert calls(told) == ["useradd old", "usermod old new"]
    assert list(told.engine.inventory.records.workloads) == ["new"]
    assert told.engine.inventory.records.workloads["new"].run == 1
    assert not told.engine.inventory.removals.rows
    await told.assert_converged()
    told.push(at("new"))
    await told.quiet()
    await told.assert_converged()


@virtual()
async def test_an_edit_that_goes_with_the_rename_needs_to_be_told() -> None:
    """The content differs, so only `renamed_from` tells; without it, it is a new workload, and the old data is kept."""
    changed = QUADLET.replace(":1", ":2")
    told = await deployed()
    told.push(at("new", 'renamed_from = "old"\n', changed))
    await told.quiet()
    assert calls(told) == ["useradd old", "usermod old new"]
    assert told.status("new").state is WorkloadState.CONVERGED
    other = await deployed()
    other.push(at("new", quadlet=changed))
    await other.quiet()
    assert calls(other) == ["useradd old", "useradd new"]
    assert other.world.homes == {"old": 1}


@virtual()
async def test_an_empty_renamed_from_starts_anew_and_keeps_the_old_data() -> None:
    """As does any `renamed_from` on a host that never had the old workload."""
    told = await deployed()
    told.push(at("new"))
    await told.quiet()
    told.push(at("new", 'renamed_from = ""\n'))
    await told.quiet()
    assert told.status("new").state is WorkloadState.CONVERGED
    assert calls(told) == ["useradd old", "useradd new"]
    assert told.world.model.accounts.get("old") is not None
    fresh = Story()
    await fresh.begin(at("new", 'renamed_from = "old"\n'), QUIET)
    assert fresh.status("new").state is WorkloadState.CONVERGED


@virtual()
async def test_a_renamed_workload_is_not_deleted_under_its_old_name() -> None:
    """Its toml said that the data goes when it leaves; it did not leave."""
    delete = '[remove]\ndata = "delete"\n'
    told = await deployed(delete)
    told.push(at("new", delete))
    await told.quiet()
    assert not told.engine.approvals.requests.rows
    assert told.status("new").reason == "renamed"
    told.push(at("new", f'renamed_from = "old"\n{delete}'))
    await told.quiet()
    assert told.status("new").state is WorkloadState.CONVERGED
    assert not told.engine.approvals.requests.rows
    told.push({"README": ""})
    await told.quiet()
    (request,) = told.engine.approvals.requests.rows.values()
    assert request.resources == ("account new uid 1001 home /home/old made by run 1",)


@virtual()
async def test_two_that_claim_the_same_name_and_one_that_is_still_there_are_held_with_the_reason() -> None:
    """Nobody gets the account before it is clear who."""
    told = await deployed()
    told.push({**at("new", 'renamed_from = "old"\n'), **at("two", 'renamed_from = "old"\n')})
    await told.quiet()
    for name in ("new", "two"):
        assert "it had one account" in told.status(name).message
    told.push({**at("old"), **at("two", 'renamed_from = "old"\n')})
    await told.quiet()
    assert "still in the repository" in told.status("two").message
    assert told.status("old").state is WorkloadState.CONVERGED
    assert calls(told) == ["useradd old"]


def test_a_crash_at_any_point_of_a_rename_ends_in_one_account_under_the_new_name() -> None:
    """Kill -9 at every boundary of it, and at those of the first steps under the new name."""

    async def one(step: int) -> bool:
        told = await deployed()
        life = told.host.life

        def arm(progress: Progress) -> None:
            if progress.step.startswith("rename-account") and progress.state == "begin":
                life.faults.crash_at = life.steps + step

        told.engine.steps.subscribe("test", arm)
        told.push(at("new", 'renamed_from = "old"\n'))
        await told.quiet()
        crashed, life.faults.crash_at = told.dead, None
        if crashed:
            await told.start()
            await told.quiet()
        assert told.world.model.accounts.get("old") is None, step
        account = told.world.model.accounts.get("new")
        assert account is not None, step
        assert account.uid == 1001, step
        assert "useradd new" not in calls(told), step
        assert list(told.world.disk.records.workloads) == ["new"], step
        await told.assert_converged()
        return crashed

    assert all(run(one(step)) for step in range(1, 25)), "there are fewer boundaries"
