"""Actions on files, managers and units: how each ends in the journal, and what it means for data."""

from __future__ import annotations

from eventd.kernel.model.action_table import ActionRow
from eventd.kernel.model.draft import Draft, Planned
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
from eventd.kernel.model.reversibility import Judgement, Provenance, benign, compensated, destroys
from eventd.platform.model_facts import ActiveState, FileKind
from eventd.workloads.model_actions import (
    DisableLinger,
    EnableLinger,
    PutFile,
    RecordFiles,
    Reload,
    RemoveFile,
    RestartUnit,
    StartManager,
    StartUnit,
    StopManager,
    StopUnit,
)
from eventd.workloads.model_layout import Layout
from eventd.workloads.model_observed import Observed
from eventd.workloads.model_records import FileRecord, Records, UnitRecord
from eventd.workloads.model_recovery import (
    SetFile,
    SetLingering,
    SetUnit,
    WorkloadObservation,
    World,
    is_down,
)


def _put(step: OpenStep, world: World, records: Records) -> Settlement:
    known = step.known()
    path, digest = known.get("path"), known.get("digest")
    if path is None or digest is None:
        return replanned(step, world, records)
    record, found = records.file(step.workload, path), world.file
    if found is not None and found.kind is FileKind.REGULAR and found.digest == digest:
        written = (SetFile(path, FileRecord(digest, step.run)),) if record is None else ()
        return Settlement(Ended.RESUMED, f"{path} had been written", written)
    if record is None or record.run != step.run or record.digest != digest:
        # Not recorded yet, or a later step has dealt with the path since.
        return Settlement(Ended.NOT_BEGUN, f"{path} was not written")
    # The record is made before the write. Whatever is there now was there before, or was put there while the daemon was
    # down: either way the record goes back to the previous one.
    before = None
    if "before" in known:
        before = FileRecord(known["before"], int(known.get("before_run", "0")))
    return Settlement(
        Ended.UNDONE, f"{path} was not written; its record is as before", (SetFile(path, before),)
    )


def _remove(step: OpenStep, world: World, records: Records) -> Settlement:
    path = step.known().get("path", step.target)
    if world.file is not None:
        return Settlement(Ended.REPLANNED, f"{path} was not removed; the next plan decides")
    gone = () if records.file(step.workload, path) is None else (SetFile(path, None),)
    return Settlement(Ended.RESUMED, f"{path} had been removed", gone)


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


def _put_detail(action: PutFile, seen: Observed, records: Records, layout: Layout) -> Detail:
    if seen.account is None:
        return {}
    path = layout.path(action.file, seen.account.uid)
    before = records.file(action.workload, path)
    known = {"path": path, "digest": action.file.digest}
    return known if before is None else {**known, "before": before.digest, "before_run": str(before.run)}


def _remove_detail(action: RemoveFile, seen: Observed, records: Records, layout: Layout) -> Detail:
    del seen, records, layout
    return {"path": action.path}


def _linger_detail(
    action: EnableLinger | DisableLinger, seen: Observed, records: Records, layout: Layout
) -> Detail:
    del seen, layout
    record = records.workloads.get(action.workload)
    return {"lingering": "yes" if record is not None and record.lingering else "no"}


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


def _manager_detail(action: StartManager, seen: Observed, records: Records, layout: Layout) -> Detail:
    del action, records, layout
    return {"down": "yes" if is_down(seen.manager_unit) else "no"}


def _removal(action: RemoveFile, records: Records, run: int) -> Judgement:
    file = records.file(action.workload, action.path)
    # Without a record it is not eventd's, and nothing says that there is another copy.
    origin = Provenance(file.run if file else None, run, bears_data=file is None)
    does = "removes a file that eventd has no record of"
    return destroys(
        origin,
        Draft(
            action.workload,
            (Planned(action.verb, action.path, does),),
            (f"file {action.path}",),
            action.why,
        ),
    )


ACTIONS = (
    ActionRow(
        PutFile,
        Ending(
            "a written file stays; the next plan reloads the manager",
            "if the file was not written, the old one is intact and its record is restored",
            WorkloadObservation.FILE,
            _put,
            detail=_put_detail,
        ),
        compensated,
    ),
    ActionRow(
        RemoveFile,
        Ending(
            "a removed file loses its record",
            "nothing to undo: the repository has the content",
            WorkloadObservation.FILE,
            _remove,
            detail=_remove_detail,
        ),
        _removal,
    ),
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
