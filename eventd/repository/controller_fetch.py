"""Fetches, one at a time. A new head becomes the REVISION fact, a failure the FETCH fact. Runs never wait for it.

Fetching is a separate stage before the runs: so a push is noticed while a run waits for an older revision to become
healthy, and can cut that wait short.
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
"""How many pushes are named as triggers of one run."""


async def nothing() -> None:
    """Do nothing: there are no sources to read again."""


@dataclass(slots=True)
class Fetcher:
    """Serves requests to fetch."""

    host: Host
    dispatcher: Dispatcher
    loop: RunLoop
    load: Callable[[str], Awaitable[Loaded]]
    """Reads a commit, without side effects."""
    jitter: Callable[[], float]
    poll: float | None = None
    """Seconds between fetches without a push, for hosts that a webhook cannot reach; None: off."""
    wall: Callable[[], float] = time.time
    reread: Callable[[], Awaitable[None]] = nothing
    """Makes every source read the host again: a signal may have been lost silently."""
    attempts: int = 0
    _wanted: bool = False
    _asked: list[tuple[Event, RunHandle]] = field(default_factory=list)
    _repairs: list[tuple[Event, RunHandle]] = field(default_factory=list)
    _repair: anyio.Event = field(default_factory=anyio.Event)
    _causes: list[Event] = field(default_factory=list)
    """The pushes that the next fetch will answer."""
    _network: bool = False
    """The network has changed since the last fetch began."""
    _hung: bool = False
    """The last fetch hit its deadline."""
    _more: anyio.Event = field(default_factory=anyio.Event)

    def request(self, cause: Event | None = None) -> None:
        """Request a fetch after a push; `cause` becomes a trigger of the run for the new revision."""
        if cause is not None:
            self._causes = [*self._causes[1 - CAUSES_KEPT :], cause]
        self._wanted = True
        self._more.set()

    def sync(self, trigger: Event, handle: RunHandle) -> None:
        """Request, for an operator: fetch, read the host again, and run over everything, even if nothing is new."""
        self._asked.append((trigger, handle))
        self.request()

    def repair(self, trigger: Event, handle: RunHandle) -> None:
        """Request, for an operator, a run over everything without a fetch: read the host again, and run."""
        self._repairs.append((trigger, handle))
        self._repair.set()

    async def preview(self) -> Desired:
        """Fetch and return the desired state of the new head, for `eventctl plan --fetch`, without activating it."""
        fetched = await self.host.repository.fetch()
        return (await self.load(fetched.commit)).desired

    async def start_offline(self) -> None:
        """Take the last accepted commit from disk, so that a boot converges without the network."""
        commit = await self.host.repository.current()
        if commit:
            self.dispatcher.emit(
                RepositoryOrigin.GIT, RepositoryEvent.REVISION, commit, facts=[(REVISION, commit)]
            )

    async def serve(self) -> None:
        """Serve requests until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._serve_repairs)  # so that a remote that hangs does not delay a repair
            await self._serve_fetches()

    async def _serve_repairs(self) -> None:
        while True:
            await self._repair.wait()
            self._repair = anyio.Event()
            asked, self._repairs = self._repairs, []
            await self._request_runs(asked, fresh=False)

    async def _request_runs(self, asked: Sequence[tuple[Event, RunHandle]], *, fresh: bool) -> None:
        """Request the runs. Read the host again for those that cannot join the current run."""
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
            # Read before the fetch, because the run that it triggers may begin at once. Not during a run: it changes
            # the host, and may itself be the answer.
            fresh = bool(asked) and self.loop.runs.current is None
            if fresh:
                await self.reread()
            retry = await self._fetch()
            if self._asked:
                # Somebody asked during that fetch, perhaps after a push that it missed. Fetch once more, and give
                # everybody the same run. Not if the fetch hit its deadline: nobody should wait for two deadlines.
                self._wanted = False
                more, self._asked = self._asked, []
                asked += more
                if not self._hung:
                    retry = await self._fetch()
            await self._request_runs(asked, fresh=fresh)

    async def _fetch(self) -> float | None:
        """Fetch once; after a temporary failure, return the seconds until the next attempt."""
        causes, self._causes = self._causes, []
        self._network = self._hung = False
        try:
            fetched = await self.host.repository.fetch()
        except Exception as raised:
            error = raised if isinstance(raised, EventdError) else bug(raised)
            if error is not raised:
                log.exception("bug: a fetch ended with %s", type(raised).__name__)
            self._causes = (causes + self._causes)[-CAUSES_KEPT:]  # not answered yet
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
                self.request()  # the last fetch may have failed because the network was down
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
            self.loop.request(
                event, forced=False
            )  # the last run reported the failure, and the next one must clear it
        if fetched.commit != known:
            for cause in causes:
                self.loop.request(cause, forced=False)  # joins the run that the new fact requested
        return None

    def _network_changed(self, _key: FactKey) -> None:
        self._network = True
        if FactKey(RepositoryFact.FETCH) in self.dispatcher.facts:
            self.request()
