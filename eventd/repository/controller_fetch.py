"""Fetching: one fetch at a time; a new head becomes the REVISION fact, a failure the FETCH fact. Runs never wait here.

A fetch is its own stage before the runs, so that a push that arrives while a run waits for an older revision's health
is known at once and can cut that wait short.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import anyio

from eventd.desired.controller_activation import FETCH, REVISION
from eventd.desired.controller_load import Loaded
from eventd.desired.model import Desired
from eventd.kernel.dispatch import Dispatcher
from eventd.kernel.model import backoff
from eventd.kernel.model.errors import DeadlineError, EventdError, TemporaryError
from eventd.kernel.model.events import Event
from eventd.kernel.model.facts import FactKey
from eventd.kernel.queue import RunHandle
from eventd.kernel.run_loop import RunLoop
from eventd.kernel.supervise import bug
from eventd.overrides.model import NETWORK
from eventd.port_set import Host
from eventd.repository.model_events import RepositoryEvent, RepositoryOrigin
from eventd.repository.model_facts import FetchFailure, RepositoryFact

log = logging.getLogger(__name__)
CAUSES_KEPT = 8
"""Pushes that are named as triggers of one run."""


async def nothing() -> None:
    """Nothing is read by signals, so nothing is read afresh."""


@dataclass(slots=True)
class Fetcher:
    """Serves requests for a fetch."""

    host: Host
    dispatcher: Dispatcher
    loop: RunLoop
    load: Callable[[str], Awaitable[Loaded]]
    """Reads a commit, without side effects."""
    jitter: Callable[[], float]
    poll: float | None = None
    """Seconds between fetches without a push, for hosts that no webhook can reach; None: off."""
    wall: Callable[[], float] = time.time
    reread: Callable[[], Awaitable[None]] = nothing
    """Has every source read the host afresh: a signal may have been lost without anybody being told."""
    attempts: int = 0
    _wanted: bool = False
    _asked: list[tuple[Event, RunHandle]] = field(default_factory=list)
    _repairs: list[tuple[Event, RunHandle]] = field(default_factory=list)
    _repair: anyio.Event = field(default_factory=anyio.Event)
    _causes: list[Event] = field(default_factory=list)
    """The pushes that the next fetch answers."""
    _network: bool = False
    """The network changed since the last fetch began."""
    _hung: bool = False
    """The last fetch ended at its deadline."""
    _more: anyio.Event = field(default_factory=anyio.Event)

    def request(self, cause: Event | None = None) -> None:
        """Something was pushed; `cause` is named as a trigger of the run that a new revision leads to."""
        if cause is not None:
            self._causes = [*self._causes[1 - CAUSES_KEPT :], cause]
        self._wanted = True
        self._more.set()

    def sync(self, trigger: Event, handle: RunHandle) -> None:
        """An operator asks: fetch, read the host afresh, and run over everything, whether or not anything is new."""
        self._asked.append((trigger, handle))
        self.request()

    def repair(self, trigger: Event, handle: RunHandle) -> None:
        """An operator asks for a run over everything without a fetch: read the host afresh, and run."""
        self._repairs.append((trigger, handle))
        self._repair.set()

    async def preview(self) -> Desired:
        """Fetch and return the desired state of the new head, for `eventctl plan --fetch`; nothing is made wanted."""
        fetched = await self.host.repository.fetch()
        return (await self.load(fetched.commit)).desired

    async def start_offline(self) -> None:
        """Take the last accepted commit from the disk, so that a boot converges without the network."""
        commit = await self.host.repository.current()
        if commit:
            self.dispatcher.emit(
                RepositoryOrigin.GIT, RepositoryEvent.REVISION, commit, facts=[(REVISION, commit)]
            )

    async def serve(self) -> None:
        """Run for ever."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._serve_repairs)  # no remote that hangs keeps a repair waiting
            await self._serve_fetches()

    async def _serve_repairs(self) -> None:
        while True:
            await self._repair.wait()
            self._repair = anyio.Event()
            asked, self._repairs = self._repairs, []
            await self._request_runs(asked, fresh=False)

    async def _request_runs(self, asked: Sequence[tuple[Event, RunHandle]], *, fresh: bool) -> None:
        """Ask for the run that answers; the host is read afresh for who does not join the one that is on."""
        left = [each for each in asked if not self.loop.runs.join(each[1], each[0])]
        if left and not fresh:
            await self.reread()
        for trigger, handle in left:
            self.loop.request(trigger, forced=True, handle=handle)

    async def _serve_fetches(self) -> None:
        self.dispatcher.facts.watch((NETWORK,), self._network_changed)
        retry: float | None = None
        while True:
            with anyio.move_on_after(retry if retry is not None else self.poll):
                while not self._wanted:
                    self._more = anyio.Event()
                    await self._more.wait()
            self._wanted = False
            asked, self._asked = self._asked, []
            # Before the fetch, since the run that it leads to may begin at once. A run that is on changes what would be
            # read, and may be the answer.
            fresh = bool(asked) and self.loop.runs.current is None
            if fresh:
                await self.reread()
            retry = await self._fetch()
            if self._asked:
                # Somebody asked while that fetch was on, perhaps after a push that it missed. Fetch once more, and
                # let everybody have the same run; but not of a remote that let the whole time pass: nobody waits for
                # one deadline after the other.
                self._wanted = False
                more, self._asked = self._asked, []
                asked += more
                if not self._hung:
                    retry = await self._fetch()
            await self._request_runs(asked, fresh=fresh)

    async def _fetch(self) -> float | None:
        """Fetch once; return the seconds until the next try if this one failed in a way that may pass."""
        causes, self._causes = self._causes, []
        self._network = self._hung = False
        try:
            fetched = await self.host.repository.fetch()
        except Exception as raised:
            error = raised if isinstance(raised, EventdError) else bug(raised)
            if error is not raised:
                log.exception("bug: a fetch ended with %s", type(raised).__name__)
            self._causes = (causes + self._causes)[-CAUSES_KEPT:]  # still unanswered
            self.attempts += 1
            self._hung = isinstance(error, DeadlineError)
            before = self.dispatcher.facts.get(FETCH)
            since = before.since if isinstance(before, FetchFailure) else self.wall()
            failure = FetchFailure(error.reason, error.message, error.hint, since)
            event = self.dispatcher.emit(
                RepositoryOrigin.GIT,
                RepositoryEvent.FETCH_FAILED,
                error.reason,
                attributes={"message": error.message, "attempt": self.attempts},
                facts=[(FETCH, failure)],
            )
            if not isinstance(before, FetchFailure) or before.reason != error.reason:
                self.loop.request(event, forced=False)
            if self._network:
                self.request()  # it may have failed for the want of what is there now
            if isinstance(error, TemporaryError):
                return error.delay or backoff.delay(self.attempts, self.jitter())
            return backoff.delay(self.attempts, self.jitter()) if error is not raised else None
        self.attempts = 0
        known = self.dispatcher.facts.get(REVISION)
        failing = FETCH in self.dispatcher.facts
        event = self.dispatcher.emit(
            RepositoryOrigin.GIT,
            RepositoryEvent.REVISION,
            fetched.commit,
            attributes={"previous": fetched.previous},
            facts=[(FETCH, None), (REVISION, fetched.commit)],
        )
        if failing:
            self.loop.request(event, forced=False)  # the last run reported the failure; the next one does not
        if fetched.commit != known:
            for cause in causes:
                self.loop.request(cause, forced=False)  # joins what the new fact has asked for
        return None

    def _network_changed(self, _key: FactKey) -> None:
        self._network = True
        if FactKey(RepositoryFact.FETCH) in self.dispatcher.facts:
            self.request()
