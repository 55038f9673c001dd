"""The journal: what each kind of step writes down before it acts, and how one that a crash cut off ends.

Pure. Decisions are level-triggered, so most steps need nothing: the next plan looks at the world and does what is
left. The table `ENDINGS` has an entry for every action all the same, since for some the world alone does not tell:
whether it was eventd that made an account, which content a unit was started with, whose the file at a path is. For
those the intent carries what is needed (`detail`), and `settle` judges it by what is found at the start. Carrying
that out is `eventd.runtime.recover`'s.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from eventd.core import actions, storage_actions
from eventd.core.actions import Action
from eventd.core.layout import Layout
from eventd.core.observed import Observed
from eventd.core.records import FileRecord, Records, UnitRecord
from eventd.platform.model_facts import Account, ActiveState, FileKind, FileState, UnitState

ACCOUNT_COMMENT = "eventd workload"
"""In the GECOS field of accounts that eventd makes; with a shell that nobody logs in by, it marks them as ours."""
NO_SHELLS = frozenset({"nologin", "false"})
Detail: TypeAlias = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class OpenStep:
    """A step whose intent was journalled and whose result was not: the daemon died in it, or could not write."""

    run: int
    workload: str
    verb: str
    target: str
    id: int = 0
    detail: str = ""
    """JSON of what `detail` returned."""

    def known(self) -> Detail:
        """Return its detail."""
        return known(self.detail)


class Ended(StrEnum):
    """What became of a step that was found open."""

    RESUMED = "resumed"
    """It had been done, or was done now: its record is written."""
    UNDONE = "undone"
    """It had not been done: what had been recorded ahead of it is taken back."""
    NOT_BEGUN = "not-begun"
    """It had not been done, and there is nothing to take back."""
    REPLANNED = "replanned"
    """The next plan sees how far it got, and goes on from there."""


class Looks(StrEnum):
    """What has to be looked at to settle a step."""

    NOTHING = "nothing"
    ACCOUNT = "account"
    FILE = "file"
    LINGER = "linger"
    UNIT = "unit"
    """Needs the user's manager to be connected, so it comes last."""


@dataclass(frozen=True, slots=True)
class World:
    """What was found, as far as `Looks` says."""

    account: Account | None = None
    file: FileState | None = None
    linger: bool = False
    unit: UnitState | None = None
    """None: the manager does not know it, or cannot be asked."""


@dataclass(frozen=True, slots=True)
class OwnAccount:
    """Record that eventd made the account, and finish what useradd(8) did not get to."""

    account: Account


@dataclass(frozen=True, slots=True)
class SetFile:
    """Set a file's record, None: none."""

    path: str
    record: FileRecord | None


@dataclass(frozen=True, slots=True)
class SetUnit:
    """Set a unit's record, None: none."""

    unit: str
    record: UnitRecord | None


@dataclass(frozen=True, slots=True)
class SetLingering:
    """Set whether it is eventd that enabled lingering."""

    lingering: bool


Change: TypeAlias = OwnAccount | SetFile | SetUnit | SetLingering


@dataclass(frozen=True, slots=True)
class Settlement:
    """How an open step ends."""

    ended: Ended
    note: str
    """A sentence for people."""
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Ending:
    """How one kind of step is finished and undone. The sentences are for the documentation."""

    finish: str
    undo: str
    looks: Looks
    settle: Callable[[OpenStep, World, Records], Settlement]


def detail(action: Action, seen: Observed, records: Records, layout: Layout) -> Detail:
    """Return what an intent has to carry so that the step can be settled without its action."""
    match action:
        case actions.PutFile(workload, file) if seen.account is not None:
            path = layout.path(file, seen.account.uid)
            before = records.file(workload, path)
            known = {"path": path, "digest": file.digest}
            return (
                known if before is None else {**known, "before": before.digest, "before_run": str(before.run)}
            )
        case actions.RemoveFile(_, path):
            return {"path": path}
        case actions.EnableLinger(workload) | actions.DisableLinger(workload):
            record = records.workloads.get(workload)
            return {"lingering": "yes" if record is not None and record.lingering else "no"}
        case actions.StartUnit(_, unit, digest) | actions.RestartUnit(_, unit, digest):
            state = seen.units.get(unit)
            return {"unit": unit, "digest": digest, "invocation": state.invocation if state else ""}
        case actions.StopUnit(_, unit):
            return {"unit": unit}
        case actions.StartManager():
            return {"down": "yes" if is_down(seen.manager_unit) else "no"}
        case _:
            return {}


