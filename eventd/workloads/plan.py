"""The plan: the ordered difference between what is wanted of one workload and what is seen of it.

Pure. Given the same desired state, observation and records it gives the same actions; when nothing differs it
gives none, which is what "converged" means. The order is: stop what goes, write and remove files, make the manager
come up (or reload), start and restart in dependency order, verify.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from eventd.accounts import model_homes as homes
from eventd.audit.model import audit
from eventd.desired.model import DesiredUnit, FileRole, NamedFile, OnChange, UnitRole, Workload
from eventd.files.model_named import (
    HOME,
    RESTART_PENDING,
    came_back,
    digests,
    fresh,
    lacking,
    stale,
    unrecorded,
)
from eventd.kernel.model.action import Action
from eventd.platform.model_facts import ActiveState, FileKind, FileState, LoadState, UnitState
from eventd.storage.model_actions import MakeFolder, StopForVolume
from eventd.workloads.model_actions import (
    STARTS,
    AdoptAccount,
    CompleteAccount,
    CreateAccount,
    DisableLinger,
    EnableLinger,
    InspectStore,
    Orphan,
    PutFile,
    RecordFiles,
    Reload,
    RemoveFile,
    RestartUnit,
    StartAgain,
    StartManager,
    StartUnit,
    StopManager,
    StopUnit,
    Verify,
)
from eventd.workloads.model_facts import ManagerState
from eventd.workloads.model_layout import Layout
from eventd.workloads.model_observed import Observed
from eventd.workloads.model_records import Ownership, Records, WorkloadRecord

STOP_TIMEOUT = 100.0
"""Seconds to wait for a stop job: systemd's own DefaultTimeoutStopSec is 90 s, then it kills."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a plan needs besides the workload."""

    layout: Layout
    owner_uid: int = 0
    """Who owns the installed files: root, or whoever runs the simulated host."""
    forced: bool = False
    """An operator asked for it: units that gave up are started again."""
    rewritten: bool = False
    """Earlier in this transaction, files changed under a running manager: what runs without a record is old."""
    restart: bool = False
    """Somebody asked for a restart: what runs is restarted, once everything else is done."""
    restore: frozenset[str] = frozenset()
    """Units on demand that are to run all the same: they did before a change that is taken back."""
    allow: frozenset[str] = frozenset()
    """Unit files and drop-ins that are not eventd's, and that an operator accepts."""


def plan(workload: Workload, seen: Observed, records: Records, context: Context) -> tuple[Action, ...]:
    """Return the actions that bring `workload` to its desired state, in order; empty if it is there."""
    name = workload.name
    actions: list[Action] = []
    if seen.account is None:
        actions.append(CreateAccount(name))
    elif name not in records.workloads and records.granted.get(name) == seen.account.uid:
        actions.append(AdoptAccount(name, seen.account.uid))
    elif seen.account.subuid is None or seen.account.subgid is None:
        actions.append(CompleteAccount(name))
    elif homes.is_gone(seen.named) and not homes.lost(workload, seen.account, records):
        actions.append(CompleteAccount(name, f"its home {seen.account.home} is gone"))
    if seen.account is not None and seen.store is None and begins_in_adopted(workload, records):
        actions.append(InspectStore(name))
    puts, removes = _files(workload, seen, records, context)
    up = seen.manager is ManagerState.UP
    if up and seen.lost and (running := _running(workload, seen)):
        # Before anything else: nothing may write to a disk that is gone, or to where it was mounted.
        volumes = " and ".join(seen.lost)
        why = f"the volume {volumes} is not attached"
        return (StopForVolume(name, running, why, STOP_TIMEOUT),)
    actions += _stops(workload, seen, records) if up else []
    actions += puts
    actions += removes
    if not seen.linger:
        actions.append(EnableLinger(name))
    if not up:
        actions.append(StartManager(name))
    stale = audit(workload, seen, context.layout, context.allow).stale
    unloaded = name in records.unloaded
    if up and (puts or removes):
        actions.append(Reload(name, why="its unit files change"))
    elif up and unloaded:
        # NeedDaemonReload does not tell of all of them: not of a Quadlet file's drop-ins, nor of a file that is gone.
        actions.append(Reload(name, why="its unit files changed, and were not reloaded"))
    elif up and stale:
        actions.append(Reload(name, why=f"not loaded as they are on the disk: {', '.join(stale)}"))
    actions += _folders(workload, seen)
    changed = bool(puts or removes) or context.rewritten or unloaded
    for wanted in workload.units:
        action = _unit(workload, wanted, seen, records, context, changed=changed)
        if action is not None:
            actions.append(action)
    actions = [*_furnished(workload, seen, records, actions), *actions]
    if actions or not _verified(workload, records.workloads.get(name)):
        why = "what was done has to hold" if actions else "this content has not been verified"
        actions.append(
            Verify(
                name,
                tuple(
                    u.name for u in workload.units if u.role is UnitRole.RUNNING or u.name in context.restore
                ),
                workload.digest,
                workload.options.deadline,
                workload.options.grace,
                why,
            )
        )
    started = {action.unit for action in actions if isinstance(action, STARTS)}
    return (*actions, *_recorded(workload, seen, records, started))


