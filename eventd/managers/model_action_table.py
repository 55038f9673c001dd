"""The actions on user managers: how each ends in the journal, and what it means for data."""

from __future__ import annotations

from eventd.kernel.model.action_table import ActionRow
from eventd.kernel.model.journal import (
    BY_REPOSITORY,
    PLAN,
    Detail,
    Ended,
    Ending,
    OpenStep,
    Settlement,
)
from eventd.kernel.model.reversibility import benign, compensated
from eventd.managers.model_actions import DisableLinger, EnableLinger, Reload, StartManager, StopManager
from eventd.workloads.model_layout import Layout
from eventd.workloads.model_observed import Observed
from eventd.workloads.model_records import Records
from eventd.workloads.model_recovery import SetLingering, WorkloadObservation, World, is_down


def _linger_on(step: OpenStep, world: World, records: Records) -> Settlement:
    record = records.workloads.get(step.workload)
    if world.linger:
        return Settlement(Ended.RESUMED, f"{step.workload} lingers")
    if record is None or not record.lingering or step.known().get("lingering") != "no":
        return Settlement(Ended.NOT_BEGUN, f"{step.workload} does not linger yet")
    note = f"{step.workload} does not linger; its record is as before"
    return Settlement(Ended.UNDONE, note, (SetLingering(lingering=False),))


def _linger_off(step: OpenStep, world: World, records: Records) -> Settlement:
    record = records.workloads.get(step.workload)
    if world.linger:
        return Settlement(Ended.REPLANNED, f"{step.workload} still lingers; the next plan decides")
    off = (SetLingering(lingering=False),) if record is not None and record.lingering else ()
    return Settlement(Ended.RESUMED, f"{step.workload} does not linger any more", off)


def _linger_detail(
    action: EnableLinger | DisableLinger, seen: Observed, records: Records, layout: Layout
) -> Detail:
    del seen, layout
    record = records.workloads.get(action.workload)
    return {"lingering": "yes" if record is not None and record.lingering else "no"}


def _manager_detail(action: StartManager, seen: Observed, records: Records, layout: Layout) -> Detail:
    del action, records, layout
    return {"down": "yes" if is_down(seen.manager_unit) else "no"}


ACTIONS = (
    ActionRow(
        EnableLinger,
        Ending(
            PLAN,
            "if lingering was not enabled, it is not recorded as eventd's",
            WorkloadObservation.LINGER,
            _linger_on,
            detail=_linger_detail,
        ),
        benign,
    ),
    ActionRow(
        DisableLinger,
        Ending(
            "if lingering is off, that is recorded",
            BY_REPOSITORY,
            WorkloadObservation.LINGER,
            _linger_off,
            detail=_linger_detail,
        ),
        compensated,
    ),
    ActionRow(StartManager, Ending(PLAN, BY_REPOSITORY, detail=_manager_detail), benign),
    ActionRow(StopManager, Ending(PLAN, BY_REPOSITORY), compensated),
    ActionRow(
        Reload,
        Ending(
            "the next plan reloads files that no finished reload has followed",
            "nothing to undo",
        ),
        benign,
    ),
)
"""The rows of the domain."""
