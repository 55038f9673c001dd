"""The actions on units: how each ends in the journal, and what it means for data."""

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
    replanned,
)
from eventd.kernel.model.reversibility import benign, compensated
from eventd.platform.model_facts import ActiveState
from eventd.workloads.model_actions import RecordFiles, RestartUnit, StartUnit, StopUnit
from eventd.workloads.model_layout import Layout
from eventd.workloads.model_observed import Observed
from eventd.workloads.model_records import Records, UnitRecord
from eventd.workloads.model_recovery import SetUnit, WorkloadObservation, World


def _start(step: OpenStep, world: World, records: Records) -> Settlement:
    known, unit = step.known(), world.unit
    name, digest = known.get("unit", step.target), known.get("digest", "")
    record = records.unit(step.workload, name)
    if record is not None and record.run >= step.run:
        return Settlement(Ended.RESUMED, f"{name} is recorded")
    if unit is None or "invocation" not in known or not digest:
        return replanned(step, world, records)
    if not unit.invocation or unit.invocation == known["invocation"]:
        return Settlement(Ended.NOT_BEGUN, f"{name} was not started; the next plan decides")
    if unit.needs_reload or step.workload in records.unloaded:
        return Settlement(Ended.REPLANNED, f"{name} was started, and its files have changed since")
    # Started after the intent was written, which is after the reload: it runs the new content. As after a start that
    # ends in an error, the record says so whether or not the unit stayed up.
    note = f"{name} had been started with the new content, and is not started again"
    return Settlement(Ended.RESUMED, note, (SetUnit(name, UnitRecord(digest, step.run)),))


def _stop(step: OpenStep, world: World, records: Records) -> Settlement:
    name = step.known().get("unit", step.target)
    if records.unit(step.workload, name) is None:
        return Settlement(Ended.RESUMED, f"{name} had been stopped")
    if world.unit is None or world.unit.active not in (ActiveState.INACTIVE, ActiveState.FAILED):
        return replanned(step, world, records)
    return Settlement(Ended.RESUMED, f"{name} had been stopped", (SetUnit(name, None),))


def _start_detail(
    action: StartUnit | RestartUnit, seen: Observed, records: Records, layout: Layout
) -> Detail:
    del records, layout
    state = seen.units.get(action.unit)
    return {
        "unit": action.unit,
        "digest": action.digest,
        "invocation": state.invocation if state else "",
    }


def _stop_detail(action: StopUnit, seen: Observed, records: Records, layout: Layout) -> Detail:
    del seen, records, layout
    return {"unit": action.unit}


ACTIONS = (
    ActionRow(
        StopUnit,
        Ending(
            "a stopped unit loses its record",
            BY_REPOSITORY,
            WorkloadObservation.UNIT,
            _stop,
            detail=_stop_detail,
        ),
        compensated,
    ),
    ActionRow(
        StartUnit,
        Ending(
            "a unit that started since is recorded with the content it runs",
            BY_REPOSITORY,
            WorkloadObservation.UNIT,
            _start,
            detail=_start_detail,
        ),
        benign,
    ),
    ActionRow(
        RestartUnit,
        Ending(
            "a unit that was restarted since is recorded, and is not restarted again",
            BY_REPOSITORY,
            WorkloadObservation.UNIT,
            _start,
            detail=_start_detail,
        ),
        benign,
    ),
    ActionRow(RecordFiles, Ending(PLAN, "nothing to undo: it only writes a record"), benign),
)
"""The rows of the domain."""
