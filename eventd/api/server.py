"""The two unix sockets: one for people and programs of this host, one that can only say "pushed".

Owns listening, and the guard that every request passes: who asks (`access`), what the rights table says of it, and
which route answers. The routes are in `routes_*.py`.
"""

from __future__ import annotations

import asyncio
import grp
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from eventd.api import (
    answers,
    routes_adopt,
    routes_approvals,
    routes_audit,
    routes_events,
    routes_orders,
    routes_recovery,
    routes_restart,
    routes_runs,
    routes_state,
    routes_storage,
    routes_sync,
    routes_updates,
)
from eventd.api.door import Door, visit_of
from eventd.api.routing import Api, Route
from eventd.core import rights
from eventd.core.errors import PermanentError
from eventd.core.rights import Role

BACKLOG = 128
"""Connections that the kernel takes in while the daemon is busy (listen(2))."""
_NOBODY = frozenset({Role.NOBODY})
ROUTES: tuple[Route, ...] = (
    *routes_state.ROUTES,
    *routes_audit.ROUTES,
    *routes_runs.ROUTES,
    *routes_recovery.ROUTES,
    *routes_events.ROUTES,
    *routes_sync.ROUTES,
    *routes_adopt.ROUTES,
    *routes_restart.ROUTES,
    *routes_orders.ROUTES,
    *routes_updates.ROUTES,
    *routes_approvals.ROUTES,
    *routes_storage.ROUTES,
)


@dataclass(slots=True)
class Server:
    """Serves both sockets until its context ends."""

    api: Api
    group: str
    door: Door = field(init=False)

    def __post_init__(self) -> None:
        """Make the door."""
        self.door = Door(self._workload)

    def _workload(self, uid: int) -> str:
        reconciler = self.api.reconciler
        return rights.workload_of(uid, reconciler.ledger.records, reconciler.dispatcher.facts)

    async def listen(self, stack: AsyncExitStack, path: str, group: str, *, webhook: bool) -> None:
        """Open a socket; it goes when `stack` is closed.

        Everybody may connect to the first one: the door looks at who it is. The webhook's has mode 0660.
        Raises PermanentError(reason="socket-unusable"). Whether another daemon listens there is not asked: that
        there is no other was made sure of before.
        """
        app = self.webhook_app() if webhook else self.app()
        # Cancelled when its client goes away: a follower that has hung up is not kept until the next event.
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=2.0, handle_signals=False, handler_cancellation=True
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        made = runner.server
        assert made is not None
        self.door.operators = self.door.operators if webhook else _gid(group)
        try:
            sock = _bind(path, _gid(group) if webhook else None, everybody=not webhook)
            loop = asyncio.get_running_loop()
            server = await loop.create_unix_server(
                made if webhook else lambda: self.door.protocol(made()), sock=sock, backlog=BACKLOG
            )
            stack.callback(server.close)
        except OSError as error:
            raise PermanentError(
                f"cannot listen at {path}: {error.strerror or error}", reason="socket-unusable"
            ) from error

    def end_streams(self) -> None:
        """Let every stream end, so that a drain does not wait for a follower."""
        self.api.ending.set()

    def app(self) -> web.Application:
        """Return the routes of the operators' socket."""
        app = web.Application(client_max_size=answers.MAX_BODY, middlewares=[_one_each, answers.errors])
        for route in ROUTES:
            app.router.add_route(route.method, route.path, self._guarded(route))
        return app

    def webhook_app(self) -> web.Application:
        """Return the one route of the webhook's socket."""

        async def pushed(request: web.Request) -> web.Response:
            return await routes_sync.pushed(self.api, request)

        app = web.Application(client_max_size=answers.MAX_BODY, middlewares=[answers.errors])
        app.router.add_post("/v1/pushed", pushed)
        return app

    def _guarded(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def guarded(request: web.Request) -> web.StreamResponse:
            asked, visit = route.asks(request), visit_of(request)
            roles, own = _NOBODY, ""
            if visit is not None and visit.peer is not None:
                roles, own = self.door.roles(visit.peer), self.door.workload(visit.peer.uid)
            view = rights.view(asked, roles, own)
            if view is None:
                hint = rights.hint(asked, self.group)
                return answers.refusal(403, "forbidden", "you may not do this", hint)
            if route.method != "GET" and visit is not None and not visit.changes():
                raise answers.TooManyError(
                    "you ask for too many changes", hint="ask again later, or have root ask"
                )
            return await route.handle(self.api, request, view)

        return guarded


@web.middleware
async def _one_each(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Close a connection after its answer, unless it is root's: each request of others is counted anew."""
    response = await handler(request)
    visit = visit_of(request)
    if (visit is None or visit.use is not None) and not response.prepared:
        response.force_close()
    return response


def _gid(group: str) -> int | None:
    """Return the id of a group; None: there is none, and nobody is in it. Local files, at the start only."""
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        return None


def _bind(path: str, group: int | None, *, everybody: bool = False) -> socket.socket:
    """Return a bound socket, which at no moment more people can connect to than should. Does not block."""
    Path(path).unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(0o111 if everybody else 0o117)
    try:
        sock.bind(path)
        if os.geteuid() == 0 and group is not None:
            os.chown(path, 0, group)
    except BaseException:
        sock.close()
        raise
    finally:
        os.umask(old)
    return sock
