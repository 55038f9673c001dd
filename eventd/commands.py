"""Commands: what the engine is asked to do. Routes, the daemon and whoever drives it ask here.

Owns the order of each command: it is written down first, then the event says who asked, then the run is asked for that
does it. Whoever needs both or neither calls a command whole (`eventd.kernel.whole`), as `eventd.api.following` does.
What is, `eventd.queries` answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eventd.adoption.controller_aside import MovingAside
from eventd.adoption.controller_disown import Disowning
from eventd.adoption.model import Grant
from eventd.adoption.model_events import AdoptionEvent
from eventd.adoption.model_finds import Moved
from eventd.approvals.controller import Approvals
from eventd.approvals.model import Request
from eventd.desired.controller_activation import Activation
from eventd.desired.model import Desired, RemoveData
from eventd.kernel.dispatch import Dispatcher
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.events import Event, KernelEvent, KernelOrigin
from eventd.kernel.model.report import RunReport
from eventd.kernel.model.verdicts import Policy
from eventd.kernel.queue import RunHandle
from eventd.kernel.run_loop import RunLoop
from eventd.kernel.runs import Runs
from eventd.kernel.whole import wholly
from eventd.overrides.controller import Overrides
from eventd.overrides.controller_rollback import RollbackController
from eventd.overrides.model import Rollback, Suspension
from eventd.overrides.model_events import OverrideEvent
from eventd.platform.model_facts import Account
from eventd.port_set import Host
from eventd.removal.controller import Removals
from eventd.repository.controller_fetch import Fetcher
from eventd.state.controller_inventory import Inventory
from eventd.state.controller_rebuild import Rebuild
from eventd.status.controller_problems import Problems
from eventd.updates.controller import UpdateController
from eventd.updates.model_events import UpdateEvent
from eventd.workloads.controller_judging import Judge
from eventd.workloads.controller_planner import Planner
from eventd.workloads.model_events import WorkloadEvent


@dataclass(slots=True, kw_only=True)
class Commands:
    """See the module."""

    _host: Host
    _dispatcher: Dispatcher
    _loop: RunLoop
    _fetcher: Fetcher
    _activation: Activation
    _overrides: Overrides
    _rollbacks: RollbackController
    _updates: UpdateController
    _inventory: Inventory
    _removals: Removals
    _approvals: Approvals
    _rebuild: Rebuild
    _disowning: Disowning
    _aside: MovingAside
    _planner: Planner
    _judge: Judge
    _runs: Runs
    _problems: Problems
    _now: Callable[[], float]

    # Events and runs, for what no command has a name for

    @property
    def emit(self) -> Callable[..., Event]:
        """Take in an event (see `eventd.kernel.model.events.Emit`); return it numbered."""
        return self._dispatcher.emit

    def request(self, trigger: Event | None, *, forced: bool, handle: RunHandle | None = None) -> None:
        """Ask for a run over everything."""
        self._loop.request(trigger, forced=forced, handle=handle)

    def ask(self, name: str, trigger: Event | None, handle: RunHandle | None = None) -> None:
        """Ask for a run over one subject, which gets another chance if it gave up."""
        self._loop.ask(name, trigger, handle)

    # The repository

    def sync(self, handle: RunHandle, *, fetch: bool, wait: bool) -> None:
        """Ask for a run over everything, after a fetch or with what is there; the host is read afresh for it."""
        trigger = self._dispatcher.emit(
            KernelOrigin.REQUEST, KernelEvent.SYNC, "eventctl", attributes={"fetch": fetch, "wait": wait}
        )
        if fetch:
            self._fetcher.sync(trigger, handle)
        else:
            self._fetcher.repair(trigger, handle)

    async def preview(self) -> Desired:
        """Fetch, and return what the new head says; nothing of it becomes active. Raises EventdError."""
        return await self._fetcher.preview()

    # Workloads

    def restart(self, name: str, handle: RunHandle, *, uid: int, wait: bool) -> None:
        """Ask for a run in which the units of a workload are restarted and verified."""
        trigger = self._dispatcher.emit(
            KernelOrigin.REQUEST,
            WorkloadEvent.RESTART,
            name,
            scope=name,
            attributes={"wait": wait, "uid": uid},
        )
        self._loop.restart(name, trigger, handle)

    async def update(self, names: Sequence[str], by: str, handle: RunHandle, *, retry: bool) -> None:
        """Ask for one run in which the images of some workloads are updated."""
        for name in names:
            await self._updates.ask(name, by, retry=retry)
        only = names[0] if len(names) == 1 else ""
        trigger = self._dispatcher.emit(
            KernelOrigin.REQUEST, UpdateEvent.UPDATE, only or "all", scope=only, attributes={"by": by}
        )
        self._loop.ask_all(names, trigger, handle)

    async def remove_data(self, name: str, data: RemoveData) -> None:
        """Say what becomes of the account and the data of a workload that left. Raises PermanentError."""
        await self._removals.ask(name, data)

    # Overrides

    async def suspend(self, name: str, by: str, why: str) -> Suspension:
        """Leave a workload (empty: all of them) as it is from now on."""
        return await self._overrides.suspend(name, by, why)

    @wholly
    async def resume(self, name: str, by: str, handle: RunHandle | None = None) -> None:
        """End the suspension and the rollback of a workload (empty: the suspension of the host), and look at it."""
        event = await self._activation.resume(name, by)
        if name:
            self._loop.dirty(name)
        if handle is None:
            return
        if name:
            self._loop.ask(name, event, handle)
        else:
            self._loop.request(event, forced=False, handle=handle)

    async def rollback_to(self, name: str, to: str | None, by: str) -> Rollback:
        """Return the order that puts another revision of a workload in force. Raises PermanentError."""
        return await self._rollbacks.order(name, to, by)

    async def roll_back(self, order: Rollback, by: str, handle: RunHandle) -> None:
        """Put it in force, and ask for the run that does it."""
        name = order.workload
        await self._rollbacks.roll_back(order)
        trigger = self._dispatcher.emit(
            KernelOrigin.REQUEST,
            OverrideEvent.ROLLBACK,
            name,
            scope=name,
            attributes={"by": by, "to": order.good.commit},
        )
        self._loop.ask(name, trigger, handle)

    # Approvals

    async def sign(self, document: bytes, signature: bytes, origin: str) -> Request:
        """Take in a signature. Raises EventdError: it is refused, and that is recorded."""
        return await self._approvals.accept(document, signature, origin)

    @wholly
    async def reject(self, text: str, by: str) -> Request:
        """Refuse a request, until its plan changes. Raises PermanentError."""
        done = await self._approvals.reject(text, by)
        self._loop.dirty(done.subject)
        return done

    @wholly
    async def renew(self, text: str) -> Request:
        """Open a request again. Raises PermanentError."""
        done = await self._approvals.renew(text)
        self._loop.dirty(done.subject)
        return done

    # Accounts

    async def adopt(self, name: str, uid: int, by: int, handle: RunHandle, *, with_login: bool) -> None:
        """Hand an account over to eventd; `by`: the uid that asks."""
        await self._inventory.grant(name, Grant(uid, self._now(), with_login))
        trigger = self._dispatcher.emit(
            KernelOrigin.REQUEST,
            AdoptionEvent.ADOPTED,
            name,
            scope=name,
            attributes={"uid": uid, "by": by, "given": True},
        )
        self._loop.ask(name, trigger, handle)

    async def move_aside(self, account: Account) -> Moved:
        """Stop the units of an account's own files, and move these into a folder of its home."""
        return await self._aside.move(account)

    async def disown(self, name: str, by: int) -> RunReport:
        """Give an account back, and return the run that says so. Raises PermanentError, DeadlineError."""
        return await self._disowning.disown(name, by)

    # The daemon itself

    async def acknowledge(self) -> int:
        """Take the losses of the state file for known; return how many that were."""
        return await self._rebuild.acknowledge()

    def reload(self, policies: Sequence[Policy], *, concurrency: int, allow: frozenset[str]) -> None:
        """Take in another configuration, and make the desired state anew: transforms and rules may have changed."""
        self._judge.reload(policies)
        self._planner.allow(allow)
        self._runs.reload(concurrency)
        self._activation.reload()
        self._problems.configuration(None)
        applied = self._dispatcher.emit(KernelOrigin.DAEMON, KernelEvent.CONFIG_APPLIED, "configuration")
        self._loop.request(applied, forced=False)

    def refuse_configuration(self, error: EventdError) -> None:
        """Have it known that a changed configuration is refused, and the one before in force."""
        self._problems.configuration(error)

    async def drain(self, grace: float) -> None:
        """Begin no new run, cut short what only waits, and give the current run `grace` seconds to end."""
        await self._runs.drain(grace)
