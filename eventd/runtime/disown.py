"""Giving an account back: eventd forgets that it is its own, and leaves everything as it is.

Between two runs, so that none is at work on it, and with a run of its own in the journal. What was installed stays and
goes on running; eventd neither changes nor removes it from then on. A workload of that name in the repository is
refused as `account-exists` until the account is handed over again.
"""

from __future__ import annotations

from eventd.core.errors import PermanentError
from eventd.core.events import EventKind, Origin
from eventd.core.removals import Stage
from eventd.core.report import Outcome, RunReport, RunResult, WorkloadReport
from eventd.runtime.reconcile import Reconciler


async def disown(reconciler: Reconciler, name: str, by: int) -> RunReport:
    """Forget an account and return the run that says so; `by` is the uid that asked.

    Raises PermanentError(reason="no-such-workload" | "deletion-begun"), DeadlineError(reason="busy").
    """
    ledger, store = reconciler.ledger, reconciler.host.store
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
            Origin.REQUEST, EventKind.ADOPTED, name, scope=name, attributes={"by": by, "given": False}
        )
        commit = reconciler.desired.commit if reconciler.desired else ""
        began = reconciler.wall()
        text = f"{trigger.origin}:{trigger.kind}:{name}"
        run = await store.begin_run(began, commit, text)
        await ledger.grant(name, None)
        await ledger.removals.put(name, None)
        await ledger.forget(name)
        row = WorkloadReport(
            name,
            Outcome.OK,
            "disowned",
            "given back: its files and units stay, and are eventd's no more",
            actions=1,
        )
        report = RunReport(
            run, began, commit, (trigger,), ended=reconciler.wall(), result=RunResult.OK, workloads=(row,)
        )
        await store.end_run(report)
    reconciler.forgotten(name)
    return report
