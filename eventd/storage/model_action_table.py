"""Actions on volumes, and on workloads because of them: how each is settled, and what it means for data."""

from __future__ import annotations

from eventd.kernel.model.action_table import ActionRow
from eventd.kernel.model.draft import Draft, Planned, stamp
from eventd.kernel.model.journal import BY_REPOSITORY, PLAN, Ending
from eventd.kernel.model.reversibility import Judgement, Provenance, benign, compensated, destroys
from eventd.storage.model_actions import (
    ForgetData,
    MakeFolder,
    MigrateVolume,
    MountVolume,
    NoteVolume,
    ReleaseVolume,
    SealMountPoint,
    StopForVolume,
    UnmountVolume,
    UnsealMountPoint,
)
from eventd.workloads.model_records import Records


def forget(action: ForgetData) -> Draft:
    """Return what must be signed to delete the data on a former disk of a volume."""
    does = f"deletes everything on the disk {action.id}, which was the volume {action.target}"
    return Draft(
        action.workload,
        (Planned(action.verb, action.target, does),),
        (f"disk {action.id} out of service since {stamp(action.since)}",),
        action.why,
    )


def _forget(action: ForgetData, records: Records, run: int) -> Judgement:
    del records
    return destroys(Provenance(None, run, bears_data=True), forget(action))


ACTIONS = (
    ActionRow(SealMountPoint, Ending(PLAN, "nothing to undo: a seal on an empty folder"), benign),
    ActionRow(UnsealMountPoint, Ending(PLAN, "nothing to undo: an empty folder is gone"), benign),
    ActionRow(MountVolume, Ending(PLAN, BY_REPOSITORY), benign),
    ActionRow(UnmountVolume, Ending(PLAN, "mounted again when the repository wants it"), compensated),
    ActionRow(ReleaseVolume, Ending(PLAN, "nothing to undo: it only checks"), benign),
    ActionRow(
        NoteVolume,
        Ending(
            PLAN,
            "nothing to undo: it only writes a record",
        ),
        benign,
    ),
    ActionRow(MakeFolder, Ending(PLAN, "nothing to undo: an empty folder"), benign),
    ActionRow(StopForVolume, Ending(PLAN, "started again when the volume is back"), compensated),
    ActionRow(
        MigrateVolume,
        Ending(
            PLAN,
            "eventctl storage migrate --abort, before the switch; the old data stays",
        ),
        compensated,
    ),
    ActionRow(
        ForgetData,
        Ending(
            "it continues under the same approval",
            "never: deleted data is gone",
        ),
        _forget,
    ),
)
"""The rows of the domain."""
