"""Scope: whole stories of the daemon on the simulated host, without faults: what an operator would see."""

from __future__ import annotations

import asyncio

from eventd.api.model_rights import EVERYTHING
from eventd.audit.documents import audit
from eventd.kernel.domain import Host
from eventd.kernel.model.errors import TemporaryError
from eventd.kernel.model.events import KernelEvent
from eventd.kernel.model.report import WorkloadState
from eventd.kernel.model.source_state import SourceState
from eventd.platform.model_events import PlatformOrigin
from eventd.platform.model_facts import ActiveState
from eventd.status.documents_plan import plan
from eventd_simulators.inprocess import SimHost
from eventd_simulators.virtual_time import virtual
from tests.simulated.daemon import DOMAINS, QUIET, Story, container, containers, deployed


async def started(*names: str) -> Story:
    """A converged host with these workloads."""
    story = await deployed(containers(*names), QUIET)
    await story.assert_as_wanted()
    return story


async def run_on(story: Story) -> int:
    """Wait for the next step of a run; return the run's id."""
    begun = asyncio.Event()
    story.engine.steps.subscribe("test", lambda _step: begun.set())
    await begun.wait()
    assert story.engine.queries.current_run is not None
    return story.engine.queries.current_run.id


@virtual()
async def test_a_push_becomes_running_containers() -> None:
    """From nothing: account, lingering, manager, files, running unit; and then nothing more to do."""
    story = await started("web", "db")
    await story.assert_converged()


@virtual()
async def test_what_the_starting_manager_started_is_not_restarted() -> None:
    """A new workload's unit has one invocation: the manager's own start of default.target is joined."""
    story = await started("web")
    assert story.unit("web").invocation == story.manager("web").units["web.service"].invocation
    jobs = [call for call in story.host.life.calls if "web.service" in call]
    assert not [call for call in jobs if call.startswith("RestartUnit")]


@virtual()
async def test_a_change_restarts_only_what_changed() -> None:
    """One of two workloads changes: only its unit has a new invocation."""
    story = await started("web", "db")
    web, db = story.unit("web").invocation, story.unit("db").invocation
    story.push({**container("web", more="Environment=A=2"), **container("db")})
    await story.quiet()
    await story.assert_converged()
    assert story.unit("web").invocation != web
    assert story.unit("db").invocation == db


@virtual()
async def test_a_unit_that_systemd_refuses_to_start_is_named() -> None:
    """The manager makes no job for a malformed timer: the report names it, and where systemd says why."""
    story = await started("web")
    timer = {"workloads/web/late.timer": "[Timer]\nPersistent=yes\n"}
    service = {"workloads/web/late.service": "[Service]\nType=oneshot\nExecStart=/bin/true\n"}
    story.push({**container("web"), **timer, **service})
    await story.quiet()
    status = story.engine.queries.status("web")
    assert status.reason == "bad-unit-setting"
    assert status.message.startswith("systemd refuses to start late.timer: ")
    assert "USER_UNIT=late.timer" in status.hint


@virtual()
async def test_removal_stops_and_keeps_the_account() -> None:
    """A workload that leaves the repository: its files and manager go, its account stays."""
    story = await started("web", "db")
    story.push(container("db"))
    await story.quiet()
    account = story.world.model.accounts.get("web")
    assert account is not None
    assert not story.world.model.logind.is_lingering("web")
    assert "web" not in story.world.model.managers
    assert not list(story.world.tree.below(f"/etc/containers/systemd/users/{account.uid}"))
    await story.assert_as_wanted()


@virtual()
async def test_a_unit_stopped_by_hand_is_started_at_once() -> None:
    """Nobody pushes anything; the signal is enough, and no timer is needed."""
    story = await started("web")
    story.manager("web").stop("web.service")
    await asyncio.sleep(2)
    assert story.unit("web").active is ActiveState.ACTIVE


