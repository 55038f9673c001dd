"""systemd jobs: create one, await it, and at the deadline check the unit itself.

A single signal announces the end of a job. If it were lost silently, a successful start would look like a hanging one,
and a revision would be rolled back for it. So at the deadline the unit is read.
"""

from __future__ import annotations

from eventd.kernel.model.errors import DeadlineError
from eventd.platform.model_facts import ActiveState, UnitState
from eventd.platform.systemd.ports import JobResult, Manager, Verb

_DOWN = (ActiveState.INACTIVE, ActiveState.FAILED)


async def run_job(
    manager: Manager, verb: Verb, unit: str, *, timeout: float, before: UnitState | None = None
) -> JobResult:
    """Run a job to its end. `before`: the state before it, which shows whether a restart has happened.

    Raises what `Manager.job` does; DeadlineError only if the unit itself does not show that the job is done.
    """
    try:
        return await manager.job(verb, unit, timeout=timeout)
    except DeadlineError:
        if not _is_done(verb, await manager.read_unit(unit), before):
            raise
        return JobResult(unit, "done")


def _is_done(verb: Verb, now: UnitState, before: UnitState | None) -> bool:
    if now.job:
        return False
    match verb:
        case Verb.START:
            return now.up
        case Verb.RESTART:
            return now.up and before is not None and now.invocation != before.invocation
        case Verb.STOP:
            return now.active in _DOWN
