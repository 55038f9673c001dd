"""Scope: going back from a failed change, by itself and when asked; suspensions; and crashes in the midst of both."""

from __future__ import annotations

import asyncio

import pytest

from eventd.desired.model import FileRole
from eventd.kernel.model.errors import PermanentError, TemporaryError
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.report import Outcome, RunResult, WorkloadState
from eventd.kernel.queue import RunHandle
from eventd.mounts.model_events import MountEvent, MountOrigin
from eventd.mounts.model_facts import MountFact, MountState
from eventd.platform.model_facts import ActiveState
from eventd.status import documents
from eventd.status import documents_why as why_document
from eventd_simulators.faults import Faults
from eventd_simulators.virtual_time import run, virtual
from tests.simulated.daemon import Story, container, deployed

Files = dict[str, str | bytes]
MOUNT = FactKey(MountFact.MOUNT, "/srv/data")


def web(image: str = "web", *, options: str = "", more: str = "") -> Files:
    """A workload that goes back by itself."""
    toml = f'[health]\non_failure = "rollback"\ndeadline = "20s"\n{options}'
    return {**container("web", image, more), "workloads/web/workload.toml": toml}


def image_of(story: Story, name: str = "web") -> str:
    """The image line of the installed file."""
    account = story.world.model.accounts.get(name)
    assert account is not None
    path = f"{story.layout.folder(FileRole.QUADLET, account.uid)}/{name}.container"
    (content,) = [e.content for p, e in story.world.tree.below(path.rpartition("/")[0]) if p == path]
    return next(line for line in content.decode().splitlines() if line.startswith("Image="))


@virtual()
async def test_a_change_that_fails_is_taken_back_in_the_same_run() -> None:
    """The old content runs again, the run has failed, both revisions are named, and it is not tried again."""
    story = await deployed(web())
    good = story.world.remote.head
    bad = story.push(web("broken"))
    await story.quiet(100)
    assert "web:1" in image_of(story)
    assert story.unit("web").active is ActiveState.ACTIVE
    status = story.status("web")
    assert status.state is WorkloadState.ROLLED_BACK
    assert bad[:12] in status.message
    assert good[:12] in status.message
    last = story.engine.queries.last_run
    assert last is not None
    assert last.result is RunResult.FAILED
    assert last.commit == bad
    (row,) = last.workloads
    assert (row.outcome, row.reason) == (Outcome.FAILED, "rolled-back")
    assert row.failing_unit == "web.service"
    assert documents.overall(story.engine.queries) == "degraded"
    sentence = why_document.why(story.engine.queries, "web")["sentence"]
    assert bad[:12] in sentence
    before, calls = story.unit("web").invocation, len(story.host.life.calls)
    await story.quiet(2000)
    assert story.unit("web").invocation == before
    assert len(story.host.life.calls) == calls
    report = await story.sync()
    assert report is not None
    assert report.result is RunResult.FAILED
    assert story.unit("web").invocation == before, "a sync does not try it again"


@virtual()
async def test_the_next_push_of_a_fix_converges() -> None:
    """Another content ends the rollback, and so does another deadline alone."""
    story = await deployed(web())
    story.push(web("broken"))
    await story.quiet(100)
    story.push(web("fixed"))
    await story.quiet(100)
    assert story.status("web").state is WorkloadState.CONVERGED
    await story.assert_converged()
    assert not story.engine.overrides.rollbacks.rows


@virtual()
async def test_a_commit_that_does_not_touch_it_leaves_it_rolled_back() -> None:
    """A push to another workload is no change of this one."""
    story = await deployed(web())
    story.push(web("broken"))
    await story.quiet(100)
    before = story.unit("web").invocation
    story.push({**web("broken"), **container("other")})
    await story.quiet(100)
    assert story.status("web").state is WorkloadState.ROLLED_BACK
    assert story.status("other").state is WorkloadState.CONVERGED
    assert story.unit("web").invocation == before


