"""Units: stop, start and restart by jobs of the user's manager. The job's result counts, not a later state."""

from __future__ import annotations

from collections.abc import Mapping

from eventd.files.model_named import ABSENT, HOME, UNSURE
from eventd.kernel.model.action import Action
from eventd.kernel.model.errors import DeadlineError, PermanentError, TemporaryError
from eventd.kernel.model.facts import FactKey, FactValue
from eventd.kernel.transaction import SupersededError
from eventd.platform.model_facts import ActiveState, PlatformFact
from eventd.platform.model_facts import unit as as_unit
from eventd.platform.systemd.ports import JobResult, Manager, Verb
from eventd.workloads.controller_transaction import CALLED_OFF, Transaction, UnitFailedError
from eventd.workloads.model_actions import RecordFiles, RestartUnit, StartUnit, StopUnit
from eventd.workloads.model_facts import NamedState, WorkloadFact
from eventd.workloads.model_records import StartedWith, UnitRecord
from eventd_handlers.jobs import run_job
from eventd_handlers.managers import CALL_TIMEOUT

ENDED = frozenset({"canceled", "collected"})
"""Results of a job that somebody else cancelled (org.freedesktop.systemd1, JobRemoved)."""
UNKNOWN = ""
"""The digest recorded for a unit whose content is unknown. No content has this digest."""


async def stop(action: Action, tx: Transaction) -> None:
    """Stop a unit and delete the record of its content."""
    assert isinstance(action, StopUnit)
    manager = await tx.host.user_managers.connect(tx.user(), timeout=CALL_TIMEOUT)
    result = await run_job(manager, Verb.STOP, action.unit, timeout=action.timeout)
    if not result.done:
        raise UnitFailedError(
            f"{action.unit} did not stop: its job ended with {result.result}",
            unit=action.unit,
            reason="stop-failed",
        )
    await tx.inventory.unit(tx.workload, action.unit, None)


async def start(action: Action, tx: Transaction) -> None:
    """Start a unit. If the manager has started it meanwhile, the job does nothing."""
    assert isinstance(action, StartUnit)
    manager = await tx.host.user_managers.connect(tx.user(), timeout=CALL_TIMEOUT)
    if action.reset:
        await manager.reset_failed(action.unit)
    await _run(action, tx, manager, Verb.START)


async def restart(action: Action, tx: Transaction) -> None:
    """Restart a unit, unless it was restarted since the reload together with a unit that it requires."""
    assert isinstance(action, RestartUnit)
    manager = await tx.host.user_managers.connect(tx.user(), timeout=CALL_TIMEOUT)
    before = tx.invocations.get(action.unit)
    if before is not None:
        now = await manager.read_unit(action.unit)
        if now.up and now.invocation != before:
            await tx.inventory.unit(tx.workload, action.unit, UnitRecord(action.digest, tx.run))
            return
    await manager.reset_failed(action.unit)
    await _run(action, tx, manager, Verb.RESTART)


async def record_files(action: Action, tx: Transaction) -> None:
    """Record what a running unit was started with."""
    assert isinstance(action, RecordFiles)
    await tx.inventory.started_with(tx.workload, action.unit, StartedWith(dict(action.files)))


def _states(action: StartUnit | RestartUnit, tx: Transaction) -> dict[str, FactValue]:
    """Return the known states of the named files; the home of a new account only once it was read."""
    states = {path: tx.facts.get(FactKey(WorkloadFact.NAMED, path, tx.workload)) for path in action.named}
    return {path: state for path, state in states.items() if path != HOME or state is not None}


