"""Scope: an account that is deleted while its workload runs: what runs on under its uid is named, and left alone."""

from __future__ import annotations

from collections.abc import Sequence

from eventd.accounts.source_deserted import DesertedManagers
from eventd.kernel.domain import Context, Source
from eventd.kernel.model.report import RunResult, WorkloadState
from eventd.platform.model_facts import ActiveState
from eventd.status.documents import overall
from eventd_simulators.virtual_time import run
from tests.simulated.daemon import Story, container


class SystemStory(Story):
    """A daemon with the source of deserted managers."""

    def sources(self, context: Context) -> Sequence[Source]:
        """See Story."""
        managers = DesertedManagers(context.emit, context.facts, self.host.ports.accounts)
        return (Source("former-accounts", managers.run, reread=managers.reread),)


def said(story: Story) -> list[tuple[str, str, str]]:
    """Return the troubles of the host: name, reason and hint."""
    return [(name, error.reason, error.hint) for name, error in story.engine.queries.problems.all()]


def test_a_manager_without_an_account_is_named_until_it_has_ended() -> None:
    """The new account converges; the old manager is told with what ends it, and no call of eventd's stops it."""

    async def main() -> None:
        story = SystemStory()
        await story.begin(container("web"), 60)
        await story.assert_converged()
        model = story.world.model
        old = model.accounts.get("web")
        assert old is not None
        unit = f"user@{old.uid}.service"
        model.accounts.add("somebody")  # who has the next uid: the model gives the one after the highest
        model.accounts.remove("web")
        await story.quiet(60)
        new = model.accounts.get("web")
        assert new is not None
        assert new.uid != old.uid
        assert story.status("web").state is WorkloadState.CONVERGED
        ((name, reason, hint),) = said(story)
        assert (name, reason) == ("former account web", "account-deserted")
        assert f"systemctl stop {unit}" in hint
        assert overall(story.engine.queries) == "degraded"
        report = await story.sync()
        assert report is not None
        assert report.result is RunResult.OK, "no run fails by it"
        assert model.system.units[unit].active is ActiveState.ACTIVE, "nobody has killed it"
        model.system.stop(unit)
        await story.quiet(60)
        assert said(story) == []
        assert story.status("web").state is WorkloadState.CONVERGED


def test_a_uid_that_somebody_else_has_by_now_is_theirs() -> None:
    """Useradd gives a uid again: whoever has it, and runs a manager, is no leftover of a workload."""

    async def main() -> None:
        story = SystemStory()
        await story.begin(container("web"), 60)
        old = story.world.model.accounts.get("web")
        assert old is not None
        story.world.model.accounts.remove("web")
        assert story.world.model.accounts.add("somebody").uid == old.uid
        await story.quiet(60)
        assert said(story) == []

    run(main())
