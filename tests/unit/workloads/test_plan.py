"""The plan: pure, in order, minimal, and empty exactly when nothing differs."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from eventd.accounts.model_actions import CreateAccount
from eventd.desired.model import DesiredUnit, FileRole, InstallFile, UnitRole, Workload
from eventd.files.model_actions import PutFile, RemoveFile
from eventd.health.model_actions import Verify
from eventd.kernel.model.action import Action
from eventd.managers.model_actions import EnableLinger, Reload, StartManager, StopManager
from eventd.platform.model_facts import Account, ActiveState, FileKind, FileState, LoadState, UnitState
from eventd.removal.model_actions import Orphan
from eventd.removal.plan import plan_removal
from eventd.workloads.model_actions import RestartUnit, StartUnit, StopUnit
from eventd.workloads.model_context import Context
from eventd.workloads.model_facts import ManagerState
from eventd.workloads.model_layout import Layout
from eventd.workloads.model_observed import Observed
from eventd.workloads.model_records import FileRecord, Ownership, Records, UnitRecord, WorkloadRecord
from eventd.workloads.plan import plan

LAYOUT = Layout()
CONTEXT = Context(LAYOUT)
ACCOUNT = Account("web", 1001, 1001, "/home/web", subuid=(100000, 65536), subgid=(100000, 65536))


def a_file(name: str = "web.container", content: bytes = b"[Container]\nImage=x\n") -> InstallFile:
    return InstallFile(FileRole.QUADLET, name, content, f"workloads/web/{name}")


def a_unit(file: InstallFile, role: UnitRole = UnitRole.RUNNING) -> DesiredUnit:
    return DesiredUnit(
        file.name.replace(".container", ".service"), role, file.name, FileRole.QUADLET, file.digest
    )


def a_workload(*files: InstallFile, role: UnitRole = UnitRole.RUNNING) -> Workload:
    mine = files or (a_file(),)
    return Workload("web", mine, tuple(a_unit(f, role) for f in mine))


NOTHING = Observed(None, False, ManagerState.DOWN, None, {}, {}, frozenset())


def converged(workload: Workload) -> tuple[Observed, Records]:
    """Return what is seen and remembered when `workload` is as wanted."""
    files = {LAYOUT.path(f, 1001): FileState(FileKind.REGULAR, f.digest, 0o644, 0, 0) for f in workload.files}
    units = {
        u.name: UnitState(
            u.name,
            LoadState.LOADED,
            ActiveState.ACTIVE,
            "running",
            fragment_path=f"/run/user/1001/systemd/generator/{u.name}",
            source_path=f"/etc/containers/systemd/users/1001/{u.file}",
        )
        for u in workload.units
    }
    records = Records(
        {
            "web": WorkloadRecord(
                "web", 1001, Ownership.CREATED, 1, verified_digest=workload.digest, lingering=True
            )
        },
        {"web": {u.name: UnitRecord(u.digest, 1) for u in workload.units}},
        {"web": {path: FileRecord(state.digest, 1) for path, state in files.items()}},
    )
    return Observed(ACCOUNT, True, ManagerState.UP, None, files, units, frozenset()), records


def kinds(actions: tuple[Action, ...]) -> list[type[Action]]:
    return [type(a) for a in actions]


def test_a_new_workload_gets_its_files_before_its_manager_starts() -> None:
    """So the starting manager's generator finds them, and nothing has to be reloaded or restarted."""
    actions = plan(a_workload(), NOTHING, Records(), CONTEXT)
    assert kinds(actions) == [CreateAccount, PutFile, EnableLinger, StartManager, StartUnit, Verify]


def test_nothing_differs_nothing_is_done() -> None:
    """A converged workload has an empty plan."""
    workload = a_workload()
    assert plan(workload, *converged(workload), CONTEXT) == ()


def test_only_the_changed_unit_is_restarted() -> None:
    """Another unit of the same workload keeps running."""
    old = a_workload(a_file(), a_file("db.container", b"[Container]\nImage=db\n"))
    seen, records = converged(old)
    new = a_workload(a_file(content=b"[Container]\nImage=y\n"), old.files[1])
    actions = plan(new, seen, records, CONTEXT)
    assert kinds(actions) == [PutFile, Reload, RestartUnit, Verify]
    assert [a.unit for a in actions if isinstance(a, RestartUnit)] == ["web.service"]