@virtual()
async def test_a_file_deleted_by_hand_comes_back() -> None:
    """Inotify triggers the repair."""
    story = await started("web")
    path = f"/etc/containers/systemd/users/{story.world.model.accounts.get('web').uid}/web.container"  # type: ignore[union-attr]
    story.world.tree.remove(path)
    await asyncio.sleep(5)
    await story.assert_as_wanted()


@virtual()
async def test_a_missing_image_fails_its_workload_alone() -> None:
    """One image cannot be pulled: that workload has failed, with the journal's lines; the other one runs."""
    story = await deployed({**container("bad", "missing"), **container("web")}, 60)
    assert story.unit("web").active is ActiveState.ACTIVE
    assert story.status("web").state is WorkloadState.CONVERGED
    assert story.status("bad").state is WorkloadState.FAILED
    assert any("manifest unknown" in line for line in story.status("bad").log)
    report = await story.sync()
    assert report is not None
    assert str(report.result) == "failed"


@virtual()
async def test_a_crash_loop_ends_at_systemds_limit() -> None:
    """With Restart=always a bad unit is started a bounded number of times, then reported."""
    story = await deployed(container("loop", "crash", more="[Service]\nRestart=always"), 600)
    starts = len([line for _, line in story.manager("loop").units["loop.service"].log if "Scheduled" in line])
    await story.quiet(6000)
    more = len([line for _, line in story.manager("loop").units["loop.service"].log if "Scheduled" in line])
    assert story.status("loop").state is WorkloadState.FAILED
    assert more <= starts + 5 * 12, f"{starts} restarts in the first ten minutes, then {more - starts}"


@virtual()
async def test_a_sync_starts_again_what_systemd_gave_up() -> None:
    """The hint says so: the failed state is reset, the unit is started, and with its cause gone the workload is up."""
    story = Story()
    await story.start()
    behaviours = story.world.model.behaviours
    behaviours.set("loop", "loop.service", runs_for=0.05, status=1)
    story.push(container("loop", more="[Service]\nRestart=always"))
    await story.quiet(600)
    assert story.status("loop").reason == "start-limit-hit"
    assert "eventctl sync" in story.status("loop").hint
    (planned,) = (await plan(story.engine.queries))["workloads"]
    assert planned["actions"] == []
    assert planned["verdicts"][0]["reason"] == "start-limit-hit"
    report = await story.sync()
    assert report is not None
    assert report.workloads[0].actions > 0, "it was tried"
    await story.quiet(600)
    assert story.status("loop").reason == "start-limit-hit"
    behaviours.set("loop", "loop.service", runs_for=None)
    report = await story.sync()
    assert report is not None
    assert str(report.result) == "ok"
    await story.assert_converged()


@virtual()
async def test_a_reboot_converges_without_a_push() -> None:
    """After a reboot the daemon finds everything up or brings it up, with no push and no network."""
    story = await started("web", "db")
    await story.kill()
    story.world.model.reboot()
    story.world.remote.down = True
    await story.start()
    await story.quiet(120)
    await story.assert_as_wanted()


@virtual()
async def test_a_job_that_is_idle_is_known_to_the_next_daemon() -> None:
    """Where there is nothing to do, too, every unit is read: the audit has a word on one that nobody has started."""
    story = Story()
    await story.start()
    job = "[Service]\nType=oneshot\nExecStart=/bin/true\n"
    story.push(container("web") | {"workloads/web/job.service": job})
    await story.quiet()
    await story.kill()
    await story.start()
    await story.quiet(60)
    (row,) = audit(story.engine.queries, EVERYTHING)["workloads"]
    assert {unit["unit"]: unit["known"] for unit in row["units"]} == {
        "web.service": True,
        "job.service": True,
    }


