"""systemd's job queue: merging, cancelling, ordering and results (job.c of systemd 257).

One job per unit. A second start merges into the first; a stop cancels a start, and vice versa. A
job waits for the jobs of the units it is ordered after. Decides when units are started; never how.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventd.platform.model_facts import ActiveState
from eventd_simulators.model.signals import JobNew, JobRemoved
from eventd_simulators.model.unit import DOWN, Step, Unit

if TYPE_CHECKING:
    from eventd_simulators.model.manager import Manager

_STOPS_FIRST = ("stop", "restart")


class Job:
    """A queued or running job."""

    def __init__(self, number: int, kind: str, unit: Unit) -> None:
        self.id = number
        self.kind = kind
        """start, stop or restart (which is a stop that becomes a start)."""
        self.unit = unit
        self.running = False


class JobQueue:
    """The jobs of one manager."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._jobs: dict[int, Job] = {}
        self._next = 1
        self._scheduled = False

    def all(self) -> list[Job]:
        """Return them, oldest first."""
        return list(self._jobs.values())

    def get(self, number: int) -> Job | None:
        """Return a job by its id."""
        return self._jobs.get(number)

    def add(self, kind: str, unit: Unit) -> Job:
        """Install a job in mode `replace`: merge with the unit's job, or cancel it if they contradict."""
        old = unit.job
        if old is not None:
            if (old.kind == "stop") == (kind == "stop"):
                if old.kind != kind and kind == "restart":
                    old.kind = "restart"
                    old.running = False
                self.schedule()
                return old
            self.finish(old, "canceled")
        job = Job(self._next, kind, unit)
        self._next += 1
        self._jobs[job.id] = job
        unit.job = job
        self._manager.mark(unit)
        self._manager.hub.send(JobNew(self._manager.scope, job.id, unit.name))
        self.schedule()
        return job

    def finish(self, job: Job, result: str) -> None:
        """Remove a job; what requires a unit that did not start fails with it."""
        if self._jobs.pop(job.id, None) is None:
            return
        job.unit.job = None
        self._manager.mark(job.unit)
        # bus_job_send_removed_signal(): the unit's properties are sent out before the end of its job.
        self._manager.flush(job.unit)
        self._manager.hub.send(JobRemoved(self._manager.scope, job.id, job.unit.name, result))
        if result not in ("done", "skipped") and job.kind != "stop":
            for other in self.all():
                if other.kind != "stop" and job.unit.name in other.unit.definition.pulls_in:
                    self.finish(other, "dependency")
        self.schedule()

    def notify(self, unit: Unit) -> None:
        """Apply a change of state to the unit's job (unit_process_job)."""
        job = unit.job
        if job is not None:
            if job.kind == "start":
                if unit.active is ActiveState.ACTIVE:
                    self.finish(job, "done")
                elif job.running and unit.active in DOWN:
                    self.finish(job, "failed" if unit.active is ActiveState.FAILED else "done")
            elif unit.active in DOWN:
                if job.kind == "stop":
                    self.finish(job, "done")
                else:
                    job.kind = "start"
                    job.running = False
            elif job.running and unit.active is not ActiveState.DEACTIVATING:
                self.finish(job, "failed")
        self.schedule()

    def schedule(self) -> None:
        """Dispatch the waiting jobs soon; not at once, because the caller that adds a job gets its answer first."""
        if not self._scheduled:
            self._scheduled = True
            self._manager.clock.call_later(0, self._dispatch)

    def clear(self) -> None:
        """Forget everything: the manager is gone."""
        self._jobs.clear()

    def _dispatch(self) -> None:
        self._scheduled = False
        if self._manager.reloading:
            return
        for job in self.all():
            if not job.running and job.id in self._jobs and not self._has_to_wait(job):
                self._begin(job)
        waiting = [job for job in self.all() if not job.running]
        if waiting and len(waiting) == len(self._jobs) and all(self._has_to_wait(job) for job in waiting):
            # An ordering cycle: systemd deletes one of its jobs when it builds the transaction.
            self.finish(waiting[-1], "canceled")

    def _begin(self, job: Job) -> None:
        unit = job.unit
        if job.kind == "restart" and unit.active in DOWN:
            job.kind = "start"
        job.running = True
        step = unit.start() if job.kind == "start" else unit.stop()
        if unit.job is not job:
            return
        match step:
            case Step.ALREADY:
                self.finish(job, "done")
            case Step.FAILED:
                self.finish(job, "failed")
            case Step.LATER:
                job.running = False
            case Step.BEGUN:
                pass

    def _has_to_wait(self, job: Job) -> bool:
        """job_compare(): stops go first; else the unit that the other is ordered after."""
        mine = job.unit.definition.after
        for other in self._jobs.values():
            if other is job:
                continue
            if other.unit.name in mine and job.kind not in _STOPS_FIRST:
                return True
            if job.unit.name in other.unit.definition.after and other.kind in _STOPS_FIRST:
                return True
        return False