@virtual()
async def test_it_is_tried_again_when_its_options_change() -> None:
    """The unit needs longer than its deadline: the fix is no other file than workload.toml."""
    story = await deployed(web())
    slow = "Notify=healthy\nHealthCmd=true"
    story.world.model.behaviours.images["slowly"] = story.world.model.behaviours.default.__class__(
        healthy_after=40.0
    )
    story.push(web("slowly", more=slow))
    await story.quiet(200)
    assert story.status("web").state is WorkloadState.ROLLED_BACK
    files = web("slowly", more=slow)
    files["workloads/web/workload.toml"] = '[health]\non_failure = "rollback"\ndeadline = "80s"\n'
    story.push(files)
    await story.quiet(200)
    assert story.status("web").state is WorkloadState.CONVERGED


@virtual()
async def test_a_first_deployment_has_nothing_to_go_back_to() -> None:
    """It fails as any other does, and is tried again by the backoff."""
    story = await deployed(web("broken"))
    assert story.status("web").state is WorkloadState.FAILED
    assert story.status("web").reason == "start-failed"


@virtual()
async def test_what_does_not_ask_for_it_is_kept() -> None:
    """The default is to keep and report the failed revision."""
    story = await deployed(container("web"))
    story.push(container("web", "broken"))
    await story.quiet(100)
    assert story.status("web").state is WorkloadState.FAILED
    assert "broken" in image_of(story)


@virtual()
async def test_files_and_units_of_the_bad_revision_alone_go() -> None:
    """A container that only the new revision has is stopped, its file removed; what only the old had is back."""
    two = {
        "workloads/web/side.container": "[Container]\nImage=localhost/web:1\n[Install]\nWantedBy=default.target\n"
    }
    gone = {
        "workloads/web/old.container": "[Container]\nImage=localhost/web:1\n[Install]\nWantedBy=default.target\n"
    }
    story = await deployed({**web(), **gone})
    story.push({**web("broken"), **two})
    await story.quiet(100)
    assert story.status("web").state is WorkloadState.ROLLED_BACK
    assert story.unit("web", "old.service").active is ActiveState.ACTIVE
    assert story.unit("web", "side.service").active is ActiveState.INACTIVE
    account = story.world.model.accounts.get("web")
    assert account is not None
    names = {
        p.rpartition("/")[2]
        for p, _ in story.world.tree.below(story.layout.folder(FileRole.QUADLET, account.uid))
    }
    assert "side.container" not in names
    assert "old.container" in names


@virtual()
async def test_what_is_bound_to_a_failed_unit_runs_again_after_the_rollback() -> None:
    """A unit with BindsTo= is stopped when the other one fails; started by hand, nothing would bring it back."""
    bound = {
        "workloads/web/tail.service": "[Unit]\nBindsTo=web.service\nAfter=web.service\n"
        "[Service]\nExecStart=/bin/sleep inf\n",
    }
    story = await deployed({**web(), **bound})
    assert story.unit("web", "tail.service").active is ActiveState.INACTIVE, "nothing starts it by itself"
    story.manager("web").start("tail.service")
    await story.quiet(10)
    assert story.unit("web", "tail.service").active is ActiveState.ACTIVE
    story.push({**web("broken"), **bound})
    await story.quiet(100)
    assert story.status("web").state is WorkloadState.ROLLED_BACK
    assert story.unit("web", "tail.service").active is ActiveState.ACTIVE


@virtual()
async def test_a_rollback_that_fails_says_both_and_does_not_swing_back() -> None:
    """The good revision does not come up either: both errors, retries of the good one alone."""
    story = await deployed(web())
    story.world.model.behaviours.images["web"] = story.world.model.behaviours.images["broken"]
    story.push(web("crash"))
    await story.quiet(30)
    status = story.status("web")
    assert (status.state, status.reason) == (WorkloadState.FAILED, "rollback-failed")
    assert "crash" in status.message
    assert "did not start" in status.message
    assert "web:1" in image_of(story)
    del story.world.model.behaviours.images["web"]
    await story.quiet(600)
    assert story.status("web").state is WorkloadState.ROLLED_BACK


