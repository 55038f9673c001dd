"""Scope: updates of images: only what changed, verified, or back; failures named together; cut off at any step."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from eventd.kernel.model.report import Outcome, RunReport, RunResult, WorkloadState
from eventd.kernel.queue import RunHandle
from eventd.platform.model_facts import Account, ActiveState
from eventd.status.documents_metrics import Metrics
from eventd.updates.documents import updates
from eventd.updates.model_images import short_id
from eventd_simulators.faults import Faults
from eventd_simulators.inprocess.images import SimImages
from eventd_simulators.model.behaviours import Behaviour
from eventd_simulators.virtual_time import run, virtual
from tests.simulated.daemon import CONTAINER, DOMAINS, Story

BROKEN = Behaviour(start_status=1)
HANGS = Behaviour(start=3600.0)
Files = dict[str, str | bytes]


def app(name: str, more: str = "") -> Files:
    """A workload with an image of a registry of its own name."""
    text = CONTAINER.format(image=f"registry.example/{name}:1", name=name, more=more)
    return {f"workloads/{name}/{name}.container": text}


async def started(*names: str, files: Files | None = None) -> Story:
    """A converged host whose registry has a first image of each."""
    story = Story()
    for name in names:
        story.world.registry.push(f"registry.example/{name}:1", "first")
    await story.start()
    wanted: Files = {}
    for name in names:
        wanted |= app(name)
    story.push(files or wanted)
    await story.quiet(100)
    for name in names:
        await runs(story, name)  # what was pulled is what the registry has now
    return story


async def update(story: Story, *names: str, retry: bool = False) -> RunReport:
    """`eventctl update --wait`."""
    engine, handle = story.engine, RunHandle()
    for name in names:
        await engine.updates.ask(name, "root", retry=retry)
    engine.loop.ask_all(names, None, handle)
    await handle.done.wait()
    assert handle.report is not None
    return handle.report


async def runs(story: Story, name: str) -> str:
    """The id of the image that a workload's container runs."""
    account = story.world.model.accounts.get(name)
    assert account is not None
    running = await story.host.images.running(account)
    return next((each.image for each in running if each.unit == f"{name}.service"), "")


@virtual()
async def test_a_newer_image_is_taken_and_verified() -> None:
    """The container is restarted with it; another update finds nothing to do and restarts nothing."""
    story = await started("a")
    newer = story.world.registry.push("registry.example/a:1", "second")
    before = story.unit("a").invocation
    report = await update(story, "a")
    assert report.result is RunResult.OK
    assert story.unit("a").invocation != before
    assert await runs(story, "a") == newer
    before = story.unit("a").invocation
    report = await update(story, "a")
    assert report.result is RunResult.OK
    assert report.workloads[0].message == "up to date"
    assert story.unit("a").invocation == before


@virtual()
async def test_only_the_container_whose_image_changed_is_restarted() -> None:
    """Its neighbour in the workload goes on."""
    two = {
        "workloads/a/side.container": CONTAINER.format(image="registry.example/side:1", name="side", more="")
    }
    story = Story()
    for name in ("a", "side"):
        story.world.registry.push(f"registry.example/{name}:1", "first")
    await story.begin({**app("a"), **two})
    await runs(story, "a")
    story.world.registry.push("registry.example/side:1", "second")
    before = story.unit("a").invocation, story.unit("a", "side.service").invocation
    await update(story, "a")
    after = story.unit("a").invocation, story.unit("a", "side.service").invocation
    assert after[0] == before[0]
    assert after[1] != before[1]


