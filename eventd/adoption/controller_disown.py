"""Gives an account back: eventd stops managing it, and its units keep running without eventd.

It happens between two runs, and is journalled as a run of its own. Installed files stay and units keep running. First a
few of eventd's own files are replaced, so that the units also start at boot (`adoption.model_handing_back`). From then
on eventd neither changes nor removes anything of the account. A workload of that name in the repository is refused as
`account-exists` until the account is adopted again.
"""

from __future__ import annotations

from eventd.adoption import model_handing_back as handing_back
from eventd.adoption.model_events import AdoptionEvent
from eventd.desired.model import FileRole, UnitRole
from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.events import Event, KernelOrigin
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.report import Outcome, RunReport, RunResult, WorkloadReport
from eventd.kernel.whole import wholly
from eventd.platform.model_facts import Account, PlatformFact
from eventd.platform.model_facts import unit as as_unit
from eventd.reconciler import Reconciler
from eventd.workloads.model_facts import ManagerState, WorkloadFact
from eventd.workloads.model_removals import Stage

CALL_TIMEOUT = 30.0
"""Seconds for the account's manager to reload its units."""


async def disown(reconciler: Reconciler, name: str, by: int) -> RunReport:
    """Give an account back and return the run that records it. `by`: the uid that asked.

    Raises PermanentError(reason="no-such-workload" | "deletion-begun"), DeadlineError(reason="busy").
    """
    inventory = reconciler.inventory
    async with reconciler.runs.alone():
        if name not in inventory.records.workloads and name not in inventory.grants:
            raise PermanentError(
                f"eventd does not manage an account {name}",
                reason="no-such-workload",
                hint="eventctl status lists the managed accounts",
            )
        removal = inventory.removals.get(name)
        if removal is not None and removal.stage is not Stage.NONE:
            raise PermanentError(f"the deletion of {name} has begun", reason="deletion-begun")
        trigger = reconciler.dispatcher.emit(
            KernelOrigin.REQUEST,
            AdoptionEvent.ADOPTED,
            name,
            scope=name,
            attributes={"by": by, "given": False},
        )
        # Change the files before the records: if a crash or a cancellation comes in between, the account is still
        # # managed, and the next run repairs its files.
        began = reconciler.wall()
        await _leave(reconciler, name)
        return await _forget(reconciler, name, trigger, began)


@wholly
async def _forget(reconciler: Reconciler, name: str, trigger: Event, began: float) -> RunReport:
    inventory, store = reconciler.inventory, reconciler.host.store
    commit = reconciler.desired.commit if reconciler.desired else ""
    run = await store.begin_run(began, commit, f"{trigger.origin}:{trigger.kind}:{name}")
    await inventory.grant(name, None)
    await inventory.removals.put(name, None)
    await inventory.forget(name)
    row = WorkloadReport(
        name,
        Outcome.OK,
        "disowned",
        "given back: its files and units stay, start at boot without eventd. eventd no longer manages it",
        actions=1,
    )
    report = RunReport(
        run, began, commit, (trigger,), ended=reconciler.wall(), result=RunResult.OK, workloads=(row,)
    )
    await store.end_run(report)
    reconciler.forgotten(name)
    return report


async def _leave(reconciler: Reconciler, name: str) -> None:
    """Write the units that run without eventd, and reload the manager if it is up."""
    record, facts = reconciler.inventory.records.workloads.get(name), reconciler.dispatcher.facts
    account = facts.get(FactKey(PlatformFact.ACCOUNT, name))
    if record is None or not isinstance(account, Account) or account.uid != record.uid:
        return
    workload = reconciler.active.workload(name)
    if workload is not None:
        running = {unit.name for unit in workload.units if unit.role is UnitRole.RUNNING}
    else:  # refused, or no longer in the repository: take the units that run
        known = reconciler.inventory.records.units.get(name, {})
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
