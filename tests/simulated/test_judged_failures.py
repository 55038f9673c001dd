"""Scope: failures that no timer tries again: the changed fact that cures one ends it, without a forced run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from eventd.audit.model import Code
from eventd.audit.model_facts import AuditFact, Foreign
from eventd.kernel.model.events import KernelEvent
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.report import WorkloadState
from eventd.platform.model_events import PlatformOrigin
from eventd.platform.model_facts import Account
from eventd.workloads.model_final import FINAL
from eventd_simulators.model.accounts import AccountTable
from eventd_simulators.virtual_time import virtual
from tests.simulated.daemon import Story, container, deployed

LOOPING = container("web", more="[Service]\nRestart=always")
HOME = "/home/web/.config"
SHADOW = f"{HOME}/containers/systemd/web.container"
MASK = f"{HOME}/systemd/user/web.service"


def foreign(story: Story, found: Foreign) -> None:
    """Say what stands on the disk that is not eventd's, as its source would."""
    key = FactKey(AuditFact.FOREIGN, "web")
    story.dispatcher.emit(PlatformOrigin.INOTIFY, KernelEvent.READ, "web", scope="web", facts=[(key, found)])


def table(story: Story) -> AccountTable:
    """Return the accounts of the host."""
    accounts = story.world.model.accounts
    assert isinstance(accounts, AccountTable)
    return accounts


def give_up(story: Story) -> None:
    """Let the unit end again and again."""
    story.world.model.behaviours.set("web", "web.service", runs_for=0.05, status=1)


def reset_failed(story: Story) -> None:
    """Mend it, and `systemctl --user reset-failed` by hand."""
    story.world.model.behaviours.set("web", "web.service", runs_for=None)
    story.manager("web").reset_failed("web.service")


Step = Callable[[Story], object]
CURES: dict[str, tuple[Step, Step]] = {
    "account-exists": (
        lambda story: table(story).add("web", shell="/bin/bash"),
        lambda story: table(story).remove("web"),
    ),
    "protected": (
        lambda story: table(story).put(Account("web", 500, 500, "/home/web")),
        lambda story: table(story).remove("web"),
    ),
    "start-limit-hit": (give_up, reset_failed),
    Code.SHADOWED: (
        lambda story: foreign(story, Foreign((SHADOW,))),
        lambda story: foreign(story, Foreign()),
    ),
    Code.STRAY_DROP_IN: (
        lambda story: foreign(story, Foreign((f"{MASK}.d/x.conf",))),
        lambda story: foreign(story, Foreign()),
    ),
    Code.MASKED: (
        lambda story: foreign(story, Foreign((MASK,), frozenset({MASK}))),
        lambda story: foreign(story, Foreign()),
    ),
    Code.TRANSIENT: (
        lambda story: foreign(story, Foreign(("/run/user/1001/systemd/transient/web.service",))),
        lambda story: foreign(story, Foreign()),
    ),
    Code.UNAUDITED: (
        lambda story: foreign(story, Foreign(problem="they change all the time")),
        lambda story: foreign(story, Foreign()),
    ),
}
"""By reason: what brings it about, and the change that cures it."""


@pytest.mark.parametrize("reason", sorted(FINAL))
@virtual()
async def test_the_change_that_cures_it_is_enough(reason: str) -> None:
    """No timer tries it again while it lasts; when it ends, the workload converges without a forced run."""
    cause, cure = CURES[reason]
    story = Story()
    await story.start()
    cause(story)
    story.push(LOOPING)
    await story.quiet()
    assert (story.status("web").state, story.status("web").reason) == (WorkloadState.FAILED, reason)
    assert story.status("web").retry_at is None
    runs = story.engine.runs.counters.runs
    await story.quiet()
    assert story.engine.runs.counters.runs == runs, "nothing has changed"
    cure(story)
    await story.quiet()
    assert story.status("web").state is WorkloadState.CONVERGED, story.status("web")
    await story.assert_converged()


@virtual()
async def test_another_change_of_the_account_does_not_cure_it() -> None:
    """The foreign account gets another shell: it is still in the way, still said, and nothing is done for it."""
    story = Story()
    await story.start()
    before = table(story).add("web", shell="/bin/bash")
    story.push(container("web"))
    await story.quiet()
    table(story).put(replace(before, shell="/bin/zsh"))
    await story.quiet()
    assert story.status("web").reason == "account-exists"
    assert "web" not in story.world.model.managers


@virtual()
async def test_a_file_in_the_way_that_is_moved_away_is_replaced_at_once() -> None:
    """The message says "move it away; eventd then installs the one …": then, and not after the longest pause."""
    story = Story()
    await story.start()
    path = "/etc/containers/systemd/users/1001/web.container"
    story.world.tree.put(path, b"somebody's")
    story.push(container("web"))
    await story.quiet()
    assert story.status("web").reason == "file-exists"
    story.world.tree.remove(path)
    await story.quiet(20)
    assert story.status("web").state is WorkloadState.CONVERGED, story.status("web")


@virtual()
async def test_a_rename_goes_on_when_the_account_is_free() -> None:
    """A person was let in to the account: it is renamed as soon as they are shut out again."""
    story = await deployed(container("old"), 300)
    story.change_account("old", shell="/bin/bash")
    files = {path.replace("/old/", "/new/"): text for path, text in container("old").items()}
    story.push({**files, "workloads/new/workload.toml": 'renamed_from = "old"\n'})
    await story.quiet()
    assert story.engine.statuses["rename:new"].reason == "protected"
    story.change_account("old", shell="/usr/sbin/nologin")
    await story.quiet(20)
    assert story.status("new").state is WorkloadState.CONVERGED, story.status("new")
    assert table(story).get("old") is None
