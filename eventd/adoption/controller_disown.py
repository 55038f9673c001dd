"""Gives an account back: eventd stops managing it, and its units keep running without eventd.

It happens between two runs, and is journalled as a run of its own. Installed files stay and units keep running. First a
few of eventd's own files are replaced, so that the units also start at boot (`adoption.model_handing_back`). From then
on eventd neither changes nor removes anything of the account. A workload of that name in the repository is refused as
`account-exists` until the account is adopted again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from eventd.adoption import model_handing_back as handing_back
from eventd.adoption.model_events import AdoptionEvent
from eventd.desired.controller_active import ActiveRevision
from eventd.desired.model import FileRole, UnitRole
from eventd.kernel.dispatch import Dispatcher
from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.events import Event, KernelOrigin
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.report import Outcome, RunReport, RunResult, WorkloadReport
from eventd.kernel.run_loop import RunLoop
from eventd.kernel.runs import Runs
from eventd.kernel.whole import wholly
from eventd.platform.model_facts import Account, PlatformFact
from eventd.platform.model_facts import unit as as_unit
from eventd.port_set import Host
from eventd.removal.controller_gone import Gone
from eventd.removal.model import Stage
from eventd.state.controller_inventory import Inventory
from eventd.workloads.model_facts import ManagerState, WorkloadFact
from eventd.workloads.model_layout import Layout

CALL_TIMEOUT = 30.0
"""Seconds for the account's manager to reload its units."""


@dataclass(frozen=True, slots=True)
class Disowning:
    """See the module."""

    host: Host
    dispatcher: Dispatcher
    inventory: Inventory
    runs: Runs
    active: ActiveRevision
    loop: RunLoop
    gone: Gone
    layout: Layout
    wall: Callable[[], float]

    async def disown(self, name: str, by: int) -> RunReport:
        """Give an account back and return the run that records it. `by`: the uid that asked.

        Raises PermanentError(reason="no-such-workload" | "deletion-begun"), DeadlineError(reason="busy").
        """
        async with self.runs.alone():
            if name not in self.inventory.records.workloads and name not in self.inventory.grants:
                raise PermanentError(
                    f"eventd does not manage an account {name}",
                    reason="no-such-workload",
                    hint="eventctl status lists the managed accounts",
                )
            removal = self.inventory.removals.get(name)
            if removal is not None and removal.stage is not Stage.NONE:
                raise PermanentError(f"the deletion of {name} has begun", reason="deletion-begun")
            trigger = self.dispatcher.emit(
                KernelOrigin.REQUEST,
                AdoptionEvent.ADOPTED,
                name,
                scope=name,
                attributes={"by": by, "given": False},
            )
            # Change the files before the records: if a crash or a cancellation comes in between, the account is still
            # # managed, and the next run repairs its files.
            began = self.wall()
            await self._leave(name)
            return await self._forget(name, trigger, began)

    @wholly
    async def _forget(self, name: str, trigger: Event, began: float) -> RunReport:
        inventory, journal, commit = self.inventory, self.inventory.journal, self.active.commit
        run = await journal.begin_run(began, commit, f"{trigger.origin}:{trigger.kind}:{name}")
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
            run, began, commit, (trigger,), ended=self.wall(), result=RunResult.OK, workloads=(row,)
        )
        await journal.end_run(report)
        self.gone.forget(name)
        self.loop.dirty(name)
        return report

    async def _leave(self, name: str) -> None:
        """Write the units that run without eventd, and reload the manager if it is up."""
        record, facts = self.inventory.records.workloads.get(name), self.dispatcher.facts
        account = facts.get(FactKey(PlatformFact.ACCOUNT, name))
        if record is None or not isinstance(account, Account) or account.uid != record.uid:
            return
        workload = self.active.workload(name)
        if workload is not None:
            running = {unit.name for unit in workload.units if unit.role is UnitRole.RUNNING}
        else:  # refused, or no longer in the repository: take the units that run
            known = self.inventory.records.units.get(name, {})
            states = {unit: as_unit(facts.get(FactKey(PlatformFact.UNIT, unit, name))) for unit in known}
            running = {unit for unit, state in states.items() if state is not None and state.up}
        files = workload.files if workload is not None else ()
        companions = {file.name: file.content for file in files if file.role is FileRole.COMPANION}
        folder = self.layout.folder(FileRole.COMPANION, record.uid)
        changes = handing_back.changes(companions, running)
        for path, content in sorted(changes.items()):
            if content is None:
                await self.host.files.remove(f"{folder}/{path}")
            else:
                await self.host.files.put(f"{folder}/{path}", content, mode=0o644)
        if changes and facts.get(FactKey(WorkloadFact.MANAGER, name)) is ManagerState.UP:
            manager = await self.host.user_managers.connect(account, timeout=CALL_TIMEOUT)
            await manager.reload(timeout=CALL_TIMEOUT)