def _furnished(
    workload: Workload, seen: Observed, records: Records, actions: list[Action]
) -> Iterator[CompleteAccount]:
    """Yield what adds to a home that somebody has put there what a home of ours has, before a unit is started on it."""
    name, account = workload.name, seen.account
    record = records.workloads.get(name)
    started = [action.unit for action in actions if isinstance(action, STARTS)]
    if (
        account is not None
        and record is not None
        and (record.uid, record.ownership) == (account.uid, Ownership.CREATED)
        and any(homes.is_another(seen.named, records.started_with(name, unit)) for unit in started)
    ):
        yield CompleteAccount(name, f"its home {account.home} is another folder than it was")


@dataclass(frozen=True, slots=True)
class FileProblem:
    """What is to be said of a workload that is up: a file of the host is missing, or another than it was."""

    reason: str
    message: str
    hint: str


def file_trouble(workload: Workload, seen: Observed, records: Records) -> FileProblem | None:
    """Return what is wrong with the files that a workload names, the worst first; None if nothing is."""
    if seen.account is not None and homes.is_gone(seen.named):
        what = homes.lost(workload, seen.account, records) or "all"
        return FileProblem(homes.MISSING, *homes.trouble(workload.name, seen.account, what))
    running = [unit for unit in workload.units if unit.role is not UnitRole.ON_DEMAND]
    found = [each for unit in running for each in lacking(unit, seen.named)]
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return FileProblem(
            found[0].reason, f"it runs, and would not start again: {found[0].message}{more}", found[0].hint
        )
    stale_ones = [
        (unit.name, seen.named[each.path].path)
        for unit in workload.units
        for each in _stale(workload, unit, seen, records)
    ]
    if not stale_ones:
        return None
    place = workload.options.place
    units = " and ".join(dict.fromkeys(unit for unit, _ in stale_ones))
    files = " and ".join(dict.fromkeys(path for _, path in stale_ones))
    return FileProblem(
        RESTART_PENDING,
        f"{files} changed, and {units} runs with what it was",
        f"eventctl restart {workload.name}; {place.key('files.on_change')} can have that done by itself",
    )


def _stale(
    workload: Workload, wanted: DesiredUnit, seen: Observed, records: Records
) -> tuple[NamedFile, ...]:
    state = seen.units.get(wanted.name)
    changed = stale(wanted, seen.named, records.started_with(workload.name, wanted.name))
    if state is None or not is_on(state) or fresh(changed, seen.named, state):
        return ()
    return changed


def _recorded(
    workload: Workload, seen: Observed, records: Records, started: set[str]
) -> Iterator[RecordFiles]:
    """Yield what is to be remembered of units that were started by somebody else, or before anybody looked."""
    for wanted in workload.units if seen.manager is ManagerState.UP else ():
        state, base = seen.units.get(wanted.name), records.started_with(workload.name, wanted.name)
        if not wanted.named or state is None or not state.up or wanted.name in started:
            continue
        changed = stale(wanted, seen.named, base)
        if unrecorded(wanted, seen.named, base) or (changed and fresh(changed, seen.named, state)):
            now = digests(wanted, seen.named)
            if base is not None:  # what is still to be restarted for is not forgotten
                now |= {each.path: base.files[each.path] for each in _stale(workload, wanted, seen, records)}
            yield RecordFiles(
                workload.name,
                wanted.name,
                tuple(sorted(now.items())),
                "what it was started with is not recorded",
            )


def begins_in_adopted(workload: Workload, records: Records) -> bool:
    """Tell whether nothing of a workload with volumes has been started yet in an account that was handed over."""
    record = records.workloads.get(workload.name)
    return (
        any(not each.chosen for each in workload.stores)
        and record is not None
        and record.ownership is Ownership.ADOPTED
        and not records.units.get(workload.name)
    )