@virtual()
async def test_a_file_in_the_home_that_shadows_ours_is_reported() -> None:
    """The same unit in the user's own folder: a violation, named, and never touched."""
    story = await started("web")
    home = "/home/web/.config/containers/systemd/web.container"
    story.world.tree.put(home, "[Container]\nImage=evil\n", uid=1001)
    story.manager("web").reload()
    await story.quiet(60)
    assert story.status("web").state is WorkloadState.FAILED
    assert story.status("web").reason == "shadowed"
    assert story.world.tree.entry(home) is not None


@virtual()
async def test_reexec_and_a_restarted_bus_are_survived() -> None:
    """Facts are read again; nothing is restarted because of it."""
    story = await started("web")
    invocation = story.unit("web").invocation
    story.manager("web").reexecute()
    await story.quiet(60)
    story.world.model.restart_bus("web")
    await story.quiet(60)
    story.manager("web").stop("web.service")
    await story.quiet(60)
    assert story.unit("web").active is ActiveState.ACTIVE
    assert story.unit("web").invocation != invocation
    await story.assert_converged()


@virtual()
async def test_two_syncs_at_once_are_one_run() -> None:
    """They get the same report."""
    story = await started("web")
    first, second = await asyncio.gather(story.sync(), story.sync())
    assert first is not None
    assert second is not None
    assert first.id == second.id


@virtual()
async def test_a_new_revision_cuts_a_wait_for_health_short() -> None:
    """While an unhealthy revision is being waited for, its fix is pushed and applied at once."""
    story = Story()
    await story.start()
    story.push(container("web", "unhealthy", more="Notify=healthy\nHealthCmd=true"))
    await asyncio.sleep(10)
    assert story.unit("web").active is ActiveState.ACTIVATING
    story.push(container("web"))
    await asyncio.sleep(20)
    await story.assert_as_wanted()


@virtual()
async def test_no_run_starts_while_the_host_goes_down() -> None:
    """PrepareForShutdown holds everything back; a shutdown that is called off lets it go on."""
    story = await started("web")
    story.world.model.logind.prepare_for_shutdown(active=True)
    await asyncio.sleep(1)
    story.manager("web").stop("web.service")
    await story.quiet(60)
    assert story.unit("web").active is ActiveState.INACTIVE
    story.world.model.logind.prepare_for_shutdown(active=False)
    await story.quiet(60)
    assert story.unit("web").active is ActiveState.ACTIVE


@virtual()
async def test_a_sync_after_a_push_is_answered_by_the_run_that_applies_it() -> None:
    """While that run is on it joins it; and later it can tell which one it was."""
    story = await started("web")
    story.push(container("web", more="Environment=A=b"))
    on = await run_on(story)
    report = await story.sync()
    assert report is not None
    assert (report.id, report.joined) == (on, 1)
    assert report.workloads[0].actions > 0
    after = await story.sync()
    assert after is not None
    assert after.id != on
    assert story.engine.runs.applied is not None
    assert story.engine.runs.applied.id == on


@virtual()
async def test_a_sync_that_joins_a_run_that_fails_gets_another_one() -> None:
    """The run of the push gives nothing another chance, so one that was asked for follows, and answers."""
    story = await started("web")
    story.push(container("web", "broken"))
    on = await run_on(story)
    story.world.model.behaviours.set("web", "web.service", failing_starts=1)
    report = await story.sync()
    assert report is not None
    assert report.id > on
    assert str(report.result) == "ok"


@virtual()
async def test_who_keeps_a_run_from_beginning_is_said_at_once() -> None:
    """In the status and as an event, long before the wait for the lock is over, which a person would wait for."""
    story = await started("web")
    other = SimHost(story.world, story.dispatcher.emit)
    story.world.disk.holder = other.life
    asked = asyncio.create_task(story.sync())
    await story.quiet(5)
    ((name, error),) = story.engine.problems.all()
    assert (name, error.reason) == ("run-lock", "host-locked")
    assert "process 4242 (other)" in error.message
    (event,) = [each for each in story.events if each.kind is KernelEvent.LOCKED]
    assert event.attributes == {"pid": 4242, "command": "other"}
    await story.quiet(60)
    report = await asked
    assert report is not None
    assert str(report.result) == "failed"
    story.world.disk.holder = None
    report = await story.sync()
    assert report is not None
    assert str(report.result) == "ok"
    assert story.engine.problems.all() == []