@virtual()
async def test_a_mount_that_it_failed_on_has_it_tried_again_when_it_is_there() -> None:
    """What it waited for and that is not its own wakes it; anything else does not."""
    expect = 'expect = ["mount:/srv/data"]\n'
    story = await deployed(web())
    story.push(web("second", options=expect))
    await story.quiet(100)
    assert story.status("web").state is WorkloadState.ROLLED_BACK
    assert story.status("web").waits_for == ("mount:/srv/data",)
    other = FactKey(MountFact.MOUNT, "/srv/other")
    story.dispatcher.emit(
        MountOrigin.KERNEL, MountEvent.MOUNT, "/srv/other", facts=[(other, mount("/srv/other"))]
    )
    await story.quiet(100)
    assert story.status("web").state is WorkloadState.ROLLED_BACK
    story.dispatcher.emit(
        MountOrigin.KERNEL, MountEvent.MOUNT, "/srv/data", facts=[(MOUNT, mount("/srv/data"))]
    )
    await story.quiet(100)
    assert story.status("web").state is WorkloadState.CONVERGED
    assert "second" in image_of(story)


def mount(point: str) -> MountState:
    return MountState(point, "/dev/sda1", "ext4", "rw", "8:1")


@virtual()
async def test_a_fact_that_comes_and_goes_does_not_swing_it_for_ever() -> None:
    """After five retries on the same content only a change or a person brings another."""
    story = await deployed(web())
    story.push(web("broken", options='expect = ["mount:/srv/data"]\n'))
    await story.quiet(100)
    runs = []
    for number in range(12):
        value = mount("/srv/data") if number % 2 else None
        story.dispatcher.emit(MountOrigin.KERNEL, MountEvent.MOUNT, "/srv/data", facts=[(MOUNT, value)])
        await story.quiet(60)
        runs.append(len(story.world.disk.runs))
    assert story.status("web").state is WorkloadState.ROLLED_BACK
    assert runs[-1] == runs[-2]


async def operators_rollback(story: Story, name: str, to: str | None = None, by: str = "root") -> None:
    """`eventctl rollback NAME --wait`."""
    engine = story.engine
    await engine.rollbacks.roll_back(await engine.rollbacks.order(name, to, by))
    handle = RunHandle()
    engine.loop.ask(name, None, handle)
    await handle.done.wait()


@virtual()
async def test_an_operator_rolls_back_a_revision_that_works() -> None:
    """To the verified revision before it; held there until the workload changes, or is resumed."""
    story = await deployed(web())
    story.push(web("second"))
    await story.quiet(100)
    await operators_rollback(story, "web")
    assert "web:1" in image_of(story)
    assert story.status("web").state is WorkloadState.ROLLED_BACK
    assert documents.overall(story.engine.queries) == "held"
    report = await story.sync()
    assert report is not None
    assert report.result is RunResult.HELD
    await story.engine.commands.resume("web", "root")
    await story.quiet(100)
    assert "second" in image_of(story)
    assert story.status("web").state is WorkloadState.CONVERGED


@virtual()
async def test_orders_outlive_the_daemon() -> None:
    """After a kill -9 both a rollback and a suspension stand, and the host is at rest."""
    story = await deployed({**web(), **container("other")})
    story.push({**web("broken"), **container("other")})
    await story.quiet(100)
    await story.engine.overrides.suspend("other", "root", "disk work")
    await story.kill()
    await story.start()
    before = story.unit("web").invocation
    story.manager("other").stop("other.service")
    await story.quiet(300)
    assert story.status("web").state is WorkloadState.ROLLED_BACK
    assert story.unit("web").invocation == before
    status = story.status("other")
    assert (status.state, status.reason) == (WorkloadState.HELD, "suspended")
    assert "disk work" in status.message
    assert story.unit("other").active is ActiveState.INACTIVE, "not even repaired"
    await story.engine.commands.resume("other", "root")
    await story.quiet(10)
    assert story.unit("other").active is ActiveState.ACTIVE


