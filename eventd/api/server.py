"""The unix sockets: for root, for operators, for everybody on this host, and one that can only say "pushed".

Owns the sockets, and the guard that every request passes: who calls (`access`), whether the rights table allows it, and
which route answers. The routes are in the domains' `routes*.py`.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from eventd.api import answers
from eventd.api import model_rights as rights
from eventd.api import model_sockets as sockets
from eventd.api.access import Peer
from eventd.api.connection_limiter import ConnectionLimiter
from eventd.api.listener import Listener
from eventd.api.loading import until_loaded
from eventd.api.model_rights import Right, Role, View
from eventd.api.pace import Pace, metered
from eventd.api.routing import Api, Needs, Route
from eventd.api.socket_groups import SocketGroups
from eventd.api.visit import Visit, enter, enter_listener, pace_of, visit_of
from eventd.kernel.model.errors import PermanentError
from eventd.repository import routes as routes_sync

ACCEPTING, BURST = 0.1, 0.01
"""Share of the loop's time for accepting connections on one socket, and the burst in seconds."""
_NOBODY = frozenset({Role.NOBODY})
_Handler = Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]
_Make = Callable[[], asyncio.Protocol]
_Enter = Callable[[ConnectionLimiter, Peer, _Make], asyncio.Protocol | bytes]


@dataclass(slots=True)
class Server:
    """Serves both sockets until its context ends."""

    api: Api
    group: str
    routes: Sequence[Route]
    limiter: ConnectionLimiter = field(init=False)
    groups: SocketGroups = field(init=False)

    def __post_init__(self) -> None:
        """Make the connection limiter, and who looks up the groups of the sockets."""
        self.limiter = ConnectionLimiter(self._workload)
        self.groups = SocketGroups(self.api.nss, self.api.queries.problems.note_names)

    def _workload(self, uid: int) -> str:
        queries = self.api.queries
        return rights.workload_of(uid, queries.records, queries.facts)

    def _view(self, asked: Right, visit: Visit | None) -> View | None:
        """Return what a caller may see under a right; None: nothing."""
        roles, own = _NOBODY, ""
        if visit is not None:
            roles, own = self.limiter.roles(visit.peer), self.limiter.workload(visit.peer.uid)
        return rights.view(asked, roles, own)

    async def listen(self, stack: AsyncExitStack, path: str, group: str) -> None:
        """Open the sockets of people and programs; they are removed when `stack` is closed.

        Everybody may connect to `path`; operators and root have one each beside it. Callers are identified on each.
        Raises PermanentError(reason="socket-unusable"). It does not check for another daemon on the socket: the
        instance lock has excluded that.
        """
        made = await self._serve(stack, self.app())
        theirs = sockets.beside(path, sockets.OPERATORS)
        self._open(stack, sockets.beside(path, sockets.ROOT), 0o600, enter, made, paced=False)
        self._open(stack, theirs, 0o600, enter, made)  # root's, until the group is known
        self._open(stack, path, 0o666, enter, made)

        def found(gid: int) -> None:
            self.limiter.note_operators(gid)
            _give(theirs, gid)

        await self.groups.resolve(group, found)

    async def listen_webhook(self, stack: AsyncExitStack, path: str, group: str) -> None:
        """Open the socket that can only say "pushed", with mode 0660. See `listen`."""
        made = await self._serve(stack, self.webhook_app())
        self._open(stack, path, 0o660, enter_listener, made)
        await self.groups.resolve(group, lambda gid: _give(path, gid))

    def _open(
        self,
        stack: AsyncExitStack,
        path: str,
        mode: int,
        entering: _Enter,
        made: _Make,
        *,
        paced: bool = True,
    ) -> None:
        # Root's time is not counted, not even for accepting its connections.
        pace = Pace(ACCEPTING, BURST) if paced else None
        listener = Listener(_bind(path, mode), lambda who: entering(self.limiter, who, made), pace)
        stack.callback(listener.close)

    async def _serve(self, stack: AsyncExitStack, app: web.Application) -> _Make:
        """Return the protocol factory of a socket."""
        # Cancelled when the client disconnects: a follower that is gone is not kept until the next event.
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=2.0, handle_signals=False, handler_cancellation=True
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        assert runner.server is not None
        return runner.server

    def end_streams(self) -> None:
        """End every stream, so that a drain does not wait for followers."""
        self.api.ending.set()

    def app(self) -> web.Application:
        """Return the routes of the operators' socket."""
        app = web.Application(client_max_size=answers.MAX_BODY, middlewares=[_one_each, answers.errors])
        for route in self.routes:
            app.router.add_route(route.method, route.path, self._guarded(route))
        return app

    def webhook_app(self) -> web.Application:
        """Return the one route of the webhook's socket."""

        async def pushed(request: web.Request) -> web.StreamResponse:
            return await routes_sync.pushed(self.api, request)

        app = web.Application(client_max_size=answers.MAX_BODY, middlewares=[_one_each, answers.errors])
        app.router.add_post("/v1/pushed", _paced(pushed))
        return app

    def _guarded(self, route: Route) -> _Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            asked, visit = route.right_for(request), visit_of(request)
            if self.groups.pending and visit is not None and visit.use is not None:  # root's role is known
                await self.groups.ask()
            view = self._view(asked, visit)
            if not self.api.begun.is_set() and (view is None or route.needs is not Needs.NOTHING):
                await self.api.until_begun()
                view = self._view(asked, visit)  # the owner of a uid is known by now
            if view is None:
                hint = rights.hint(asked, self.group)
                return answers.refusal(403, "forbidden", "you may not do this", hint)
            if route.method != "GET" and visit is not None and not visit.changes():
                raise answers.TooManyError(
                    "too many requests for changes", hint="try again later, or as root"
                )
            if route.needs is Needs.DESIRED:
                await until_loaded(self.api.queries)
            return await route.handle(self.api, request, view)

        return _paced(guarded)


def _paced(handler: _Handler) -> _Handler:
    """Return a handler that begins when its caller's kind has time left, and counts the time it uses."""

    async def paced(request: web.Request) -> web.StreamResponse:
        pace = pace_of(request)
        if pace is None:
            return await handler(request)
        await pace.turn()
        return await metered(handler(request), pace)

    return paced


@web.middleware
async def _one_each(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Close a connection after its answer, unless it is root's: each request of others is counted again."""
    response = await handler(request)
    visit = visit_of(request)
    if (visit is None or visit.use is not None) and not response.prepared:
        response.force_close()
    return response


def _bind(path: str, mode: int) -> socket.socket:
    """Return a bound socket that is never accessible to more callers than intended. Does not block."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(0o777 & ~mode)
    try:
        Path(path).unlink(missing_ok=True)
        sock.bind(path)
    except OSError as error:
        sock.close()
        raise PermanentError(
            f"cannot listen at {path}: {error.strerror or error}", reason="socket-unusable"
        ) from error
    finally:
        os.umask(old)
    return sock


def _give(path: str, group: int) -> None:
    """Let a group connect to a socket."""
    if os.geteuid() == 0:
        os.chown(path, 0, group)
    Path(path).chmod(0o660)