@virtual()
async def test_a_remote_that_hangs_costs_a_sync_one_deadline() -> None:
    """Who asks while a fetch hangs hears when that one gives up, and not after another one."""
    story = Story()
    story.world.remote.push(container("web"))
    await story.start()
    await story.quiet(60)
    story.world.remote.hangs = 120.0
    loop = asyncio.get_running_loop()
    story.host.pushed()
    await story.quiet(20)
    asked = loop.time()
    report = await story.sync()
    assert report is not None
    assert "git fetch" in report.error
    assert loop.time() - asked < 120.0, "in virtual time"
    await story.kill()


@virtual()
async def test_without_logind_it_starts_and_converges_what_does_not_need_it() -> None:
    """A unit that is down comes up, a change is applied, a new workload waits for logind, and comes with it."""
    story = await started("web", "db")
    await story.kill()
    story.manager("web").stop("web.service")
    await story.start(away={"logind"})
    trouble = TemporaryError("logind is away", reason="logind-unavailable", hint="bring it back")
    state = SourceState(story.dispatcher.emit, PlatformOrigin.LOGIND, "logind")
    state.trouble(trouble)
    await story.quiet(60)
    assert story.unit("web").active is ActiveState.ACTIVE
    before = story.unit("db").invocation
    story.push(container("web") | container("db", more="Environment=A=b") | container("new"))
    await story.quiet(60)
    assert story.unit("db").invocation != before
    assert story.status("db").state is WorkloadState.CONVERGED
    assert (story.status("new").state, story.status("new").reason) == (
        WorkloadState.HELD,
        "logind-unavailable",
    )
    report = await story.sync()
    assert report is not None
    assert "logind is away" in report.error
    state.current()
    await story.quiet(60)
    await story.assert_converged()


@virtual()
async def test_a_preview_of_what_is_pushed_has_no_effect() -> None:
    """`eventctl plan --fetch` loads a commit: what sources keep, and what is wanted, stays as it is."""
    story = await started("web")
    told: list[object] = []

    async def track(names: object) -> None:
        told.append(names)

    story.engine.accounts.track = track
    before, gates = story.engine.active.commit, story.engine.active.gates
    story.world.remote.push({**container("web"), **container("db")})
    seen = await story.engine.fetcher.preview()
    assert sorted(seen.workloads) == ["db", "web"]
    assert (story.engine.active.commit, story.engine.active.gates) == (before, gates)
    assert not told
    assert "db" not in story.engine.inventory.records.workloads


@virtual()
async def test_a_run_reports_no_actions_of_an_earlier_one() -> None:
    """What is still held was prepared once; a later run that does nothing for it says so, and applied nothing."""
    story = await started("web")
    gate = {"workloads/db/workload.toml": 'requires = ["mount:/srv/none"]\n'}
    story.push({**container("web"), **container("db"), **gate})
    await story.quiet(30)
    applied = story.engine.runs.applied
    report = await story.sync()
    assert report is not None
    (row,) = [each for each in report.workloads if each.name == "db"]
    assert (str(row.outcome), row.actions, row.seconds) == ("held", 0, 0.0)
    assert story.engine.runs.applied is applied


@virtual()
async def test_a_run_after_a_reload_names_it() -> None:
    """No run is without a cause: a changed configuration is one."""
    story = await started("web")
    policies = DOMAINS.policies(Host(settings=story.settings, actions=DOMAINS.actions, root=True))
    story.engine.commands.reload(policies, concurrency=2, allow=frozenset())
    await story.quiet()
    last = story.engine.queries.last_run
    assert last is not None
    assert [(str(each.kind), each.subject) for each in last.triggers] == [("config-applied", "configuration")]
