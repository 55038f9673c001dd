"""Migrations of a volume's data to another disk: the record, the phases, and the next step.

Pure. A volume that was migrated keeps its name and its path; what is mounted there from then on is a folder on the
other volume. Until the switch the old file system is only read, so everything before it can be taken back by forgetting
the copy. The data on the old disk stays.

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
    """Is there room, and nothing in the way? Workloads run."""
    QUIESCE = "quiesce"
    """What uses the volume stops, and it is unmounted."""
    COPY = "copy"
    VERIFY = "verify"
    """Everything is read from both disks again, and compared."""
    SWITCH = "switch"
    """The copy gets its place, and is mounted as the volume. There is no way back from here."""
    DONE = "done"
    UNDO = "undo"
    """It failed or was aborted: the copy is deleted, and the volume is mounted as before."""
    FAILED = "failed"


OVER = (Phase.DONE, Phase.FAILED)
AT_WORK = (Phase.QUIESCE, Phase.COPY, Phase.VERIFY, Phase.SWITCH, Phase.UNDO)
"""Phases in which nothing may use the volume."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration; the last one of a volume is kept."""

    volume: str
    to: str
    phase: Phase
    by: str
    """Who asked."""
    began: float
    """Seconds since the epoch."""
    since: float
    """Seconds since the epoch, when the phase began."""
    ended: float = 0.0
    size: int = 0
    """Bytes in use on the old file system."""
    files: int = 0
    """Files that were compared; before that, inodes in use on the old file system."""
    error: str = ""
    """Why it failed."""
    hint: str = ""
    old_id: str = ""
    """`uuid …` of the disk that it came from."""
    forgotten: float = 0.0
    """Seconds since the epoch, when the old data was deleted."""

    @property
    def on(self) -> bool:
        """Whether it is not over."""
        return self.phase not in OVER

    @property
    def begun(self) -> bool:
        """Whether nothing may use the volume because of it."""
        return self.phase in AT_WORK

    def to_phase(self, phase: Phase, now: float) -> Migration:
        """Return it in another phase."""
        return replace(self, phase=phase, since=now, ended=now if phase in OVER else 0.0)


class Step(StrEnum):
    """What is done next."""

    PREPARE = "prepare"
    COPY = "copy"
    VERIFY = "verify"
    SWITCH = "switch"
    FINISH = "finish"
    UNDO = "undo"


class Job(StrEnum):
    """What runs in a unit of its own, for as long as it takes, whether or not the daemon lives."""

    COPY = "copy"
    VERIFY = "verify"
    DISCARD = "discard"
    FORGET = "forget"


PATIENCE = 300.0
"""Seconds for which a migration without progress may keep the volume's users stopped, before it is undone."""
PRIVATE = "/run/eventd-migration"
"""Where a disk is mounted that nobody but root may get to (0700)."""


def private_mount(volume: str) -> str:
    """Return where the old disk of a volume is mounted while it is copied."""
    return f"{PRIVATE}/{volume}"


def draft_of(volume: str) -> str:
    """Return the folder on the other volume in which the copy grows (as in `eventd.storage.volume.moving`)."""
    return f".eventd-migration-{volume}"


def job_unit(job: Job, volume: str) -> str:
    """Return the name of its unit."""
    return f"eventd-{job}-{volume}.service"


def job_of(unit: str) -> str:
    """Return the volume that a unit works for, empty if it is no such unit."""
    for job in Job:
        head = f"eventd-{job}-"
        if unit.startswith(head) and unit.endswith(".service"):
            return unit.removeprefix(head).removesuffix(".service")
    return ""


def folder_on(volume: str) -> str:
    """Return the folder on the other volume. The dot: no workload's name, and so no workload's folder, has one."""
    return f"volume.{volume}"


def next_step(row: Migration, unit: UnitState | None, *, switched: bool, late: bool = False) -> Step | None:
    """Return what is to be done, None if it waits for a unit's end. `unit`: the job of the phase.

    `late`: what uses the volume has not stopped for PATIENCE.
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
        return again  # a reboot, or somebody stopped it
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
    """Return message and hint of what a job said of its failure; empty if it said nothing."""
    try:
        found = json.loads(said)
        return str(found.get("message", "")), str(found.get("hint", ""))
    except (ValueError, AttributeError):
        return "", ""


def count_of(said: str) -> int:
    """Return how many files a job compared; 0 if it did not say."""
    try:
        return int(json.loads(said).get("files", 0))
    except (ValueError, AttributeError, TypeError):
        return 0