def test_a_stopped_unit_is_started_without_a_reload() -> None:
    """Somebody stopped it: that is drift, though nothing was pushed."""
    workload = a_workload()
    seen, records = converged(workload)
    stopped = replace(seen.units["web.service"], active=ActiveState.INACTIVE, sub="dead")
    actions = plan(workload, replace(seen, units={"web.service": stopped}), records, CONTEXT)
    assert kinds(actions) == [StartUnit, Verify]


def test_a_deleted_file_is_written_again_and_nothing_is_restarted() -> None:
    """The running container has the right content: only the file is missing."""
    workload = a_workload()
    seen, records = converged(workload)
    actions = plan(workload, replace(seen, files={}), records, CONTEXT)
    assert kinds(actions) == [PutFile, Reload, Verify]


def test_a_unit_that_systemd_gave_up_on_is_left_until_its_content_changes_or_somebody_asks() -> None:
    """Systemd's start limit is respected; a change or a request starts it again with a clean counter."""
    workload = a_workload()
    seen, records = converged(workload)
    failed = replace(seen.units["web.service"], active=ActiveState.FAILED, result="start-limit-hit")
    seen = replace(seen, units={"web.service": failed})
    assert plan(workload, seen, records, CONTEXT) == ()
    (start, _) = plan(workload, seen, records, replace(CONTEXT, forced=True))
    assert isinstance(start, StartUnit)
    assert start.reset
    changed = a_workload(a_file(content=b"[Container]\nImage=fixed\n"))
    starts = [a for a in plan(changed, seen, records, CONTEXT) if isinstance(a, StartUnit)]
    assert [s.reset for s in starts] == [True]


def test_an_automatic_restart_is_not_interfered_with() -> None:
    """Between two restarts of `Restart=always` there is nothing for eventd to do."""
    workload = a_workload()
    seen, records = converged(workload)
    between = replace(seen.units["web.service"], active=ActiveState.ACTIVATING, sub="auto-restart")
    assert plan(workload, replace(seen, units={"web.service": between}), records, CONTEXT) == ()


def test_content_that_was_never_verified_is_verified_though_nothing_else_differs() -> None:
    """A crash between the start and the end of its grace leaves the revision unapplied."""
    workload = a_workload()
    seen, records = converged(workload)
    records.workloads["web"] = replace(records.workloads["web"], verified_digest="")
    assert kinds(plan(workload, seen, records, CONTEXT)) == [Verify]


def test_a_stray_file_without_a_record_is_not_removed() -> None:
    """What eventd did not write it does not delete."""
    workload = a_workload()
    seen, records = converged(workload)
    stray = {
        **seen.files,
        "/etc/containers/systemd/users/1001/mine.container": FileState(FileKind.REGULAR, "x", 0o644, 0, 0),
    }
    assert plan(workload, replace(seen, files=stray), records, CONTEXT) == ()


def test_a_unit_that_left_is_stopped_before_its_file_goes() -> None:
    """While systemd still knows how to stop it."""
    old = a_workload(a_file(), a_file("db.container"))
    seen, records = converged(old)
    actions = plan(a_workload(old.files[0]), seen, records, CONTEXT)
    assert kinds(actions) == [StopUnit, RemoveFile, Reload, Verify]


def test_removal_stops_and_removes_but_keeps_account_and_data() -> None:
    """No action of a removal deletes an account, and the last one records that it is retained."""
    seen, records = converged(a_workload())
    actions = plan_removal(records.workloads["web"], seen, records)
    assert kinds(actions)[0] is StopUnit
    assert kinds(actions)[-2:] == [StopManager, Orphan]


def test_removal_leaves_the_manager_of_a_person_who_is_logged_in() -> None:
    """Their session would die with it."""
    seen, records = converged(a_workload())
    actions = plan_removal(records.workloads["web"], replace(seen, sessions=frozenset({"c1"})), records)
    assert StopManager not in kinds(actions)
    assert Reload in kinds(actions)


