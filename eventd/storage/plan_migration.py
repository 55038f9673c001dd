"""Migrations of a volume's data to another disk: the record, the phases, and the next step.

Pure. A migrated volume keeps its name and its path; from then on a folder on the other volume is mounted there. Until
the switch the old file system is only read, so a migration is undone by deleting the copy. The data on the old disk
stays.

    prepare -> quiesce -> copy -> verify -> switch -> done        (a failure before the switch: undo -> failed)
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum

from eventd.platform.model_facts import ActiveState, UnitState


class Phase(StrEnum):
    """The phase. Recorded before it begins."""

    PREPARE = "prepare"
    """Check for free space and conflicts. Workloads still run."""
    QUIESCE = "quiesce"
    """The users of the volume stop, and it is unmounted."""
    COPY = "copy"
    VERIFY = "verify"
    """Everything is read again from both disks and compared."""
    SWITCH = "switch"
    """The copy is moved into place and mounted as the volume. From here on it cannot be aborted."""
    DONE = "done"
    UNDO = "undo"
    """It failed or was aborted: the copy is deleted and the volume is mounted as before."""
    FAILED = "failed"


OVER = (Phase.DONE, Phase.FAILED)
AT_WORK = (Phase.QUIESCE, Phase.COPY, Phase.VERIFY, Phase.SWITCH, Phase.UNDO)
"""Phases in which nothing may use the volume."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration. The last one of each volume is kept."""

    volume: str
    to: str
    phase: Phase
    by: str
    """Who requested it."""
    began: float
    """Seconds since the epoch."""
    since: float
    """Seconds since the epoch, when the phase began."""
    ended: float = 0.0
    size: int = 0
    """Bytes in use on the old file system."""
    files: int = 0
    """The number of compared files; before that, the inodes in use on the old file system."""
    error: str = ""
    """Why it failed."""
    hint: str = ""
    old_id: str = ""
    """`uuid …` of the old disk."""
    forgotten: float = 0.0
    """Seconds since the epoch, when the old data was deleted."""

    @property
    def on(self) -> bool:
        """Whether it is still running."""
        return self.phase not in OVER

    @property
    def begun(self) -> bool:
        """Whether nothing may use the volume because of it."""
        return self.phase in AT_WORK

    def to_phase(self, phase: Phase, now: float) -> Migration:
        """Return the migration in another phase."""
        return replace(self, phase=phase, since=now, ended=now if phase in OVER else 0.0)


class Step(StrEnum):
    """The next step."""

    PREPARE = "prepare"
    COPY = "copy"
    VERIFY = "verify"
    SWITCH = "switch"
    FINISH = "finish"
    UNDO = "undo"


class Job(StrEnum):
    """A long job. It runs in a unit of its own, independent of the daemon."""

    COPY = "copy"
    VERIFY = "verify"
    DISCARD = "discard"
    FORGET = "forget"


PATIENCE = 300.0
"""Seconds without progress after which a migration is undone, so that the volume's users can start again."""
PRIVATE = "/run/eventd-migration"
"""Where the old disk is mounted; accessible to root only (0700)."""


def private_mount(volume: str) -> str:
    """Return where the old disk of a volume is mounted while it is copied."""
    return f"{PRIVATE}/{volume}"


def draft_of(volume: str) -> str:
    """Return the folder of the unfinished copy on the other volume (as in `eventd.storage.volume.moving`)."""
    return f".eventd-migration-{volume}"


def job_unit(job: Job, volume: str) -> str:
    """Return the name of its unit."""
    return f"eventd-{job}-{volume}.service"


def job_of(unit: str) -> str:
    """Return the volume of a job's unit; empty if it is another unit."""
    for job in Job:
        head = f"eventd-{job}-"
        if unit.startswith(head) and unit.endswith(".service"):
            return unit.removeprefix(head).removesuffix(".service")
    return ""


def folder_on(volume: str) -> str:
    """Return the folder on the other volume. No workload's name has a dot, so it is no workload's folder."""
    return f"volume.{volume}"


def next_step(row: Migration, unit: UnitState | None, *, switched: bool, late: bool = False) -> Step | None:
    """Return the next step; None if it waits for the unit of a job. `unit`: the job of the phase.

    `late`: the users of the volume did not stop within PATIENCE.
    """
    match row.phase:
        case Phase.PREPARE:
            return Step.PREPARE
        case Phase.QUIESCE:
            return Step.UNDO if late else Step.COPY
        case Phase.COPY:
            return _step_after(unit, again=Step.COPY, then=Step.VERIFY)
        case Phase.VERIFY:
            return _step_after(unit, again=Step.VERIFY, then=Step.SWITCH)
        case Phase.SWITCH:
            return Step.FINISH if switched else Step.SWITCH
        case Phase.UNDO:
            return Step.UNDO
        case _:
            return None


def _step_after(unit: UnitState | None, *, again: Step, then: Step) -> Step | None:
    if unit is None or unit.active is ActiveState.INACTIVE:
        return again  # a reboot ended it, or somebody stopped it
    if unit.active is ActiveState.FAILED:
        return Step.UNDO
    if unit.active is ActiveState.ACTIVE and unit.sub == "exited":
        return then
    return None


@dataclass(frozen=True, slots=True)
class Forgetting:
    """A request to delete the data on a disk that is out of service. It waits for a signature."""

    volume: str
    id: str
    """`uuid …` of the disk."""
    since: float
    """Seconds since the epoch, when it went out of service."""
    by: str
    asked: float
    """Seconds since the epoch."""


def message_of(said: str) -> tuple[str, str]:
    """Return message and hint from the output of a failed job; empty if there is none."""
    try:
        found = json.loads(said)
        return str(found.get("message", "")), str(found.get("hint", ""))
    except (ValueError, AttributeError):
        return "", ""


def count_of(said: str) -> int:
    """Return how many files a job compared; 0 if its output does not say."""
    try:
        return int(json.loads(said).get("files", 0))
    except (ValueError, AttributeError, TypeError):
        return 0
