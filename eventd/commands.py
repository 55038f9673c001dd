"""Commands: the write side of the engine, for routes and the daemon. `eventd.queries` is the read side.

Owns the order within each command: store the request, emit an event that says who asked, then ask for the run that
carries it out. Callers that need all of it or nothing use `eventd.kernel.whole`, as `eventd.api.following` does.
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

    # Events and runs, for requests without a command of their own

    @property
    def emit(self) -> Callable[..., Event]:
        """Emit an event (see `eventd.kernel.model.events.Emit`). Returns it with its number."""
        return self._dispatcher.emit

    def request(self, trigger: Event | None, *, forced: bool, handle: RunHandle | None = None) -> None:
        """Ask for a run over everything."""
        self._loop.request(trigger, forced=forced, handle=handle)

    def ask(self, name: str, trigger: Event | None, handle: RunHandle | None = None) -> None:
        """Ask for a run over one subject. It is retried even if it was given up."""
        self._loop.ask(name, trigger, handle)

    # The repository

    def sync(self, handle: RunHandle, *, fetch: bool, wait: bool) -> None:
        """Ask for a run over everything, after a fetch if `fetch`. All sources read the host again for it."""
        trigger = self._dispatcher.emit(
            KernelOrigin.REQUEST, KernelEvent.SYNC, "eventctl", attributes={"fetch": fetch, "wait": wait}
        )
        if fetch:
            self._fetcher.sync(trigger, handle)
        else:
            self._fetcher.repair(trigger, handle)

    async def preview(self) -> Desired:
        """Fetch, and return the desired state of the new head without activating it. Raises EventdError."""
        return await self._fetcher.preview()

    # Workloads

    def restart(self, name: str, handle: RunHandle, *, uid: int, wait: bool) -> None:
        """Ask for a run that restarts and verifies the units of a workload."""
        trigger = self._dispatcher.emit(
            KernelOrigin.REQUEST,
            WorkloadEvent.RESTART,
            name,
            scope=name,
            attributes={"wait": wait, "uid": uid},
        )
        self._loop.restart(name, trigger, handle)

    async def update(self, names: Sequence[str], by: str, handle: RunHandle, *, retry: bool) -> None:
        """Ask for one run that updates the images of these workloads."""
        for name in names:
            await self._updates.ask(name, by, retry=retry)
        only = names[0] if len(names) == 1 else ""
        trigger = self._dispatcher.emit(
            KernelOrigin.REQUEST, UpdateEvent.UPDATE, only or "all", scope=only, attributes={"by": by}
        )
        self._loop.ask_all(names, trigger, handle)

    async def remove_data(self, name: str, data: RemoveData) -> None:
        """Delete or keep the account and the data of a workload that left the repository. Raises PermanentError."""
        await self._removals.ask(name, data)

    # Overrides

    async def suspend(self, name: str, by: str, why: str) -> Suspension:
        """Suspend a workload (empty: the host)."""
        return await self._overrides.suspend(name, by, why)

    @wholly
    async def resume(self, name: str, by: str, handle: RunHandle | None = None) -> None:
        """End the suspension and the rollback of a workload (empty: the suspension of the host), and ask for a run."""
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
        """Return the order to roll a workload back to another revision. Raises PermanentError."""
        return await self._rollbacks.order(name, to, by)

    async def roll_back(self, order: Rollback, by: str, handle: RunHandle) -> None:
        """Store the order, and ask for the run that carries it out."""
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
        """Accept a signature. Raises EventdError if it is refused, which is recorded."""
        return await self._approvals.accept(document, signature, origin)

    @wholly
    async def reject(self, text: str, by: str) -> Request:
        """Reject a request until its plan changes. Raises PermanentError."""
        done = await self._approvals.reject(text, by)
        self._loop.dirty(done.subject)
        return done

    @wholly
    async def renew(self, text: str) -> Request:
        """Reopen a request. Raises PermanentError."""
        done = await self._approvals.renew(text)
        self._loop.dirty(done.subject)
        return done

    # Accounts

    async def adopt(self, name: str, uid: int, by: int, handle: RunHandle, *, with_login: bool) -> None:
        """Hand an account over to eventd. `by`: the uid of the caller."""
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
        """Stop the units from an account's own files, and move these files into a folder in its home."""
        return await self._aside.move(account)

    async def disown(self, name: str, by: int) -> RunReport:
        """Hand an account back, and return the report of that. Raises PermanentError, DeadlineError."""
        return await self._disowning.disown(name, by)

    # The daemon itself

    async def acknowledge(self) -> int:
        """Acknowledge the losses of the state file. Return how many there were."""
        return await self._rebuild.acknowledge()

    def reload(self, policies: Sequence[Policy], *, concurrency: int, allow: frozenset[str]) -> None:
        """Apply another configuration, and assemble the desired state again: transforms and rules may have changed."""
        self._judge.reload(policies)
        self._planner.allow(allow)
        self._runs.reload(concurrency)
        self._activation.reload()
        self._problems.configuration(None)
        applied = self._dispatcher.emit(KernelOrigin.DAEMON, KernelEvent.CONFIG_APPLIED, "configuration")
        self._loop.request(applied, forced=False)

    def refuse_configuration(self, error: EventdError) -> None:
        """Report that a changed configuration is refused and the previous one stays active."""
        self._problems.configuration(error)

    async def drain(self, grace: float) -> None:
        """Begin no new run, interrupt waits, and give the current run `grace` seconds to end."""
        await self._runs.drain(grace)
