"""What one unit of a workload needs: to be started, restarted, or left alone.

Pure. `eventd.workloads.plan` calls it for each unit, in dependency order.
"""

from __future__ import annotations

from collections.abc import Iterator

from eventd.desired.model import DesiredUnit, FileRole, NamedFile, OnChange, UnitRole, Workload
from eventd.files.model_named import (
    HOME,
    came_back,
    fresh,
    lacking,
    stale,
)
from eventd.kernel.model.action import Action
from eventd.platform.model_facts import ActiveState, LoadState, UnitState
from eventd.workloads.model_actions import (
    RestartUnit,
    StartAgain,
    StartUnit,
)
from eventd.workloads.model_context import Context
from eventd.workloads.model_observed import Observed
from eventd.workloads.model_records import Records


def stale_files(
    workload: Workload, wanted: DesiredUnit, seen: Observed, records: Records
) -> tuple[NamedFile, ...]:
    """Return the files that changed since a running unit was started with them."""
    state = seen.units.get(wanted.name)
    changed = stale(wanted, seen.named, records.started_with(workload.name, wanted.name))
    if state is None or not is_on(state) or fresh(changed, seen.named, state):
        return ()
    return changed


def is_on(state: UnitState) -> bool:
    """Return whether a unit runs or is starting, now or by systemd's own restarts."""
    return state.up or state.active is ActiveState.ACTIVATING or state.auto_restarting


def is_renewed(
    name: str, wanted: DesiredUnit, state: UnitState | None, seen: Observed, records: Records
) -> bool:
    """Return whether a start would differ from the last one.

    The content changed; or, for a unit that systemd gave up on, a file of the host has appeared since.
    """
    record = records.unit(name, wanted.name)
    if record is not None and record.digest != wanted.digest:
        return True
    return state is not None and gave_up(state) and came_back(wanted, seen.named, state)


def gave_up(state: UnitState) -> bool:
    """Return whether systemd has given up restarting the unit (StartLimitBurst= in systemd.unit(5)).

    `Result=start-limit-hit` is set only where nothing failed before it. After automatic restarts the result stays that
    of the last exit, so the number of those restarts decides (systemd 257).
    """
    failed = state.active is ActiveState.FAILED and not state.auto_restarting
    return failed and (state.result == "start-limit-hit" or state.restarts > 0)


def decide_unit(
    workload: Workload,
    wanted: DesiredUnit,
    seen: Observed,
    records: Records,
    context: Context,
    *,
    changed: bool,
) -> Action | None:
    """Decide on one unit. Its record has the content it was last *started* with, not what was written."""
    name, unit = workload.name, wanted.name
    state = seen.units.get(unit)
    record = records.unit(name, unit)
    deadline = workload.options.deadline
    renewed = is_renewed(name, wanted, state, seen, records)
    named = tuple(each.path for each in wanted.named if each.content)
    changed_files = stale_files(workload, wanted, seen, records)
    # No record, but it runs and no file changes: it was started with this content (a lost state file).
    unknown = record is None and not changed
    on = state is not None and is_on(state)
    moved = any(each.path == HOME for each in changed_files)  # nothing that it writes would last
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
            why = "it ran before the change that is rolled back"
            return StartUnit(name, unit, wanted.digest, why, deadline, named, reset=True)
        return None
    if state is None or not on:
        if state is not None and state.active is ActiveState.DEACTIVATING and not renewed:
            return None  # it is being stopped, and the end of that is the next event; a start now would cancel the stop
        if state is not None and gave_up(state) and not renewed and not context.forced:
            return None  # systemd's start limit: reported, not overridden
        if wanted.role is UnitRole.ONESHOT and record is not None and not renewed:
            return None  # it has run with this content
        why = _why_start(state, renewed=renewed)
        return StartUnit(name, unit, wanted.digest, why, deadline, named, reset=renewed or context.forced)
    if renewed or (record is None and not unknown):
        return RestartUnit(name, unit, wanted.digest, "its content changed", deadline, named)
    if context.restart and wanted.role is UnitRole.RUNNING:
        return RestartUnit(name, unit, wanted.digest, "a restart was requested", deadline, named)
    if restarts and wanted.role is UnitRole.RUNNING:
        return RestartUnit(name, unit, wanted.digest, _why_changed(changed_files, seen), deadline, named)
    return None


def corrections(
    workload: Workload, seen: Observed, records: Records
) -> Iterator[tuple[str, DesiredUnit | None]]:
    """Yield units whose records are wrong while nothing is to be done: with what they run, or None for no unit.

    A crash between a start and its record, a start by the manager itself, or a lost state file leaves a unit that runs
    the desired content without a record. A unit stopped by hand before the repository dropped it leaves a record
    without a unit.
    """
    for unit in workload.units:
        state = seen.units.get(unit.name)
        runs = unit.role is UnitRole.RUNNING and state is not None and state.up
        if runs and records.unit(workload.name, unit.name) is None:
            yield unit.name, unit
    wanted = {unit.name for unit in workload.units}
    for name in records.units.get(workload.name, {}):
        state = seen.units.get(name)
        if name not in wanted and (state is None or state.active is ActiveState.INACTIVE):
            yield name, None


def _why_changed(changed: tuple[NamedFile, ...], seen: Observed) -> str:
    return f"{' and '.join(seen.named[each.path].path for each in changed)} changed since its last start"


def _why_start(state: UnitState | None, *, renewed: bool) -> str:
    if state is None or state.load is LoadState.NOT_FOUND:
        return "it is new"
    if renewed:
        return "its content changed"
    if state.active is ActiveState.FAILED:
        return f"it failed ({state.result})"
    return "it is stopped"
