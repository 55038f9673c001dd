"""The plan of a workload that left the repository: stop it and remove its files. Account and data stay.

Pure.
"""

from __future__ import annotations

from eventd.files.model_actions import RemoveFile
from eventd.kernel.model.action import Action
from eventd.managers.model_actions import DisableLinger, Reload, StopManager
from eventd.platform.model_facts import ActiveState
from eventd.removal.model_actions import Orphan
from eventd.workloads.model_actions import STOP_TIMEOUT, StopUnit
from eventd.workloads.model_facts import ManagerState
from eventd.workloads.model_observed import Observed
from eventd.workloads.model_records import Ownership, Records, WorkloadRecord


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
        # The account was deleted: there is no lingering and no manager to stop.
        return (*actions, Orphan(name, why))
    if record.lingering and seen.linger:
        actions.append(DisableLinger(name, why))
    if seen.manager is not ManagerState.DOWN:
        # A person logged in as this user keeps the manager, which only has to drop our units. The same goes for an
        # adopted account that lingered before: other things may run there.
        theirs = seen.sessions or (record.ownership is Ownership.ADOPTED and not record.lingering)
        actions.append(Reload(name, why) if theirs else StopManager(name, why))
    actions.append(Orphan(name, why))
    return tuple(actions)