def plan_removal(record: WorkloadRecord, seen: Observed, records: Records) -> tuple[Action, ...]:
    """Return the actions for a workload that left the repository: stop and remove, keep account and data."""
    if record.retained:
        return ()
    name, why = record.name, "it left the repository"
    actions: list[Action] = []
    if seen.manager is ManagerState.UP and seen.account is not None:
        for unit in sorted(records.units.get(name, {}), reverse=True):
            state = seen.units.get(unit)
            if state is not None and state.active is not ActiveState.INACTIVE:
                actions.append(StopUnit(name, unit, why, STOP_TIMEOUT))
    actions += [RemoveFile(name, path, why) for path in sorted(records.files.get(name, {}))]
    if seen.account is None:
        # Somebody has deleted the account: there is nobody left whose lingering or manager could be stopped.
        return (*actions, Orphan(name, why))
    if record.lingering and seen.linger:
        actions.append(DisableLinger(name, why))
    if seen.manager is not ManagerState.DOWN:
        # A person logged in as this user keeps their manager; it only has to forget our units. So does an account
        # that was adopted and lingered before: what else runs there is somebody's.
        theirs = seen.sessions or (record.ownership is Ownership.ADOPTED and not record.lingering)
        actions.append(Reload(name, why) if theirs else StopManager(name, why))
    actions.append(Orphan(name, why))
    return tuple(actions)


def file_is(state: FileState | None, digest: str, mode: int, uid: int) -> bool:
    """Tell whether what stands at a path is the wanted regular file."""
    return (
        state is not None
        and state.kind is FileKind.REGULAR
        and state.digest == digest
        and state.mode == mode
        and state.uid == uid
    )


def mode_of(*, executable: bool) -> int:
    """Permission bits of an installed file: everyone may read it, only root may write it."""
    return 0o755 if executable else 0o644


def is_on(state: UnitState) -> bool:
    """Tell whether a unit runs, or is on its way to, now or by systemd's own restarts."""
    return state.up or state.active is ActiveState.ACTIVATING or state.auto_restarting


def is_renewed(
    name: str, wanted: DesiredUnit, state: UnitState | None, seen: Observed, records: Records
) -> bool:
    """Tell whether there is something else to start than what was started before.

    Another content; or, of a unit that systemd gave up, a file of the host that has come (back) since.
    """
    record = records.unit(name, wanted.name)
    if record is not None and record.digest != wanted.digest:
        return True
    return state is not None and gave_up(state) and came_back(wanted, seen.named, state)


def gave_up(state: UnitState) -> bool:
    """Tell whether systemd has stopped restarting the unit by itself (StartLimitBurst= in systemd.unit(5)).

    The limit shows as `Result=start-limit-hit` only where nothing failed before it; after automatic restarts the
    result stays that of the last exit, so it is the count of those restarts that tells (systemd 257).
    """
    failed = state.active is ActiveState.FAILED and not state.auto_restarting
    return failed and (state.result == "start-limit-hit" or state.restarts > 0)


def _running(workload: Workload, seen: Observed) -> tuple[str, ...]:
    """Return the units to stop when a volume is lost, dependents first: what is on, and what failed along with it."""
    found: list[str] = []
    for wanted in reversed(workload.units):
        state = seen.units.get(wanted.name)
        if state is None:
            continue
        if is_on(state) or (state.active is ActiveState.FAILED and wanted.role is UnitRole.RUNNING):
            found.append(wanted.name)
    return tuple(found)


def _folders(workload: Workload, seen: Observed) -> list[Action]:
    """Return the folders to make on volumes that are attached."""
    account = seen.account
    actions: list[Action] = []
    for use in workload.volumes:
        state = seen.folders.get(use.volume)
        if use.volume in seen.lost or (
            state is not None
            and account is not None
            and (state.kind, state.uid) == (FileKind.DIRECTORY, account.uid)
        ):
            continue
        why = "it is not there" if state is None else f"it belongs to uid {state.uid}"
        actions.append(
            MakeFolder(workload.name, use.volume, use.mount, use.schedulable or state is not None, why)
        )
    return actions


def _files(
    workload: Workload, seen: Observed, records: Records, context: Context
) -> tuple[list[Action], list[Action]]:
    uid = seen.account.uid if seen.account else None
    puts: list[Action] = []
    wanted: set[str] = set()
    for file in workload.files:
        if uid is None:
            puts.append(PutFile(workload.name, file, "it is not there"))
            continue
        path = context.layout.path(file, uid)
        wanted.add(path)
        state = seen.files.get(path)
        if file_is(state, file.digest, mode_of(executable=file.executable), context.owner_uid):
            continue
        puts.append(PutFile(workload.name, file, _why_put(state, file.digest, records, workload.name, path)))
    removes: list[Action] = [
        RemoveFile(workload.name, path, "the repository does not have it any more")
        for path in sorted(records.files.get(workload.name, {}))
        if path not in wanted
    ]
    return puts, removes


