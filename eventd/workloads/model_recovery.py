"""What has to be read to settle an interrupted step on an account, a file or a unit, and how records change then.

Pure. How each step is settled is in the action tables of the domains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from eventd.files.model_actions import PutFile, RemoveFile
from eventd.kernel.model.journal import Detail, Observation
from eventd.managers.model_actions import Reload, StartManager, StopManager
from eventd.platform.model_facts import Account, ActiveState, FileState, UnitState
from eventd.workloads.model_records import FileRecord, UnitRecord

ACCOUNT_COMMENT = "eventd workload"
"""GECOS field of the accounts that eventd makes; together with a nologin shell it marks them as eventd's."""


class WorkloadObservation(Observation):
    """What recovery must observe to settle a step."""

    ACCOUNT = "account"
    FILE = "file"
    LINGER = "linger"
    UNIT = "unit"
    """Needs the user's manager to be connected, so it comes last."""


@dataclass(frozen=True, slots=True)
class World:
    """What was observed: the fields that the step's `WorkloadObservation` requires."""

    account: Account | None = None
    file: FileState | None = None
    linger: bool = False
    unit: UnitState | None = None
    """None: the manager does not know it, or cannot be reached."""


@dataclass(frozen=True, slots=True)
class OwnAccount:
    """Record that eventd made the account, and finish what useradd(8) left undone."""

    account: Account


@dataclass(frozen=True, slots=True)
class SetFile:
    """Set the record of a file; None deletes it."""

    path: str
    record: FileRecord | None


@dataclass(frozen=True, slots=True)
class SetUnit:
    """Set the record of a unit; None deletes it."""

    unit: str
    record: UnitRecord | None


@dataclass(frozen=True, slots=True)
class SetLingering:
    """Set whether eventd enabled lingering."""

    lingering: bool


Change: TypeAlias = OwnAccount | SetFile | SetUnit | SetLingering


def is_down(manager: UnitState | None) -> bool:
    """Return whether a user's manager is known to be down, from the state of its `user@UID.service`."""
    return manager is None or (
        manager.active in (ActiveState.INACTIVE, ActiveState.FAILED) and not manager.job
    )


def writes(verb: str) -> bool:
    """Return whether a step changes files that the user's manager may have read already."""
    return verb in (PutFile.verb, RemoveFile.verb)


def reloads(verb: str, known: Detail) -> bool:
    """Return whether after this step the manager has read every file that was written before it."""
    if verb == StartManager.verb:
        return known.get("down") == "yes"  # otherwise it may have started before the files were written
    return verb in (Reload.verb, StopManager.verb)