@virtual()
async def test_an_image_that_does_not_start_is_gone_back_from() -> None:
    """The old one runs again, the run failed, the workload is converged; it is not taken again by itself."""
    story = await started("a")
    first = await runs(story, "a")
    story.world.registry.push("registry.example/a:1", "bad", BROKEN)
    report = await update(story, "a")
    assert report.result is RunResult.FAILED
    (row,) = report.workloads
    assert (row.outcome, row.reason) == (Outcome.FAILED, "update-rolled-back")
    assert await runs(story, "a") == first
    assert story.unit("a").active is ActiveState.ACTIVE
    assert story.status("a").state is WorkloadState.CONVERGED
    before = story.unit("a").invocation
    report = await update(story, "a")
    assert report.workloads[0].reason == "known-bad-image"
    assert story.unit("a").invocation == before, "no downtime for what is known to fail"
    report = await update(story, "a", retry=True)
    assert report.workloads[0].reason == "update-rolled-back"
    report = await story.sync()
    assert report is not None
    assert report.result is RunResult.OK, "the workload is as it should be"
    (failed,) = updates(story.engine.queries)["failed"]
    assert (failed["workload"], failed["reason"]) == ("a", "update-rolled-back")
    metric = 'eventd_update_failed{workload="a"} '
    assert metric + "1.0" in Metrics(story.engine.queries, DOMAINS.metrics).text().decode()
    await story.kill()
    await story.start()
    await story.quiet(60)
    assert updates(story.engine.queries)["failed"] == [failed], "until a good one, also across a restart"
    newer = story.world.registry.push("registry.example/a:1", "fixed")
    report = await update(story, "a")
    assert report.result is RunResult.OK
    assert updates(story.engine.queries) == {"workloads": 1, "failed": []}
    assert metric + "0.0" in Metrics(story.engine.queries, DOMAINS.metrics).text().decode()
    assert await runs(story, "a") == newer


@virtual()
async def test_an_image_that_never_comes_up_is_gone_back_from_at_the_deadline() -> None:
    """Its start goes on for ever, as with `Notify=healthy` and a check that never passes: the restart ends that."""
    files = {**app("a"), "workloads/a/workload.toml": '[health]\ndeadline = "40s"\n'}
    story = await started("a", files=files)
    first, began = await runs(story, "a"), asyncio.get_running_loop().time()
    story.world.registry.push("registry.example/a:1", "bad", HANGS)
    report = await update(story, "a")
    assert 40 <= asyncio.get_running_loop().time() - began < 60
    (row,) = report.workloads
    assert (row.outcome, row.reason) == (Outcome.FAILED, "update-rolled-back")
    assert "did not come up within 40 s" in row.message
    assert await runs(story, "a") == first
    assert story.unit("a").active is ActiveState.ACTIVE
    assert story.status("a").state is WorkloadState.CONVERGED


@virtual()
async def test_failures_are_named_together_and_the_others_go_on() -> None:
    """Ten workloads, one pull and one health check that fail: eight on the new image, two on the old."""
    names = [f"w{number}" for number in range(10)]
    story = await started(*names)
    before = {name: await runs(story, name) for name in names}
    for name in names:
        story.world.registry.push(f"registry.example/{name}:1", "second", BROKEN if name == "w3" else None)
    story.world.registry.down.add("registry.example/w7:1")
    report = await update(story, *names)
    assert report.result is RunResult.FAILED
    reasons = {row.name: row.reason for row in report.workloads}
    assert {name for name, reason in reasons.items() if reason} == {"w3", "w7"}
    assert (reasons["w3"], reasons["w7"]) == ("update-rolled-back", "pull-failed")
    for name in names:
        same = await runs(story, name) == before[name]
        assert same == (name in ("w3", "w7")), name
        assert story.unit(name).active is ActiveState.ACTIVE


