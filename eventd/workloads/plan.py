"""The plan: the ordered difference between the desired and the observed state of one workload.

Pure. The same desired state, observation and records give the same actions. When nothing differs there are none, which
is what "converged" means. The order is: stop what is removed, write and remove files, start the manager (or reload it),
start and restart units in dependency order, verify.

What one unit needs is decided by `plan_units`, what becomes of its files by `plan_files`.
"""

from __future__ import annotations

from collections.abc import Iterator

from eventd.accounts import model_homes as homes
from eventd.accounts.model_actions import CompleteAccount, CreateAccount
from eventd.adoption.model_actions import AdoptAccount, InspectStore
from eventd.audit.model import audit
from eventd.desired.model import UnitRole, Workload
from eventd.files.model_named import (
    digests,
    fresh,
    stale,
    unrecorded,
)
from eventd.health.model_actions import Verify
from eventd.kernel.model.action import Action
from eventd.managers.model_actions import EnableLinger, Reload, StartManager
from eventd.platform.model_facts import ActiveState, FileKind
from eventd.storage.model_actions import MakeFolder, StopForVolume
from eventd.workloads.model_actions import STARTS, STOP_TIMEOUT, RecordFiles, StopUnit
from eventd.workloads.model_context import Context
from eventd.workloads.model_facts import ManagerState
from eventd.workloads.model_observed import Observed
from eventd.workloads.model_records import Ownership, Records, WorkloadRecord
from eventd.workloads.plan_files import file_actions
from eventd.workloads.plan_units import decide_unit, is_on, stale_files


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
    puts, removes = file_actions(workload, seen, records, context)
    up = seen.manager is ManagerState.UP
    if up and seen.lost and (running := _running(workload, seen)):
        # Before anything else: nothing may write to a detached disk, or to its mount point.
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
        # NeedDaemonReload does not cover everything: neither drop-ins of a Quadlet file nor a removed file.
        actions.append(Reload(name, why="its unit files changed and were not reloaded"))
    elif up and stale:
        actions.append(Reload(name, why=f"the manager has old versions of {', '.join(stale)}"))
    actions += _folders(workload, seen)
    changed = bool(puts or removes) or context.rewritten or unloaded
    for wanted in workload.units:
        action = decide_unit(workload, wanted, seen, records, context, changed=changed)
        if action is not None:
            actions.append(action)
    actions = [*_furnished(workload, seen, records, actions), *actions]
    if actions or not _verified(workload, records.workloads.get(name)):
        why = "units changed" if actions else "this content has not been verified"
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
    """Yield the action that completes a home that somebody else made, before a unit is started on it."""
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


def _recorded(
    workload: Workload, seen: Observed, records: Records, started: set[str]
) -> Iterator[RecordFiles]:
    """Yield records for units that somebody else started, or that were started before their files were read."""
    for wanted in workload.units if seen.manager is ManagerState.UP else ():
        state, base = seen.units.get(wanted.name), records.started_with(workload.name, wanted.name)
        if not wanted.named or state is None or not state.up or wanted.name in started:
            continue
        changed = stale(wanted, seen.named, base)
        if unrecorded(wanted, seen.named, base) or (changed and fresh(changed, seen.named, state)):
            now = digests(wanted, seen.named)
            if base is not None:  # a pending restart is not forgotten
                now |= {
                    each.path: base.files[each.path] for each in stale_files(workload, wanted, seen, records)
                }
            yield RecordFiles(
                workload.name,
                wanted.name,
                tuple(sorted(now.items())),
                "the contents it was started with are not recorded",
            )


def begins_in_adopted(workload: Workload, records: Records) -> bool:
    """Return whether a workload with volumes has not been started yet in an adopted account."""
    record = records.workloads.get(workload.name)
    return (
        any(not each.chosen for each in workload.stores)
        and record is not None
        and record.ownership is Ownership.ADOPTED
        and not records.units.get(workload.name)
    )


def _running(workload: Workload, seen: Observed) -> tuple[str, ...]:
    """Return the units to stop when a volume is lost, dependents first: running ones, and those that failed with it."""
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
        why = "it does not exist" if state is None else f"it belongs to uid {state.uid}"
        actions.append(
            MakeFolder(workload.name, use.volume, use.mount, use.schedulable or state is not None, why)
        )
    return actions


def _stops(workload: Workload, seen: Observed, records: Records) -> list[Action]:
    wanted = {u.name for u in workload.units}
    gone = [u for u in sorted(records.units.get(workload.name, {})) if u not in wanted]
    return [
        StopUnit(workload.name, unit, "the repository no longer has it", STOP_TIMEOUT)
        for unit in gone
        if (state := seen.units.get(unit)) is not None and state.active is not ActiveState.INACTIVE
    ]


def _verified(workload: Workload, record: WorkloadRecord | None) -> bool:
    return record is not None and not record.retained and record.verified_digest == workload.digest
