"""Jobs of systemd: created, awaited, and at the deadline looked for in the unit itself.

The end of a job is told by one signal. Should that be lost without anybody being told, a start that went well would
pass for one that hangs, and a revision be taken back for it. So the deadline of a job is a reason to read the unit.
"""

from __future__ import annotations

from eventd.kernel.model.errors import DeadlineError
from eventd.platform.model_facts import ActiveState, UnitState
from eventd.platform.systemd.ports import JobResult, Manager, Verb

_DOWN = (ActiveState.INACTIVE, ActiveState.FAILED)


async def run_job(
    manager: Manager, verb: Verb, unit: str, *, timeout: float, before: UnitState | None = None
) -> JobResult:
    """Have a job done. `before`: the unit as it was, by which a restart is known to have happened.

    Raises what `Manager.job` does; DeadlineError only if the unit, too, does not say that the job is done.
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
