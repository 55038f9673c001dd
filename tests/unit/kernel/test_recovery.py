"""Scope: what a crash left open is settled before the first run, and nobody else's account becomes eventd's by it."""

from __future__ import annotations

import pytest

from eventd.kernel.model.report import WorkloadState
from eventd_simulators.virtual_time import virtual
from tests.simulated.daemon import Story, container


async def crashed_before_useradd(*, after: bool = False) -> Story:
    """The intent of creating `web` is journalled, and the daemon is dead before (or just after) it did it."""
    story = Story()
    story.world.remote.push(container("web"))
    for crash_at in range(1, 60):
        story = Story()
        story.world.remote.push(container("web"))
        story.world.faults.crash_at = crash_at
        await story.start()
        await story.until_dead()
        steps = list(story.world.disk.steps.values())
        made = story.world.model.accounts.get("web") is not None
        if steps and steps[0].verb == "create-account" and made is after:
            recorded = "web" in story.world.disk.records.workloads
            if not recorded:
                return story
    pytest.fail("there is no such boundary")


@virtual()
async def test_an_account_that_we_made_is_ours() -> None:
    """Died after useradd, before it was written down: the next life takes it up, and converges."""
    story = await crashed_before_useradd(after=True)
    await story.start()
    await story.quiet(100)
    assert story.world.disk.records.workloads["web"].uid == story.world.model.accounts.get("web").uid  # type: ignore[union-attr]
    await story.assert_converged()


@virtual()
async def test_a_person_who_took_the_name_meanwhile_is_left_alone() -> None:
    """The daemon was down for a week after the crash, and somebody made an account of that name to log in with."""
    story = await crashed_before_useradd()
    story.world.model.accounts.add("web", shell="/bin/bash")
    await story.start()
    await story.quiet(100)
    assert story.status("web").state is WorkloadState.FAILED
    assert story.status("web").reason == "account-exists"
    assert "web" not in story.world.disk.records.workloads
    assert not story.world.model.logind.is_lingering("web")
    assert not list(story.world.tree.below("/etc/containers/systemd/users"))


@virtual()
async def test_an_intent_that_was_not_carried_out_is_closed() -> None:
    """Nothing to settle: the next plan makes the account, and no step stays open."""
    story = await crashed_before_useradd()
    await story.start()
    await story.quiet(100)
    assert story.world.disk.steps == {}
    await story.assert_converged()
