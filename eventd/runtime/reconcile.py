"""The reconciler: runs over what is dirty, until nothing is. Who asks for one, when it begins, when it is tried again.

Owns the queue's way in (facts that changed, requests), the waiting between runs, and how the runtime's parts know each
other. What a run is, is `runs`'s to say, what a subject gets in it `turn`'s; what a step does is the handlers'
business, what may be done the policies'.

    trigger -> Queue -> Runs (async lock, then file lock) -> Turns per subject -> RunReport
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import InitVar, dataclass, field, replace

import anyio

from eventd.adoption.model_facts import AdoptionFact
from eventd.core import backoff
from eventd.core.containers import Seen
from eventd.core.desired import Desired
from eventd.core.diagnostics import errors
from eventd.core.errors import EventdError, PermanentError
from eventd.core.events import Event
from eventd.core.facts import FactKey
from eventd.core.plan import Context
from eventd.core.predicates import Probe
from eventd.core.report import (
    RunReport,
    Standing,
    WorkloadState,
)
from eventd.platform.model_facts import Account
from eventd.repository.model_facts import FetchFailure
from eventd.runtime.alarms import Alarms
from eventd.runtime.converge import Converger
from eventd.runtime.dispatch import Dispatcher
from eventd.runtime.failures import Failures
from eventd.runtime.holds import Holds
from eventd.runtime.host import Host
from eventd.runtime.in_force import FETCH, REVISION, InForce, Load
from eventd.runtime.index import Index
from eventd.runtime.keeper import Keeper
from eventd.runtime.ledger import Ledger
from eventd.runtime.load import Loaded
from eventd.runtime.orders import Orders
from eventd.runtime.outlook import Outlook
from eventd.runtime.probing import Probing
from eventd.runtime.progress import Progress
from eventd.runtime.queue import Batch, Queue, Ticket
from eventd.runtime.rebuild import Rebuild
from eventd.runtime.rollback import GoingBack
from eventd.runtime.runs import Runs
from eventd.runtime.source_errors import SourceErrors
from eventd.runtime.standings import Standings
from eventd.runtime.supervise import bug
from eventd.runtime.turn import Examine, Turns
from eventd.runtime.update import Updates
from eventd.runtime.wellbeing import Wellbeing
from eventd.runtime.whole import wholly

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Reconciler:
    """See the module."""

    host: Host
    dispatcher: Dispatcher
    ledger: Ledger
    converger: Converger
    index: Index
    load: Load
    take_in: Callable[[Loaded], Awaitable[None]] | None = None
    """Told of each revision that comes into force, before it does; what it raises keeps the one before."""
    concurrency: InitVar[int] = 8
    wall: Callable[[], float] = time.time
    jitter: Callable[[], float] = random.random
    queue: Queue = field(default_factory=Queue)
    failures: Failures = field(default_factory=Failures)
    holds: Holds = field(default_factory=Holds)
    probe: Callable[[frozenset[Probe]], None] | None = None
    examine: Examine | None = None
    """Looks at what an attempt ended with, for damage that no restart heals."""
    containers: Callable[[Account], Sequence[Seen]] = lambda _account: ()
    """Tells the containers of an account, from memory."""
    keepers: dict[str, Keeper] = field(default_factory=dict)
    """By prefix: what converges beside the workloads."""
    listeners: list[Callable[[Progress], None]] = field(default_factory=list)
    changed: list[Callable[[], None]] = field(default_factory=list)
    """Called after each look at the host, for STATUS= and metrics."""
    troubles: dict[str, EventdError] = field(default_factory=dict)
    """What else is wrong with the daemon itself, by name."""
    source_errors: SourceErrors = field(init=False)
    orders: Orders = field(init=False)
    """What is to be done otherwise than the repository says."""
    in_force: InForce = field(init=False)
    outlook: Outlook = field(init=False)
    wellbeing: Wellbeing = field(init=False)
    standings: Standings = field(init=False)
    probing: Probing = field(init=False)
    going_back: GoingBack = field(init=False)
    updates: Updates = field(init=False)
    turns: Turns = field(init=False)
    runs: Runs = field(init=False)
    rebuild: Rebuild | None = None
    """What was lost with a state file."""
    _again: float | None = None
    """Loop time at which what could not be done as a whole is tried again."""
    _left: Batch | None = None
    """What that is."""
    _attempts: int = 0

    def __post_init__(self, concurrency: int) -> None:
        """Make what is over the same store and events."""
        self.source_errors = SourceErrors(self.dispatcher.facts, self._on_source)
        self.orders = Orders(self.host.store, self.dispatcher, self.wall)
        self.in_force = InForce(
            lambda: self.host,
            self.dispatcher.facts,
            self.ledger,
            self.orders,
            self.keepers,
            self.load,
            self.take_in,
            self.index.attend,
            lambda name: self.standings.afresh(name),  # noqa: PLW0108 - they are made below
            lambda: self.standings.forget_gone(),  # noqa: PLW0108
        )
        self.updates = Updates(lambda: self.host, self.ledger, self.converger, self.wall)
        rows: dict[str, Standing] = {}
        facts = self.dispatcher.facts
        self.outlook = Outlook(
            self.in_force,
            self.converger,
            self.ledger,
            facts,
            self.failures,
            self.holds,
            self.updates,
            rows,
        )
        self.wellbeing = Wellbeing(
            facts, self.dispatcher.emit, self.in_force.gates_of, self.in_force.needs_of, rows, self.wall
        )
        self.standings = Standings(
            rows,
            self.in_force,
            self.outlook,
            self.failures,
            self.holds,
            Alarms(self.dispatcher.emit),
            self.wellbeing,
            self.index,
            self.dispatcher,
            self.wall,
        )
        self.probing = Probing(self.probe, self.in_force, self.holds, facts)
        self.going_back = GoingBack(
            self.orders,
            self.ledger,
            self.converger,
            self.dispatcher.facts,
            self.in_force.roll_back,
            self.in_force.gates_of,
            lambda: self.host.repository,
            self.updates.as_verified,
        )
        self.turns = Turns(
            host=lambda: self.host,
            dispatcher=self.dispatcher,
            ledger=self.ledger,
            converger=self.converger,
            in_force=self.in_force,
            outlook=self.outlook,
            going_back=self.going_back,
            updates=self.updates,
            failures=self.failures,
            holds=self.holds,
            index=self.index,
            standings=self.standings,
            wellbeing=self.wellbeing,
            examine=self.examine,
            probing=self.probing,
            wall=self.wall,
            jitter=self.jitter,
            stopping=lambda: self.runs.stopping,
            tell=self._tell_step,
        )
        self.runs = Runs(
            host=lambda: self.host,
            dispatcher=self.dispatcher,
            converger=self.converger,
            queue=self.queue,
            in_force=self.in_force,
            outlook=self.outlook,
            standings=self.standings,
            turns=self.turns,
            failures=self.failures,
            holds=self.holds,
            wellbeing=self.wellbeing,
            wall=self.wall,
            concurrency=concurrency,
            wrong=self.run_error,
            try_again=self._try_again,
            tell=self._tell,
        )

    def start(self) -> None:
        """Begin to listen to facts; runs begin with `serve`."""
        self.index.start()
        self.wellbeing.start()
        self.dispatcher.facts.watch((REVISION,), self._on_revision)

    @property
    def desired(self) -> Desired | None:
        """What the repository says, at the commit in force."""
        return self.in_force.desired

    @property
    def context(self) -> Context:
        """What every plan is made under."""
        return self.converger.context

    @property
    def load_error(self) -> EventdError | None:
        """Why the wanted commit is not in force."""
        return self.in_force.error

    @property
    def current(self) -> RunReport | None:
        """The run that is on."""
        return self.runs.current

    @property
    def last(self) -> RunReport | None:
        """The run before."""
        return self.runs.last

    def dirty(self, name: str) -> None:
        """One of its facts changed."""
        live = self.standings.rows.get(name)
        echo = live is not None and live.state in (WorkloadState.APPLYING, WorkloadState.VERIFYING)
        if not echo:
            self._note_contention()
        self.queue.touch(name, self.dispatcher.current, echo=echo)

    def woken(self, name: str) -> None:
        """A fact that it waits for, or failed on, changed."""
        self.failures.wake(name, anyio.current_time())
        self.dirty(name)

    def request(self, trigger: Event | None, *, asked: bool, ticket: Ticket | None = None) -> None:
        """Ask for a run over everything; `asked` gives what gave up another chance.

        A request joins a run over everything that is on, at the wanted commit: what changed on the host since it began
        has made its workload dirty anyway.
        """
        if asked and ticket is not None and self.runs.join(ticket, trigger):
            return
        if asked:
            self._look_into_stores()
        self._note_contention()
        self.queue.touch_all(trigger, asked=asked, ticket=ticket)

    def ask(self, name: str, trigger: Event | None, ticket: Ticket | None = None) -> None:
        """Ask for a run over one workload, which gets another chance if it gave up."""
        self._look_into_stores()
        self._note_contention()
        self.queue.ask(name, trigger, ticket)

    def ask_all(self, names: Collection[str], trigger: Event | None, ticket: Ticket) -> None:
        """Ask for one run over several workloads; a run that has nothing to do is recorded all the same."""
        self._note_contention()
        self.queue.ask_all(names, trigger, ticket)

    def restart(self, name: str, trigger: Event | None, ticket: Ticket) -> None:
        """Ask for a run in which the units of a workload are restarted and verified.

        What is worked on just now gets it in the following run; a workload at rest joins the run that is on.
        """
        self._note_contention()
        self.queue.restart(name, trigger, ticket)

    async def serve(self) -> None:
        """Run for ever: wait for something dirty or a due retry, then deal with all of it."""
        while True:
            due = [at for at in (self.runs.next_due(), self._again) if at is not None]
            await self.queue.wait(max(0.0, min(due) - anyio.current_time()) if due else None)
            if self.runs.forbidden():
                await self.runs.until_allowed()
            now = anyio.current_time()
            self.runs.touch_due()
            if self._again is not None and self._again <= now:
                self._again = None
                self.queue.put_back(self._left or Batch(everything=True))
                self._left = None
            batch = self.queue.take()
            if batch:
                await self._attempt(batch)

    async def _attempt(self, batch: Batch) -> None:
        """Run. What goes wrong with the run as a whole is told to who asked, and tried again after a pause.

        No exception may leave this loop: a bug in one place must not take down what still works elsewhere.
        """
        try:
            with self.converger.watch.run():
                await self.runs.run(batch)
        except EventdError as error:
            log.error("a run could not be made: %s", error)  # noqa: TRY400 - reported, not a bug
            self.runs.failed(batch, error)
        except Exception as error:
            log.exception("bug: a run ended with %s", type(error).__name__)
            self.runs.failed(batch, bug(error))
        else:
            if self.load_error is None:
                if self._again is None:  # else something is left, and the pauses grow
                    self._attempts = 0
            elif not isinstance(self.load_error, PermanentError):
                self._try_again(Batch(everything=True))

    def _try_again(self, batch: Batch) -> None:
        self._attempts += 1
        if self._left is not None:
            batch.names |= self._left.names
            batch.everything |= self._left.everything
        self._left = batch
        self._again = anyio.current_time() + backoff.delay(self._attempts, self.jitter())

    def forgotten(self, name: str) -> None:
        """Drop what this life knows of a workload whose records are gone, and look at it afresh."""
        self.standings.forget(name)
        self.dirty(name)

    @wholly
    async def resume(self, name: str, by: str) -> Event:
        """End the suspension and the rollback of a workload (empty: the suspension of the host).

        What they kept from being done wakes by itself; who wants to wait for it asks for a run with the event.
        """
        event = await self.in_force.resume(name, by)
        if name:
            self.dirty(name)
        return event

    def all_troubles(self) -> list[tuple[str, EventdError]]:
        """Return what keeps changes from being seen, or the configuration from being in force."""
        locked = [("run-lock", self.runs.locked)] if self.runs.locked is not None else []
        return [*locked, *self.source_errors, *self.troubles.items()]

    def general_error(self) -> str:
        """Return what is wrong with everything, not with one workload; empty if nothing is."""
        return self._wrong(self.all_troubles())

    def run_error(self) -> str:
        """Return what fails a run as a whole: not what is still starting, and will be there in a moment."""
        passing = self.source_errors.passing
        return self._wrong([row for row in self.all_troubles() if row[0] not in passing])

    def _wrong(self, troubles: list[tuple[str, EventdError]]) -> str:
        for error in (self.load_error, self.runs.error, *(error for _, error in troubles)):
            if error is not None:
                return str(error)
        failure = self.dispatcher.facts.get(FETCH)
        if isinstance(failure, FetchFailure):
            return failure.message
        wrong = errors(self.desired.diagnostics) if self.desired else ()
        return str(wrong[0]) if wrong else ""

    def allow(self, paths: frozenset[str]) -> None:
        """Accept these foreign files from now on."""
        if paths != self.converger.context.allow:
            self.converger.context = replace(self.converger.context, allow=paths)
            self.queue.touch_all(self.dispatcher.current, asked=False)

    def reload_desired(self) -> None:
        """Forget the desired state, so that the next run makes it anew (transforms or rules changed)."""
        self.in_force.stale = True

    def _on_revision(self, _key: FactKey) -> None:
        self.runs.interrupt()
        self.request(self.dispatcher.current, asked=False)

    def _on_source(self) -> None:
        """A source has come into trouble, or out of it: the next run says so, or no longer does."""
        self.request(self.dispatcher.current, asked=False)

    def _note_contention(self) -> None:
        if self.current is not None:
            self.runs.counters.contended += 1

    def _look_into_stores(self) -> None:
        """Forget the volumes of accounts: somebody who asks may have changed them, of which nothing tells."""
        for key, _ in tuple(self.dispatcher.facts.items(AdoptionFact.STORE)):
            self.dispatcher.facts.set(key, None)

    def _tell_step(self, progress: Progress) -> None:
        for listener in self.listeners:
            listener(progress)

    def on_change(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` after each look at the host, until what is returned is called (which `listener` may do)."""
        self.changed.append(listener)

        def stop() -> None:
            self.changed = [each for each in self.changed if each is not listener]

        return stop

    def _tell(self) -> None:
        self.probing.look()
        for listener in self.changed:
            try:
                listener()
            except Exception:
                log.exception("bug: who is told of each look at the host failed")
