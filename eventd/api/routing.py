"""Routes, and what all of them share.

A route module (`routes_*.py`) has a tuple `ROUTES`, each naming the `Right` that it needs, and handlers

    async def _status(api: Api, request: web.Request, view: View) -> web.StreamResponse: ...

which are called only if the caller has the right, and have to respect `view`: `await api.workload(request, view)` for a
workload in the path, `view.sees(name)` for lists. A route waits for the first commit after a start unless its `Needs`
says otherwise. `server` puts the modules together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

import anyio
from aiohttp import web
from pydantic import BaseModel

from eventd.accounts.ports import AccountSigns
from eventd.api.loading import until_loaded
from eventd.api.model_answers import Check
from eventd.api.model_rights import Right, View
from eventd.boot.model import BootRecord
from eventd.commands import Commands
from eventd.desired.controller_load import ReadLive
from eventd.kernel.controller import is_workload
from eventd.kernel.model.errors import PermanentError, TemporaryError
from eventd.platform.nss import Nss
from eventd.queries import Queries
from eventd.status import documents
from eventd.status.documents_metrics import Families, Metrics
from eventd.storage.documents import Storage

BEGIN_TIMEOUT = 20.0
"""Seconds that a request waits until the daemon has read the host, which takes a fraction of one."""


class Needs(StrEnum):
    """What a route needs. The daemon listens before it has read any of it."""

    NOTHING = "nothing"
    """The state of the daemon itself, or a request to it: answered at once."""
    HOST = "host"
    """The observed host, and eventd's records."""
    DESIRED = "desired"
    """The desired state: before the first commit is loaded an empty answer would be wrong."""


def _begun() -> anyio.Event:
    event = anyio.Event()
    event.set()
    return event


@dataclass(slots=True)
class Api:
    """What routes are made of."""

    queries: Queries
    commands: Commands
    identity: documents.Identity
    doctor: Callable[[], Awaitable[list[Check]]]
    allow_rewrite: Callable[[str], None]
    boot: Callable[[], Awaitable[BootRecord]]
    live_graph: ReadLive | None = None
    signs: AccountSigns | None = None
    """Tells whether a person uses an account; None: the accounts are not this system's."""
    protected: Callable[[str, int], str] = lambda _name, _uid: ""
    """Returns why an account (name, uid) is protected; empty: it is not."""
    storage: Storage | None = None
    nss: Nss = field(default_factory=Nss)
    """Resolves the names of callers."""
    families: Sequence[Families] = ()
    """What domains count."""
    metrics: Metrics = field(init=False)
    ending: anyio.Event = field(default_factory=anyio.Event)
    """The daemon is stopping: streams end."""
    begun: anyio.Event = field(default_factory=_begun)
    """The host has been read for the first time: requests about it can be served."""

    def __post_init__(self) -> None:
        """Make the metrics over the same queries."""
        self.metrics = Metrics(self.queries, self.families)

    async def until_begun(self) -> None:
        """Wait until the daemon has read the host. Raises TemporaryError(reason="starting") with what it waits for."""
        with anyio.move_on_after(BEGIN_TIMEOUT):
            await self.begun.wait()
        if not self.begun.is_set():
            troubles = "; ".join(error.message for _, error in self.queries.problems.all())
            raise TemporaryError(
                f"the daemon has not read this host yet{f': {troubles}' if troubles else ''}",
                reason="starting",
                hint="eventctl status shows what it waits for",
            )

    async def workload(self, request: web.Request, view: View) -> str:
        """Return the workload of the path. Raises PermanentError(reason="no-such-workload").

        For a caller who may not see it, an existing workload looks like a missing one. It is only reported as missing
        once a commit is loaded.
        """
        name = request.match_info["workload"]
        if name not in self.queries.names():
            await self.until_begun()
            await until_loaded(self.queries)
        known = {each for each in self.queries.names() if view.sees(each)}
        if name not in known:
            have = ", ".join(sorted(each for each in known if is_workload(each))) or "none"
            raise PermanentError(
                f"there is no workload {name!r}", reason="no-such-workload", hint=f"workloads: {have}"
            )
        return name

    async def or_end(self, wait: Callable[[], Awaitable[object]]) -> bool:
        """Await `wait()`; return False if the daemon stops first."""
        finished = False
        async with anyio.create_task_group() as group:

            async def end() -> None:
                await self.ending.wait()
                group.cancel_scope.cancel()

            group.start_soon(end)
            await wait()
            finished = True
            group.cancel_scope.cancel()
        return finished


Handle: TypeAlias = Callable[[Api, web.Request, View], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path."""

    method: str
    path: str
    right: Right
    handle: Handle
    answers: str
    """The request and the answer, for docs/reference/api.md, which is made from these."""
    document: Any
    """The type of its JSON document; None: it answers with text, or always with lines."""
    lines: Any = None
    """The type of a line, if it answers with lines: always, or with `wait`."""
    body: type[BaseModel] | None = None
    """The type of the request body; None: nothing."""
    queries: Mapping[tuple[str, str], Right] = field(default_factory=dict)
    """Keys and values of the query that need another right: `{("fetch", "1"): ...}`."""
    needs: Needs = Needs.DESIRED

    def right_for(self, request: web.Request) -> Right:
        """Return the right that a request needs."""
        for (key, value), other in self.queries.items():
            if value in request.query.getall(key, ()):
                return other
        return self.right