def is_down(manager: UnitState | None) -> bool:
    """Tell whether a user's manager is known not to run, from the state of its `user@UID.service`."""
    return manager is None or (
        manager.active in (ActiveState.INACTIVE, ActiveState.FAILED) and not manager.job
    )


def known(text: str) -> Detail:
    """Read a detail; nothing where an older version wrote none, or what stands there is none."""
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def settle(step: OpenStep, world: World, records: Records) -> Settlement:
    """Judge an open step by what is found; a verb that this version does not know is left to the plan."""
    ending = ENDINGS.get(step.verb)
    return _replanned(step, world, records) if ending is None else ending.settle(step, world, records)


def _replanned(step: OpenStep, world: World, records: Records) -> Settlement:
    del world, records
    return Settlement(Ended.REPLANNED, f"the next plan of {step.workload} goes on from what is there")


def _account(step: OpenStep, world: World, records: Records) -> Settlement:
    name, found = step.target, world.account
    record = records.workloads.get(name)
    if found is None:
        return Settlement(Ended.NOT_BEGUN, f"the account {name} was not made")
    if record is not None:
        mine = record.run == step.run and record.uid == found.uid
        note = f"the account {name} is recorded"
        return Settlement(Ended.RESUMED, note, (OwnAccount(found),) if mine else ())
    # The intent was written when there was no such account. But the daemon may have been down for long after it
    # died, and a person may have made one of that name meanwhile: theirs has a shell to log in with, or not our mark.
    if found.shell.rpartition("/")[2] not in NO_SHELLS or found.comment != ACCOUNT_COMMENT:
        return Settlement(Ended.NOT_BEGUN, f"the account {name} (uid {found.uid}) is somebody else's")
    note = f"the account {name} (uid {found.uid}) had been made, and is recorded now"
    return Settlement(Ended.RESUMED, note, (OwnAccount(found),))


def _put(step: OpenStep, world: World, records: Records) -> Settlement:
    known = step.known()
    path, digest = known.get("path"), known.get("digest")
    if path is None or digest is None:
        return _replanned(step, world, records)
    record, found = records.file(step.workload, path), world.file
    if found is not None and found.kind is FileKind.REGULAR and found.digest == digest:
        written = (SetFile(path, FileRecord(digest, step.run)),) if record is None else ()
        return Settlement(Ended.RESUMED, f"{path} had been written", written)
    if record is None or record.run != step.run or record.digest != digest:
        # Not recorded yet, or a later step has dealt with the path since.
        return Settlement(Ended.NOT_BEGUN, f"{path} was not written")
    # Recorded ahead of the write. What stands there now, if anything does, is what stood there before it or was put
    # there by somebody while the daemon was down: as far as the record goes it is that of before, too.
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
        return _replanned(step, world, records)
    if not unit.invocation or unit.invocation == known["invocation"]:
        return Settlement(Ended.NOT_BEGUN, f"{name} was not started; the next plan decides")
    if unit.needs_reload or step.workload in records.unloaded:
        return Settlement(Ended.REPLANNED, f"{name} was started, and its files have changed since")
    # Started since the intent was written, and the intent is written after the reload: it runs the new content. As
    # after a start that ends in an error, the record says so whether or not the unit stayed up.
    note = f"{name} had been started with the new content, and is not started again"
    return Settlement(Ended.RESUMED, note, (SetUnit(name, UnitRecord(digest, step.run)),))


def _stop(step: OpenStep, world: World, records: Records) -> Settlement:
    name = step.known().get("unit", step.target)
    if records.unit(step.workload, name) is None:
        return Settlement(Ended.RESUMED, f"{name} had been stopped")
    if world.unit is None or world.unit.active not in (ActiveState.INACTIVE, ActiveState.FAILED):
        return _replanned(step, world, records)
    return Settlement(Ended.RESUMED, f"{name} had been stopped", (SetUnit(name, None),))


PLAN = "the next plan does what is left of it"
BY_REPOSITORY = "by the plan, once the repository does not want it"

_LEFT = (Looks.NOTHING, _replanned)

