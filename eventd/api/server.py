"""The two unix sockets: one for people and programs of this host, one that can only say "pushed".

Owns listening, and the guard that every request passes: who asks (`access`), what the rights table says of it, and
which route answers. The routes are in `routes_*.py`.
"""

from __future__ import annotations

import grp
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread
from aiohttp import web

from eventd.api import answers, routes_events, routes_runs, routes_state, routes_sync
from eventd.api.access import caller, roles_of
from eventd.api.routing import Api, Route
from eventd.core import rights
from eventd.core.errors import PermanentError
from eventd.core.rights import Role

ROUTES: tuple[Route, ...] = (
    *routes_state.ROUTES,
    *routes_runs.ROUTES,
    *routes_events.ROUTES,
    *routes_sync.ROUTES,
)


@dataclass(slots=True)
class Server:
    """Serves both sockets until its context ends."""

    api: Api
    group: str

    async def listen(self, stack: AsyncExitStack, path: str, group: str, *, webhook: bool) -> None:
        """Open a socket; it goes when `stack` is closed. Mode 0660, owned by the group if it exists.

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
        try:
            await web.SockSite(runner, _bind(path, group)).start()
        except OSError as error:
            raise PermanentError(
                f"cannot listen at {path}: {error.strerror or error}", reason="socket-unusable"
            ) from error

    def end_streams(self) -> None:
        """Let every stream end, so that a drain does not wait for a follower."""
        self.api.ending.set()

    def app(self) -> web.Application:
        """Return the routes of the operators' socket."""
        app = web.Application(client_max_size=answers.MAX_BODY, middlewares=[answers.errors])
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
            asked = route.asks(request)
            view = rights.view(asked, await _roles(request, self.group))
            if view is None:
                hint = rights.hint(asked, self.group)
                return answers.refusal(403, "forbidden", "you may not do this", hint)
            return await route.handle(self.api, request, view)

        return guarded


async def _roles(request: web.Request, group: str) -> frozenset[Role]:
    """Ask NSS in a thread: behind it may be a directory service that takes its time."""
    who = caller(request)
    if who is None or who.uid == 0:
        return roles_of(who, group)
    return await anyio.to_thread.run_sync(roles_of, who, group)


def _bind(path: str, group: str) -> socket.socket:
    """Return a bound socket that nobody but root and the group can connect to at any moment. Does not block."""
    Path(path).unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(0o117)
    try:
        sock.bind(path)
        if os.geteuid() == 0:
            os.chown(path, 0, grp.getgrnam(group).gr_gid)
    except KeyError:
        pass  # there is no such group: it is root's alone
    except BaseException:
        sock.close()
        raise
    finally:
        os.umask(old)
    return sock