@virtual()
async def test_a_registry_that_does_not_answer_keeps_no_newer_revision_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pull is given up for the revision, which another workload gets at once; the update is made after it."""
    story = await started("a", "b")
    newer = story.world.registry.push("registry.example/a:1", "second")
    answers = asyncio.Event()
    pull = SimImages.pull

    async def stuck(self: SimImages, account: Account, reference: str, *, timeout: float) -> None:
        async with asyncio.timeout(timeout):
            await answers.wait()
        await pull(self, account, reference, timeout=timeout)

    monkeypatch.setattr(SimImages, "pull", stuck)
    await story.engine.updates.ask("a", "root", retry=False)
    story.engine.loop.ask_all(("a",), None, RunHandle())
    await asyncio.sleep(5)
    before = story.unit("b").invocation
    story.push(app("a") | app("b", "Environment=NEW=1\n"))
    await asyncio.sleep(30)
    assert story.unit("b").invocation != before
    answers.set()
    await story.quiet(100)
    assert await runs(story, "a") == newer
    assert story.status("a").state is WorkloadState.CONVERGED


@virtual()
async def test_a_suspended_workload_is_not_updated_until_it_is_resumed() -> None:
    """The update waits with everything else."""
    story = await started("a")
    newer = story.world.registry.push("registry.example/a:1", "second")
    await story.engine.overrides.suspend("a", "root", "")
    report = await update(story, "a")
    assert report.result is RunResult.HELD
    assert await runs(story, "a") != newer
    await story.engine.commands.resume("a", "root")
    await story.quiet(100)
    assert await runs(story, "a") == newer
    assert story.status("a").state is WorkloadState.CONVERGED


@virtual()
async def test_a_rollback_takes_back_the_image_that_came_with_the_change() -> None:
    """The bad revision pulled a new image under the old tag: the good one runs the image that it was verified with."""
    toml: Files = {"workloads/a/workload.toml": '[health]\non_failure = "rollback"\ndeadline = "20s"\n'}
    story = await started("a", files={**app("a"), **toml})
    first = await runs(story, "a")
    bad = story.world.registry.push("registry.example/a:1", "bad", BROKEN)
    account = story.world.model.accounts.get("a")
    assert account is not None
    await story.host.images.pull(account, "registry.example/a:1", timeout=1.0)
    story.push({**app("a", "Environment=A=2"), **toml})
    await story.quiet(200)
    assert story.status("a").state is WorkloadState.ROLLED_BACK
    assert await runs(story, "a") == first
    assert first != bad


@virtual()
async def test_an_update_right_after_a_rollback_is_verified_by_what_is_in_force_then() -> None:
    """Asked for while the bad change is waited for: its expectations went with it, and say nothing of the new image."""
    story = await started("a")
    await update(story, "a")  # its content and image are verified
    options = '[health]\non_failure = "rollback"\ndeadline = "20s"\nexpect = ["file:/never"]\n'
    story.push({**app("a", "Environment=A=2\n"), "workloads/a/workload.toml": options})
    await story.quiet(5)
    assert story.status("a").state is WorkloadState.VERIFYING
    newer = story.world.registry.push("registry.example/a:1", "second")
    await update(story, "a")
    assert story.status("a").state is WorkloadState.ROLLED_BACK
    result = story.engine.updates.results.get("a")
    assert result is not None
    assert result.ok, result.message
    assert await runs(story, "a") == newer
    third = story.world.registry.push("registry.example/a:1", "third")
    (row,) = (await update(story, "a")).workloads
    assert row.reason == "rolled-back"
    assert row.message.endswith(f"-> {short_id(third)}"), "what the run did is told beside where it stands"
    assert "->" not in story.status("a").message


@pytest.mark.parametrize("good", [True, False])
def test_an_update_that_is_cut_off_at_any_step_ends_on_one_image(good: bool) -> None:
    """Kill -9 at each step, then a new life: the new image, verified; or the old one where the new is bad."""

    async def main(crash_at: int | None) -> int:
        story = Story(Faults())
        story.world.registry.push("registry.example/a:1", "first")
        await story.begin(app("a"))
        first = await runs(story, "a")
        newer = story.world.registry.push("registry.example/a:1", "second", None if good else BROKEN)
        done = story.host.life.steps
        story.world.faults.crash_at = None if crash_at is None else done + crash_at
        engine = story.engine
        if crash_at is None:
            await update(story, "a")
            return story.host.life.steps - done

        async def ask() -> None:
            await engine.updates.ask("a", "root", retry=False)
            engine.loop.ask_all(("a",), None, RunHandle())

        asking = asyncio.ensure_future(ask())  # what the crash cuts off may be the request itself
        await story.until_dead()
        asking.cancel()
        await story.start()
        await story.quiet(300)
        now = await runs(story, "a")
        assert story.unit("a").active is ActiveState.ACTIVE, crash_at
        assert not story.engine.updates.rows.rows, crash_at
        if crash_at > 2:
            assert now == (newer if good else first), crash_at
        assert story.status("a").state is WorkloadState.CONVERGED, crash_at
        return 0

    total = run(main(None))
    assert total > 8
    for step in range(1, total + 1):
        run(main(step))


def stop_manager(story: Story, name: str) -> None:
    """The user's manager goes, with all that it runs."""
    account = story.world.model.accounts.get(name)
    assert account is not None
    story.world.model.system.stop(f"user@{account.uid}.service")


