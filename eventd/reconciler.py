"""What the API, the daemon and the boot log see of the engine."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from eventd.approvals.controller import Approvals
from eventd.audit.controller_alarms import Alarms
from eventd.containers.model import Seen
from eventd.desired.controller_activation import Activation
from eventd.desired.controller_active import ActiveRevision
from eventd.desired.model import Desired
from eventd.health.controller_wellbeing import Wellbeing
from eventd.kernel.controller import Controllers, Desk
from eventd.kernel.dispatch import Dispatcher
from eventd.kernel.executor import Executor
from eventd.kernel.listeners import Listeners
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.events import Event
from eventd.kernel.model.report import RunReport
from eventd.kernel.progress import Progress
from eventd.kernel.queue import Queue, RunHandle
from eventd.kernel.run_loop import RunLoop
from eventd.kernel.runs import Runs
from eventd.kernel.status_store import Statuses
from eventd.kernel.whole import wholly
from eventd.overrides.controller import Overrides
from eventd.overrides.controller_rollback import RollbackController
from eventd.platform.model_facts import Account
from eventd.port_set import Host
from eventd.state.controller_inventory import Inventory
from eventd.state.controller_rebuild import Rebuild
from eventd.state.controller_recovery import Recovery
from eventd.status.controller_problems import Troubles
from eventd.updates.controller import UpdateController
from eventd.updates.controller_images import VerifiedImages
from eventd.workloads.controller_gone import Gone
from eventd.workloads.controller_judging import Judge
from eventd.workloads.controller_planner import Planner
from eventd.workloads.controller_removals import Removals
from eventd.workloads.model_case import Policy
from eventd.workloads.plan import Context


@dataclass(slots=True, kw_only=True)
class Reconciler:
    """See the module."""

    host: Host
    dispatcher: Dispatcher
    inventory: Inventory
    loop: RunLoop
    runs: Runs
    active: ActiveRevision
    activation: Activation
    overrides: Overrides
    planner: Planner
    wellbeing: Wellbeing
    updates: UpdateController
    images: VerifiedImages
    rollbacks: RollbackController
    statuses: Statuses
    controllers: Controllers
    executor: Executor
    judge: Judge
    rebuild: Rebuild
    source_errors: Troubles
    steps: Listeners[[Progress]]
    looks: Listeners[[]]
    wall: Callable[[], float]
    gone: Gone
    approvals: Approvals
    alarms: Alarms
    desk: Desk
    removals: Removals
    recovery: Recovery
    containers: Callable[[Account], Sequence[Seen]]

    # Queries

    @property
    def desired(self) -> Desired | None:
        """What the repository says, at the commit in force."""
        return self.active.desired

    @property
    def context(self) -> Context:
        """The context of every plan."""
        return self.planner.context

    @property
    def load_error(self) -> EventdError | None:
        """Why the wanted commit is not in force."""
        return self.activation.error

    @property
    def current(self) -> RunReport | None:
        """The run that is on."""
        return self.runs.current

    @property
    def last(self) -> RunReport | None:
        """The run before."""
        return self.runs.last

    @property
    def queue(self) -> Queue:
        """What is dirty."""
        return self.loop.queue

    # Commands

    def request(self, trigger: Event | None, *, forced: bool, handle: RunHandle | None = None) -> None:
        """Ask for a run over everything."""
        self.loop.request(trigger, forced=forced, handle=handle)

    def ask(self, name: str, trigger: Event | None, handle: RunHandle | None = None) -> None:
        """Ask for a run over one workload, which gets another chance if it gave up."""
        self.loop.ask(name, trigger, handle)

    def ask_all(self, names: Collection[str], trigger: Event | None, handle: RunHandle) -> None:
        """Ask for one run over several workloads."""
        self.loop.ask_all(names, trigger, handle)

    def restart(self, name: str, trigger: Event | None, handle: RunHandle) -> None:
        """Ask for a run in which the units of a workload are restarted and verified."""
        self.loop.restart(name, trigger, handle)

    def dirty(self, name: str) -> None:
        """Have a subject looked at."""
        self.loop.dirty(name)

    def forgotten(self, name: str) -> None:
        """Drop what this life knows of a workload whose records are gone, and look at it afresh."""
        self.gone.forget(name)
        self.loop.dirty(name)

    @wholly
    @wholly
    async def resume(self, name: str, by: str) -> Event:
        """End the suspension and the rollback of a workload (empty: the suspension of the host).

        What they kept from being done wakes by itself; who wants to wait for it asks for a run with the event.
        """
        event = await self.activation.resume(name, by)
        if name:
            self.loop.dirty(name)
        return event

    def reload(self, policies: Sequence[Policy], *, concurrency: int, allow: frozenset[str]) -> None:
        """Take in another configuration."""
        self.judge.policies = policies
        self.runs.concurrency = concurrency
        if self.planner.allow(allow):
            self.loop.queue.touch_all(self.dispatcher.current)

    def reload_desired(self) -> None:
        """Forget the desired state, so that the next run makes it anew (transforms or rules changed)."""
        self.activation.stale = True
