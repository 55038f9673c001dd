"""What is looked at when a step on an account, a file or a unit was cut off, and what becomes of the records then.

Pure. The endings of such steps stand beside the actions, in the tables of their domains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from eventd.kernel.model.journal import Detail, Looks
from eventd.platform.model_facts import Account, ActiveState, FileState, UnitState
from eventd.workloads import model_actions as actions
from eventd.workloads.model_records import FileRecord, UnitRecord

ACCOUNT_COMMENT = "eventd workload"
"""In the GECOS field of accounts that eventd makes; with a shell that nobody logs in by, it marks them as ours."""


class WorkloadLooks(Looks):
    """What has to be looked at to settle a step."""

    ACCOUNT = "account"
    FILE = "file"
    LINGER = "linger"
    UNIT = "unit"
    """Needs the user's manager to be connected, so it comes last."""


@dataclass(frozen=True, slots=True)
class World:
    """What was found, as far as `WorkloadLooks` says."""

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


def is_down(manager: UnitState | None) -> bool:
    """Tell whether a user's manager is known not to run, from the state of its `user@UID.service`."""
    return manager is None or (
        manager.active in (ActiveState.INACTIVE, ActiveState.FAILED) and not manager.job
    )


def writes(verb: str) -> bool:
    """Tell whether a step changes files that the user's manager may have read already."""
    return verb in (actions.PutFile.verb, actions.RemoveFile.verb)


def loads(verb: str, known: Detail) -> bool:
    """Tell whether after such a step, done, the manager has read every file that was written before it."""
    if verb == actions.StartManager.verb:
        return known.get("down") == "yes"  # else it may have been started before the files were written
    return verb in (actions.Reload.verb, actions.StopManager.verb)
