"""Reversibility: what an action means for data, by who made the resource and what it bears. Not by its verb.

Pure. *Benign* actions take nothing away. *Compensated* ones do, and eventd can put it back by itself (its files come
from the repository, its units start again), or they undo what the same open transaction made, or destroy what is
tagged scratch. *Destructive* is the rest: what would be gone may be the only copy. The policy `reversibility` holds
those for a signature, so healing can never destroy.

A new action has to be classified here before it type-checks, and a test goes through all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from eventd.core import actions
from eventd.core import storage_actions as storage
from eventd.core.actions import Action
from eventd.core.approvals import Draft, Planned, stamp
from eventd.core.records import Records


class Reversibility(StrEnum):
    """What an action means for data."""

    BENIGN = "benign"
    COMPENSATED = "compensated"
    DESTRUCTIVE = "destructive"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a resource comes from, and what it bears."""

    made_by: int | None
    """The run that made it; None: not eventd, or nobody knows."""
    open_run: int
    """The run that is on; 0: none."""
    bears_data: bool
    scratch: bool = False

    @property
    def own(self) -> bool:
        """The transaction that is still open has made it."""
        return self.made_by is not None and self.made_by == self.open_run != 0


@dataclass(frozen=True, slots=True)
class Judgement:
    """A class, and for a destructive action what would have to be signed."""

    kind: Reversibility
    draft: Draft | None = None


BENIGN = Judgement(Reversibility.BENIGN)
COMPENSATED = Judgement(Reversibility.COMPENSATED)


def destruction(origin: Provenance) -> Reversibility:
    """Classify taking a resource away, or overwriting it."""
    if origin.own or origin.scratch:
        return Reversibility.COMPENSATED
    return Reversibility.DESTRUCTIVE if origin.bears_data else Reversibility.COMPENSATED


def classify(action: Action, records: Records, run: int) -> Judgement:
    """Classify an action of the run `run` (0: none is on)."""
    match action:
        case (
            actions.CreateAccount()
            | actions.AdoptAccount()
            | actions.CompleteAccount()
            | actions.InspectStore()
            | actions.EnableLinger()
            | actions.StartManager()
            | actions.Reload()
            | actions.StartUnit()
            | actions.RestartUnit()
            | actions.RecordFiles()
            | actions.Verify()
            | actions.PullImages()
            | actions.Retain()
            | actions.RenameAccount()
            | storage.SealMountPoint()
            | storage.UnsealMountPoint()
            | storage.MountVolume()
            | storage.NoteVolume()
            | storage.ReleaseVolume()
            | storage.MakeFolder()
        ):
            return BENIGN
        case (
            actions.PutFile()
            | actions.DisableLinger()
            | actions.StopManager()
            | actions.StopUnit()
            | actions.TagImages()
            | storage.UnmountVolume()
            | storage.MigrateVolume()
            | storage.StopForVolume()
        ):
            # What was there comes from the repository and is written or started again by the next plan that wants it.
            return COMPENSATED
        case actions.RemoveFile(workload, path, why):
            file = records.file(workload, path)
            # Without a record it is somebody's, and nothing says that there is another copy.
            origin = Provenance(file.run if file else None, run, bears_data=file is None)
            return _judged(
                origin,
                Draft(
                    workload,
                    (Planned(action.verb, path, "removes a file that eventd has no record of"),),
                    (f"file {path}",),
                    why,
                ),
            )
        case storage.ForgetData():
            origin = Provenance(None, run, bears_data=True)
            does = f"deletes everything on the disk {action.id}, which was the volume {action.target}"
            return _judged(
                origin,
                Draft(
                    action.workload,
                    (Planned(action.verb, action.target, does),),
                    (f"disk {action.id} out of service since {stamp(action.since)}",),
                    action.why,
                ),
            )
        case actions.DeleteAccount():
            # Whether anything was written to a home cannot be told without walking through it. One that a finished
            # run made has been lived in.
            origin = Provenance(action.made_by, run, bears_data=True)
            return _judged(origin, deletion(action))
        case actions.ResetStore():
            return _judged(Provenance(None, run, bears_data=True), reset(action))
        case _:
            assert_never(action)


def deletion(action: actions.DeleteAccount) -> Draft:
    """Return what is signed for the deletion of an account."""
    return Draft(
        action.workload,
        (
            Planned(
                action.verb,
                action.account,
                f"ends every process of {action.account}, deletes {action.home} with everything in it"
                " (containers, images, volumes), and deletes the account and its subordinate ids",
            ),
        ),
        (f"account {action.account} uid {action.uid} home {action.home} made by run {action.made_by}",),
        action.why,
    )


def reset(action: actions.ResetStore) -> Draft:
    """Return what is signed for the reset of a damaged podman store: exactly what goes, and what stays."""
    found, name = action.damage, action.account
    return Draft(
        action.workload,
        (
            Planned(
                action.verb,
                found.path,
                f"moves {found.path} aside and restarts everything of {name}; gone are {found.goes};"
                f" what stays is {found.stays}",
            ),
        ),
        (f"file {found.path} of account {name} uid {action.uid} home {action.home}",),
        found.title,
    )


def _judged(origin: Provenance, draft: Draft) -> Judgement:
    kind = destruction(origin)
    return Judgement(kind, draft if kind is Reversibility.DESTRUCTIVE else None)