@virtual()
async def test_a_suspended_workload_is_left_alone_and_the_others_are_not() -> None:
    """A push waits; its removal, too; events are folded all the same; resume converges at once."""
    story = await deployed({**container("a"), **container("b")})
    overrides = story.engine.overrides
    await overrides.suspend("a", "root", "")
    before = story.unit("a").invocation
    story.push({**container("a", "second"), **container("b", "second")})
    await story.quiet(3000)
    assert story.unit("a").invocation == before
    assert story.status("a").state is WorkloadState.HELD, "and no deadline makes a failure of it"
    assert story.status("b").state is WorkloadState.CONVERGED
    story.push({**container("a", "third"), **container("b", "second")})
    await story.quiet(100)
    assert story.status("a").state is WorkloadState.HELD, "another push is held as well"
    story.push(container("b", "second"))
    await story.quiet(100)
    assert story.unit("a").active is ActiveState.ACTIVE, "its removal is held, too"
    await story.engine.commands.resume("a", "root")
    await story.quiet(100)
    assert "a" not in story.world.model.managers


@virtual()
async def test_a_suspended_host_is_left_alone() -> None:
    """Nothing at all is done, until it is resumed."""
    story = await deployed(container("a"))
    await story.engine.overrides.suspend("", "root", "")
    story.push({**container("a", "second"), **container("b")})
    story.manager("a").stop("a.service")
    await story.quiet(100)
    assert story.unit("a").active is ActiveState.INACTIVE
    assert story.world.model.accounts.get("b") is None
    await story.engine.commands.resume("", "root")
    await story.quiet(100)
    await story.assert_converged()


async def to_the_failed_change(story: Story) -> int:
    """Converge at the good revision; return the steps so far."""
    await story.begin(web())
    return story.host.life.steps


def test_a_crash_at_any_step_of_a_rollback_ends_at_the_good_revision() -> None:
    """Kill -9 at each step of the failed change and of the way back: the next life finishes it."""

    async def main(crash_at: int | None) -> int:
        story = Story(Faults())
        done = await to_the_failed_change(story)
        story.world.faults.crash_at = None if crash_at is None else done + crash_at
        story.push(web("broken"))
        if crash_at is None:
            await story.quiet(100)
            return story.host.life.steps - done
        await story.until_dead()
        await story.start()
        await story.quiet(300)
        assert "web:1" in image_of(story), crash_at
        assert story.unit("web").active is ActiveState.ACTIVE, crash_at
        assert story.status("web").state is WorkloadState.ROLLED_BACK, crash_at
        record = story.engine.inventory.records.workloads["web"]
        assert record.verified_digest, crash_at
        return 0

    total = run(main(None))
    assert total > 20
    for step in range(1, total + 1):
        run(main(step))


@pytest.mark.parametrize("image", ["broken", "crash", "missing"])
def test_every_way_to_fail_is_taken_back(image: str) -> None:
    """A start that fails, one that dies in its grace, an image that cannot be pulled."""

    @virtual()
    async def story_of_it() -> None:
        story = await deployed(web())
        story.push(web(image))
        await story.quiet(200)
        assert story.status("web").state is WorkloadState.ROLLED_BACK
        assert story.unit("web").active is ActiveState.ACTIVE

    story_of_it()


@virtual()
async def test_an_operator_rolls_back_to_a_commit() -> None:
    """As it was then, whole; a commit that is not in the history of the branch is none."""
    story = await deployed(web())
    first = story.world.remote.head
    for image in ("second", "third", "fourth", "fifth"):
        story.push(web(image))
        await story.quiet(100)
    await operators_rollback(story, "web", to=first[:10])
    assert "web:1" in image_of(story)
    assert story.engine.inventory.records.workloads["web"].verified_commit == first
    with pytest.raises(PermanentError) as caught:
        await operators_rollback(story, "web", to="0123456789")
    assert caught.value.reason == "no-such-commit"
    with pytest.raises(PermanentError) as caught:
        await operators_rollback(story, "web", to=story.world.remote.head)
    assert caught.value.reason == "nothing-to-go-back-to"