async def _note(
    action: StartUnit | RestartUnit, tx: Transaction, before: Mapping[str, FactValue] | None = None
) -> None:
    """Record the contents of the host's files that a unit was started with: those before the start, if unchanged since.

    A file that changed during the start may have been read before or after the change. None: the start is about to
    begin, and if we die now, the contents are unknown.
    """
    now = _states(action, tx)
    files = dict.fromkeys(now if before is None else before, UNSURE)
    for path, state in (before or {}).items():
        if isinstance(state, NamedState) and state is now.get(path):
            files[path] = state.digest or ABSENT
    if files:
        await tx.inventory.started_with(tx.workload, action.unit, StartedWith(files))


async def _run(action: StartUnit | RestartUnit, tx: Transaction, manager: Manager, verb: Verb) -> None:
    """Run the job.

    A job that we stop waiting for may continue, or may never have been created. A unit that was inactive can only have
    started with the loaded content. For a unit that was active the content is unknown: it may or may not have been
    restarted, and must not count as unchanged.
    """
    files = _states(action, tx)
    await _note(action, tx)
    before = as_unit(tx.facts.get(FactKey(PlatformFact.UNIT, action.unit, tx.workload)))
    try:
        result = await tx.unless_superseded(
            lambda: run_job(manager, verb, action.unit, timeout=action.timeout, before=before)
        )
    except (TemporaryError, SupersededError) as error:
        digest = action.digest if verb is Verb.START else UNKNOWN
        if verb is Verb.START:
            await _note(action, tx, files)
        await tx.inventory.unit(tx.workload, action.unit, UnitRecord(digest, tx.run))
        if not isinstance(error, DeadlineError):
            raise
        raise UnitFailedError(
            f"{action.unit} did not come up within {action.timeout:g} s: its start job is still running",
            unit=action.unit,
            reason="not-up-in-time",
            hint=f"if it needs longer, raise {tx.place.key('health.deadline')}",
        ) from error
    except PermanentError as error:
        # The manager made no job: the unit is missing, masked or malformed. What it has to say is in its journal.
        raise UnitFailedError(
            f"systemd refuses to start {action.unit}: {error.message.partition(': ')[2] or error.message}",
            unit=action.unit,
            reason=error.reason,
            hint=error.hint or f"journalctl USER_UNIT={action.unit} _UID={tx.user().uid}",
        ) from error
    await _note(action, tx, files)
    await _started(action, tx, manager, result)


async def _started(
    action: StartUnit | RestartUnit, tx: Transaction, manager: Manager, result: JobResult
) -> None:
    """Record the content whether or not the job succeeded: the retry is a start, so no restart is needed."""
    await tx.inventory.unit(tx.workload, action.unit, UnitRecord(action.digest, tx.run))
    if result.done:
        return
    if result.result == "dependency":
        await tx.host.user_managers.refresh(tx.workload)
        for key, value in tx.facts.items(PlatformFact.UNIT, tx.workload):
            other = as_unit(value)
            if other is not None and key.name != action.unit and other.active is ActiveState.FAILED:
                raise UnitFailedError(
                    f"{action.unit} did not start: {key.name}, which it requires, failed"
                    f" (result {other.result}, status {other.exec_status}){other.status_suffix}",
                    unit=key.name,
                    reason="dependency-failed",
                    hint=f"journalctl _SYSTEMD_USER_UNIT={key.name} _UID={tx.user().uid}",
                )
    if result.result in ENDED:
        # Not the unit's fault, so no reason to roll back: somebody stopped it, or its manager went away.
        raise UnitFailedError(
            f"the start of {action.unit} was cancelled: its job ended with {result.result}",
            unit=action.unit,
            reason=CALLED_OFF,
            hint="eventd will retry; to keep the workload stopped, use eventctl suspend",
        )
    state = await manager.read_unit(action.unit)
    raise UnitFailedError(
        f"{action.unit} did not start ({'' if result.result == 'failed' else f'job {result.result}, '}"
        f"result {state.result}, status {state.exec_status}){state.status_suffix}",
        unit=action.unit,
        reason="start-failed",
        hint=f"journalctl _SYSTEMD_USER_UNIT={action.unit} _UID={tx.user().uid}",
    )