def _why_put(state: FileState | None, digest: str, records: Records, workload: str, path: str) -> str:
    record = records.file(workload, path)
    if state is None:
        return "it is not there" if record is None else "it was deleted"
    if record is None or record.digest != digest:
        return "its content changes"
    return "it was changed on the host"


def _stops(workload: Workload, seen: Observed, records: Records) -> list[Action]:
    wanted = {u.name for u in workload.units}
    gone = [u for u in sorted(records.units.get(workload.name, {})) if u not in wanted]
    return [
        StopUnit(workload.name, unit, "the repository does not have it any more", STOP_TIMEOUT)
        for unit in gone
        if (state := seen.units.get(unit)) is not None and state.active is not ActiveState.INACTIVE
    ]


def _unit(
    workload: Workload,
    wanted: DesiredUnit,
    seen: Observed,
    records: Records,
    context: Context,
    *,
    changed: bool,
) -> Action | None:
    """Decide on one unit. Its record says which content it was last *started* with, not which was written."""
    name, unit = workload.name, wanted.name
    state = seen.units.get(unit)
    record = records.unit(name, unit)
    deadline = workload.options.deadline
    renewed = is_renewed(name, wanted, state, seen, records)
    named = tuple(each.path for each in wanted.named if each.content)
    changed_files = _stale(workload, wanted, seen, records)
    # No record, but it runs and no file changes: it was started from just this content (a lost database).
    unknown = record is None and not changed
    on = state is not None and is_on(state)
    moved = any(each.path == HOME for each in changed_files)  # nothing that it writes lasts
    restarts = moved or (bool(changed_files) and workload.options.on_change is OnChange.RESTART)
    if restarts and lacking(wanted, seen.named):
        restarts = False  # it would not come up again
    if unit in seen.stopped:
        return StartAgain(name, unit, wanted.digest, "its volume is back", deadline, named, reset=True)
    if wanted.role is UnitRole.ON_DEMAND:
        if on and renewed and wanted.file_role is FileRole.QUADLET:
            return RestartUnit(name, unit, wanted.digest, "its content changed", deadline, named)
        if on and restarts and wanted.file_role is FileRole.QUADLET:
            return RestartUnit(name, unit, wanted.digest, _why_changed(changed_files, seen), deadline, named)
        if not on and unit in context.restore:
            why = "it ran before the change that is taken back"
            return StartUnit(name, unit, wanted.digest, why, deadline, named, reset=True)
        return None
    if state is None or not on:
        if state is not None and state.active is ActiveState.DEACTIVATING and not renewed:
            return (
                None  # somebody stops it: the end of that is the next event; a start now would cancel theirs
            )
        if state is not None and gave_up(state) and not renewed and not context.forced:
            return None  # systemd's own limit: reported, not fought
        if wanted.role is UnitRole.ONESHOT and record is not None and not renewed:
            return None  # it ran for this content
        why = _why_start(state, renewed=renewed)
        return StartUnit(name, unit, wanted.digest, why, deadline, named, reset=renewed or context.forced)
    if renewed or (record is None and not unknown):
        return RestartUnit(name, unit, wanted.digest, "its content changed", deadline, named)
    if context.restart and wanted.role is UnitRole.RUNNING:
        return RestartUnit(name, unit, wanted.digest, "a restart was asked for", deadline, named)
    if restarts and wanted.role is UnitRole.RUNNING:
        return RestartUnit(name, unit, wanted.digest, _why_changed(changed_files, seen), deadline, named)
    return None


def _why_changed(changed: tuple[NamedFile, ...], seen: Observed) -> str:
    return (
        f"{' and '.join(seen.named[each.path].path for each in changed)} changed, which it was started with"
    )


def _why_start(state: UnitState | None, *, renewed: bool) -> str:
    if state is None or state.load is LoadState.NOT_FOUND:
        return "it is new"
    if renewed:
        return "its content changed"
    if state.active is ActiveState.FAILED:
        return f"it failed ({state.result})"
    return "it is stopped"


def _verified(workload: Workload, record: WorkloadRecord | None) -> bool:
    return record is not None and not record.retained and record.verified_digest == workload.digest