def test_a_retained_workload_that_comes_back_is_started_and_verified() -> None:
    """Its account is still there."""
    workload = a_workload()
    seen, records = converged(workload)
    records.workloads["web"] = replace(records.workloads["web"], retained=True, verified_digest="")
    records.units.clear()
    records.files.clear()
    seen = replace(seen, files={}, units={}, linger=False, manager=ManagerState.DOWN)
    assert kinds(plan(workload, seen, records, CONTEXT)) == [
        PutFile,
        EnableLinger,
        StartManager,
        StartUnit,
        Verify,
    ]


def test_a_oneshot_is_run_once_per_content() -> None:
    """A success leaves it inactive, which is as wanted."""
    workload = a_workload(role=UnitRole.ONESHOT)
    seen, records = converged(workload)
    done = replace(seen.units["web.service"], active=ActiveState.INACTIVE, sub="dead")
    seen = replace(seen, units={"web.service": done})
    assert plan(workload, seen, records, CONTEXT) == ()
    records.units["web"]["web.service"] = UnitRecord("other", 1)
    assert StartUnit in kinds(plan(workload, seen, records, CONTEXT))


def test_units_started_by_the_manager_itself_are_not_restarted() -> None:
    """Files were there first; no record yet, and it is up: it runs just this content."""
    workload = a_workload()
    seen, records = converged(workload)
    records.units.clear()
    records.workloads["web"] = replace(records.workloads["web"], verified_digest="")
    assert kinds(plan(workload, seen, records, CONTEXT)) == [Verify]


contents = st.binary(min_size=1, max_size=8)
names = st.sampled_from(["web.container", "db.container", "cache.container"])


@given(
    st.dictionaries(names, contents, min_size=1),
    st.dictionaries(names, contents, min_size=1),
    st.sets(names),
    st.sets(names),
)
def test_carrying_out_a_plan_leaves_nothing_to_plan(
    before: dict[str, bytes], after: dict[str, bytes], missing: set[str], stopped: set[str]
) -> None:
    """Convergence: from any mix of old content, deleted files and stopped units, one pass is enough."""
    old = a_workload(*(a_file(n, c) for n, c in sorted(before.items())))
    new = a_workload(*(a_file(n, c) for n, c in sorted(after.items())))
    seen, records = converged(old)
    files = {p: s for p, s in seen.files.items() if p.rsplit("/", 1)[1] not in missing}
    units = {
        n: replace(u, active=ActiveState.INACTIVE) if n.replace(".service", ".container") in stopped else u
        for n, u in seen.units.items()
    }
    seen = replace(seen, files=files, units=units)
    for action in plan(new, seen, records, CONTEXT):
        seen = carry_out(action, seen, records)
    assert plan(new, seen, records, CONTEXT) == ()


def carry_out(action: Action, seen: Observed, records: Records) -> Observed:
    """Apply one action to a world of two dictionaries."""
    match action:
        case PutFile(file=file):
            path = LAYOUT.path(file, 1001)
            records.files.setdefault("web", {})[path] = FileRecord(file.digest, 2)
            state = FileState(FileKind.REGULAR, file.digest, 0o644, 0, 0)
            return replace(seen, files={**seen.files, path: state})
        case RemoveFile(path=path):
            records.files["web"].pop(path)
            return replace(seen, files={p: s for p, s in seen.files.items() if p != path})
        case StopUnit(unit=unit):
            records.units["web"].pop(unit)
            return replace(seen, units={n: s for n, s in seen.units.items() if n != unit})
        case StartUnit(unit=unit, digest=digest) | RestartUnit(unit=unit, digest=digest):
            records.units.setdefault("web", {})[unit] = UnitRecord(digest, 2)
            up = UnitState(unit, LoadState.LOADED, ActiveState.ACTIVE, "running")
            return replace(seen, units={**seen.units, unit: up})
        case Verify(digest=digest):
            records.workloads["web"] = replace(records.workloads["web"], verified_digest=digest)
    return seen