@pytest.mark.parametrize("good", [True, False])
@pytest.mark.parametrize("how", ["shutdown", "called-off", "manager", "unit"])
@virtual()
async def test_an_update_goes_on_after_what_says_nothing_of_the_image(good: bool, how: str) -> None:
    """At a shutdown the users' managers go first; a manager may go alone, and a person may stop the unit."""
    story = await started("a")
    first, before = await runs(story, "a"), story.unit("a").invocation
    slow = Behaviour(start=20.0, start_status=0 if good else 1)
    newer = story.world.registry.push("registry.example/a:1", "second", slow)
    asking = asyncio.ensure_future(update(story, "a"))
    await asyncio.sleep(5)
    assert story.status("a").step.startswith("restart-unit")
    announced = how in ("shutdown", "called-off")
    if announced:
        story.world.model.logind.prepare_for_shutdown(active=True)
    if how == "unit":
        story.manager("a").stop("a.service")
    else:
        stop_manager(story, "a")
    report = await asking
    (row,) = report.workloads
    assert row.outcome is (Outcome.SUPERSEDED if announced else Outcome.FAILED), row
    update_row = story.engine.updates.rows.get("a")
    assert update_row is not None
    assert update_row.applying
    assert story.engine.updates.results.get("a") is None
    if how == "shutdown":
        await story.kill()
        story.world.model.power_off()
        story.world.model.boot()
        await story.start()
    elif how == "called-off":
        story.world.model.logind.prepare_for_shutdown(active=False)
    await story.quiet(600)
    assert not story.engine.updates.rows.rows
    assert story.status("a").state is WorkloadState.CONVERGED, story.status("a")
    assert await runs(story, "a") == (newer if good else first)
    assert story.unit("a").invocation != before


@virtual()
async def test_an_update_that_is_asked_for_while_one_is_on_its_way_is_made_after_it() -> None:
    """In a run of its own, whose result is its own: it does not call well what the first one went back from."""
    story = await started("a")
    story.world.registry.push("registry.example/a:1", "bad", BROKEN)
    rows = story.engine.updates.rows
    first = asyncio.ensure_future(update(story, "a"))
    await asyncio.sleep(0.5)
    row = rows.get("a")
    assert row is not None
    assert row.applying
    following, report = await asyncio.gather(update(story, "a"), first)
    assert [each.workloads[0].reason for each in (report, following)] == [
        "update-rolled-back",
        "known-bad-image",
    ]
    assert not rows.rows


@virtual()
async def test_an_update_that_is_asked_for_as_another_ends_is_made() -> None:
    """The wish is on its way to a slow disk while the one that is on writes that it is done: it is not overwritten."""
    story = await started("a")
    updates = story.engine.updates
    real, turn = story.host.store, asyncio.Lock()

    class SlowDisk:
        """One write after the other; that of the second wish takes long."""

        async def put_documents(self, rows: Sequence[tuple[str, str, str | None]]) -> None:
            async with turn:
                if '"again":"root"' in (rows[0][2] or ""):
                    await asyncio.sleep(60)
                await real.put_documents(rows)

    story.world.registry.push("registry.example/a:1", "bad", BROKEN)
    first = asyncio.ensure_future(update(story, "a"))
    await asyncio.sleep(0.5)
    updates.rows._store = SlowDisk()  # type: ignore[assignment]
    row = updates.rows.get("a")
    assert row is not None
    assert row.applying
    second = asyncio.ensure_future(update(story, "a"))
    await asyncio.sleep(0)
    newer = story.world.registry.push("registry.example/a:1", "second")
    following, report = await asyncio.gather(second, first)
    assert [each.workloads[0].reason for each in (report, following)] == ["update-rolled-back", ""]
    assert await runs(story, "a") == newer
    assert not updates.rows.rows


@virtual()
async def test_a_bad_update_that_was_cut_off_ends_converged_on_the_image_of_before() -> None:
    """After the cut the workload itself fails first, on the bad image; once that is gone back from, nothing has."""
    story = await started("a")
    first = await runs(story, "a")
    story.world.registry.push("registry.example/a:1", "bad", Behaviour(start=20.0, start_status=1))
    asking = asyncio.ensure_future(update(story, "a"))
    await asyncio.sleep(5)
    assert story.status("a").step.startswith("restart-unit")
    await story.kill()
    asking.cancel()
    story.world.model.power_off()
    story.world.model.boot()
    await story.start()
    await story.quiet(300)
    assert await runs(story, "a") == first
    assert story.status("a").state is WorkloadState.CONVERGED
    result = story.engine.updates.results.get("a")
    assert result is not None
    assert (result.ok, result.reason) == (False, "update-rolled-back")
    assert "a" not in story.engine.retries.failures.waiting()
