"""The actions on files: how each ends in the journal, and what it means for data."""

from __future__ import annotations

from eventd.files.model_actions import PutFile, RemoveFile
from eventd.kernel.model.action_table import ActionRow
from eventd.kernel.model.draft import Draft, Planned
from eventd.kernel.model.journal import (
    Detail,
    Ended,
    Ending,
    OpenStep,
    Settlement,
    replanned,
)
from eventd.kernel.model.reversibility import Judgement, Provenance, compensated, destroys
from eventd.platform.model_facts import FileKind
from eventd.workloads.model_layout import Layout
from eventd.workloads.model_observed import Observed
from eventd.workloads.model_records import FileRecord, Records
from eventd.workloads.model_recovery import SetFile, WorkloadObservation, World


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
)
"""The rows of the domain."""