ENDINGS: Mapping[str, Ending] = {
    actions.CreateAccount.verb: Ending(
        "an account that useradd(8) made is recorded, and what a cut-off useradd left out is made up for",
        "never by itself: an account bears data; out of the repository, it is retained",
        Looks.ACCOUNT,
        _account,
    ),
    actions.AdoptAccount.verb: Ending(PLAN, "eventctl disown gives it back", *_LEFT),
    actions.CompleteAccount.verb: Ending(PLAN, "nothing to undo: ids that nobody uses", *_LEFT),
    actions.PutFile.verb: Ending(
        "a file that was written stays; the next plan has the manager read it",
        "a file that was not written: the old one is whole, and its record is put back",
        Looks.FILE,
        _put,
    ),
    actions.RemoveFile.verb: Ending(
        "a file that is gone loses its record",
        "nothing to undo: the repository has the content",
        Looks.FILE,
        _remove,
    ),
    actions.EnableLinger.verb: Ending(
        PLAN, "lingering that was not enabled is not recorded as eventd's", Looks.LINGER, _linger_on
    ),
    actions.DisableLinger.verb: Ending(
        "lingering that is off is recorded as off", BY_REPOSITORY, Looks.LINGER, _linger_off
    ),
    actions.StartManager.verb: Ending(PLAN, BY_REPOSITORY, *_LEFT),
    actions.StopManager.verb: Ending(PLAN, BY_REPOSITORY, *_LEFT),
    actions.Reload.verb: Ending(
        "files that no finished reload has followed are reloaded by the next plan",
        "nothing to undo",
        *_LEFT,
    ),
    actions.StopUnit.verb: Ending(
        "a unit that is stopped loses its record", BY_REPOSITORY, Looks.UNIT, _stop
    ),
    actions.StartUnit.verb: Ending(
        "a unit that runs since is recorded with the content it runs", BY_REPOSITORY, Looks.UNIT, _start
    ),
    actions.RestartUnit.verb: Ending(
        "a unit that was restarted since is recorded, and not restarted a second time",
        BY_REPOSITORY,
        Looks.UNIT,
        _start,
    ),
    actions.InspectStore.verb: Ending(PLAN, "nothing to undo: it only looks", *_LEFT),
    actions.RecordFiles.verb: Ending(PLAN, "nothing to undo: it only remembers", *_LEFT),
    actions.Verify.verb: Ending("it is verified again", "nothing to undo", *_LEFT),
    actions.Retain.verb: Ending(PLAN, "when it is back in the repository", *_LEFT),
    actions.DeleteAccount.verb: Ending(
        "its stages are written down one by one: it goes on from the last",
        "never: it was signed for, and a deleted home does not come back",
        *_LEFT,
    ),
    actions.ResetStore.verb: Ending(
        "a store that is still damaged is found by the next start, and its reset is asked for anew",
        "by hand: the file lies beside its place",
        *_LEFT,
    ),
    actions.RenameAccount.verb: Ending(
        "what it changes is written down first: it goes on from what is there",
        "renamed back by the repository",
        *_LEFT,
    ),
    actions.PullImages.verb: Ending(
        "an update that was cut off goes on at the start: what runs an old image is restarted and verified",
        "the images of before are tagged back, if what they are replaced by does not hold",
        *_LEFT,
    ),
    actions.TagImages.verb: Ending("the update that it belongs to goes on at the start", PLAN, *_LEFT),
    storage_actions.SealMountPoint.verb: Ending(PLAN, "nothing to undo: a seal on an empty folder", *_LEFT),
    storage_actions.UnsealMountPoint.verb: Ending(PLAN, "nothing to undo: an empty folder is gone", *_LEFT),
    storage_actions.MountVolume.verb: Ending(PLAN, BY_REPOSITORY, *_LEFT),
    storage_actions.UnmountVolume.verb: Ending(PLAN, "mounted again when the repository wants it", *_LEFT),
    storage_actions.ReleaseVolume.verb: Ending(PLAN, "nothing to undo: it only looks", *_LEFT),
    storage_actions.MigrateVolume.verb: Ending(
        PLAN, "eventctl storage migrate --abort, before the switch; the old data stays", *_LEFT
    ),
    storage_actions.ForgetData.verb: Ending(
        "it goes on under the approval that it was begun with", "nothing: what is deleted is gone", *_LEFT
    ),
    storage_actions.NoteVolume.verb: Ending(
        PLAN, "nothing to undo: what is noted is read from the disk", *_LEFT
    ),
    storage_actions.MakeFolder.verb: Ending(PLAN, "nothing to undo: an empty folder", *_LEFT),
    storage_actions.StopForVolume.verb: Ending(PLAN, "started again when the volume is back", *_LEFT),
}
"""Verb -> how a step of it ends. Every action has an entry."""


def writes(verb: str) -> bool:
    """Tell whether a step changes files that the user's manager may have read already."""
    return verb in (actions.PutFile.verb, actions.RemoveFile.verb)


def loads(verb: str, known: Detail) -> bool:
    """Tell whether after such a step, done, the manager has read every file that was written before it."""
    if verb == actions.StartManager.verb:
        return known.get("down") == "yes"  # else it may have been started before the files were written
    return verb in (actions.Reload.verb, actions.StopManager.verb)