@virtual()
async def test_a_rollback_of_a_rollback_goes_further_back() -> None:
    """Neither to what is in force nor to what the repository has."""
    story = await deployed(web())
    story.push(web("second"))
    await story.quiet(100)
    story.push(web("third"))
    await story.quiet(100)
    await operators_rollback(story, "web")
    assert "second" in image_of(story)
    await operators_rollback(story, "web")
    assert "web:1" in image_of(story)


@virtual()
async def test_a_removal_ends_a_rollback_and_forgets_the_revisions() -> None:
    """What left and comes back has nothing to go back to."""
    story = await deployed({**web(), **container("other")})
    story.push({**web("broken"), **container("other")})
    await story.quiet(100)
    story.push(container("other"))
    await story.quiet(100)
    overrides = story.engine.overrides
    assert not overrides.rollbacks.rows
    assert "web" not in overrides.revisions
    assert "web" not in story.world.model.managers


@virtual()
async def test_a_start_that_never_ends_is_taken_back() -> None:
    """Its job goes on after the deadline: the unit must not pass for the good content that it ran before."""
    story = await deployed(web())
    story.push(web("unhealthy", more="Notify=healthy\nHealthCmd=false"))
    await story.quiet(200)
    assert story.status("web").state is WorkloadState.ROLLED_BACK
    assert story.unit("web").active is ActiveState.ACTIVE
    assert "web:1" in image_of(story)


@pytest.mark.parametrize("announced", [True, False])
@virtual()
async def test_a_start_that_is_called_off_is_no_fault_of_the_revision(announced: bool) -> None:
    """The host goes down, or the user's manager alone, while a good revision starts: it is not taken back for that."""
    story = await deployed(web())
    story.world.model.behaviours.set("web", "web.service", start=10.0)
    story.push(web(more="Environment=A=1"))
    await asyncio.sleep(5)
    assert story.status("web").step.startswith("restart-unit")
    if announced:
        story.world.model.logind.prepare_for_shutdown(active=True)
    account = story.world.model.accounts.get("web")
    assert account is not None
    story.world.model.system.stop(f"user@{account.uid}.service")
    await story.quiet(20)
    assert story.engine.overrides.rollback_of("web") is None
    if announced:
        story.world.model.logind.prepare_for_shutdown(active=False)
    await story.quiet(300)
    assert story.status("web").state is WorkloadState.CONVERGED
    assert story.engine.overrides.rollback_of("web") is None
    assert story.unit("web").active is ActiveState.ACTIVE


@virtual()
async def test_a_full_disk_does_not_use_up_the_retries_of_a_rollback() -> None:
    """What could not be written down has not been tried: once it can be, the revision gets its chance."""
    story = await deployed(web())
    story.push(web("second", options='expect = ["mount:/srv/data"]\n'))
    await story.quiet(100)
    overrides = story.engine.overrides
    real = overrides.rollbacks._store

    class Full:
        """Takes nothing."""

        async def put_documents(self, _rows: object) -> None:
            raise TemporaryError("cannot write the state: disk full", reason="disk-full")

    overrides.rollbacks._store = Full()  # type: ignore[assignment]
    story.dispatcher.emit(
        MountOrigin.KERNEL, MountEvent.MOUNT, "/srv/data", facts=[(MOUNT, mount("/srv/data"))]
    )
    await story.quiet()
    assert story.status("web").state is WorkloadState.ROLLED_BACK
    overrides.rollbacks._store = real
    await story.quiet()
    assert story.status("web").state is WorkloadState.CONVERGED
