"""Giving an account back: eventd forgets that it is its own, and leaves what runs there to run without it.

Between two runs, so that none is at work on it, and with a run of its own in the journal. What was installed stays and
goes on running; a few files of eventd's own change first, so that it also starts at a boot (`core.handing_back`).
eventd neither changes nor removes anything of it from then on. A workload of that name in the repository is refused as
`account-exists` until the account is handed over again.
"""

from __future__ import annotations

from eventd.adoption.model_events import AdoptionEvent
from eventd.core import handing_back
from eventd.core.desired import FileRole, UnitRole
from eventd.core.errors import PermanentError
from eventd.core.events import Event, KernelOrigin
from eventd.core.facts import FactKey
from eventd.core.removals import Stage
from eventd.core.report import Outcome, RunReport, RunResult, WorkloadReport
from eventd.platform.model_facts import Account, PlatformFact
from eventd.platform.model_facts import unit as as_unit
from eventd.runtime.reconcile import Reconciler
from eventd.runtime.whole import wholly
from eventd.workloads.model_facts import ManagerState, WorkloadFact

CALL_TIMEOUT = 30.0
"""Seconds for the account's manager to load its units afresh."""


async def disown(reconciler: Reconciler, name: str, by: int) -> RunReport:
    """Forget an account and return the run that says so; `by` is the uid that asked.

    Raises PermanentError(reason="no-such-workload" | "deletion-begun"), DeadlineError(reason="busy").
    """
    ledger = reconciler.ledger
    async with reconciler.runs.alone():
        if name not in ledger.records.workloads and name not in ledger.grants:
            raise PermanentError(
                f"eventd has no account {name}",
                reason="no-such-workload",
                hint="eventctl status lists what it has",
            )
        removal = ledger.removals.get(name)
        if removal is not None and removal.stage is not Stage.NONE:
            raise PermanentError(f"the deletion of {name} has begun", reason="deletion-begun")
        trigger = reconciler.dispatcher.emit(
            KernelOrigin.REQUEST,
            AdoptionEvent.ADOPTED,
            name,
            scope=name,
            attributes={"by": by, "given": False},
        )
        # Before it is forgotten: after a crash in between, or if nobody waits for it any more, it is eventd's, which
        # puts its files right again.
        began = reconciler.wall()
        await _leave(reconciler, name)
        return await _forget(reconciler, name, trigger, began)


@wholly
async def _forget(reconciler: Reconciler, name: str, trigger: Event, began: float) -> RunReport:
    ledger, store = reconciler.ledger, reconciler.host.store
    commit = reconciler.desired.commit if reconciler.desired else ""
    run = await store.begin_run(began, commit, f"{trigger.origin}:{trigger.kind}:{name}")
    await ledger.grant(name, None)
    await ledger.removals.put(name, None)
    await ledger.forget(name)
    row = WorkloadReport(
        name,
        Outcome.OK,
        "disowned",
        "given back: its files and units stay, start at boot without eventd, and are eventd's no more",
        actions=1,
    )
    report = RunReport(
        run, began, commit, (trigger,), ended=reconciler.wall(), result=RunResult.OK, workloads=(row,)
    )
    await store.end_run(report)
    reconciler.forgotten(name)
    return report


async def _leave(reconciler: Reconciler, name: str) -> None:
    """Write what is left to run without eventd, and have the manager load it if it is up."""
    record, facts = reconciler.ledger.records.workloads.get(name), reconciler.dispatcher.facts
    account = facts.get(FactKey(PlatformFact.ACCOUNT, name))
    if record is None or not isinstance(account, Account) or account.uid != record.uid:
        return
    workload = reconciler.in_force.workload(name)
    if workload is not None:
        running = {unit.name for unit in workload.units if unit.role is UnitRole.RUNNING}
    else:  # refused, or not in the repository any more: what runs of it
        known = reconciler.ledger.records.units.get(name, {})
        states = {unit: as_unit(facts.get(FactKey(PlatformFact.UNIT, unit, name))) for unit in known}
        running = {unit for unit, state in states.items() if state is not None and state.up}
    files = workload.files if workload is not None else ()
    companions = {file.name: file.content for file in files if file.role is FileRole.COMPANION}
    folder = reconciler.context.layout.folder(FileRole.COMPANION, record.uid)
    changes = handing_back.changes(companions, running)
    for path, content in sorted(changes.items()):
        if content is None:
            await reconciler.host.files.remove(f"{folder}/{path}")
        else:
            await reconciler.host.files.put(f"{folder}/{path}", content, mode=0o644)
    if changes and facts.get(FactKey(WorkloadFact.MANAGER, name)) is ManagerState.UP:
        manager = await reconciler.host.user_managers.connect(account, timeout=CALL_TIMEOUT)
        await manager.reload(timeout=CALL_TIMEOUT)
