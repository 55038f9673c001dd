"""The HTTP server: one POST per connection, limited in time and size. `process_connections` limits their number.

Owns the order of the checks (path, method, type, size, signature, content, replay, daemon) and the answers. A body is
not parsed before its signature is verified. The checks themselves are in the other modules.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from eventd.webhook.process_connections import Connections, Held, Phase, forwarded_for, peer_of, trusted
from eventd.webhook.process_log import Priority
from eventd.webhook.process_payload import Ignored, MalformedError, interpret
from eventd.webhook.process_relay import Outcome
from eventd.webhook.process_signatures import RefusedError, Verified, verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventd.webhook.process_deliveries import Deliveries
    from eventd.webhook.process_log import Log
    from eventd.webhook.process_payload import Push
    from eventd.webhook.process_relay import Relay
    from eventd.webhook.process_settings import Hook, Settings, WebhookTable

_DELIVERY = re.compile(r"[!-~]{1,128}")
BODY_GRACE = 2.0
"""The minimal time for a body in seconds, however small it is."""
BODY_RATE = 16 * 1024
"""The minimal rate in bytes per second after that, until `request_timeout`."""
BUFFERED = 32 << 20
"""The limit for all incomplete bodies, in bytes, but at least one body of a hook. Far below the unit's MemoryMax=."""
DROP_LOG_INTERVAL = 60.0
"""Seconds between two log lines about dropped connections."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request whose body is arriving."""

    connections: Connections
    held: Held
    client: str
    """The client's address, as far as it is known."""

    def received(self, size: int) -> None:
        """Count bytes of the body. This may drop the connection."""
        self.connections.receive(self.held, size)

    def complete(self) -> None:
        """The request is complete."""
        self.held.phase = Phase.WORKED_ON


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to the client, and further fields for the log."""

    status: int
    body: dict[str, str | bool]
    reason: str = ""
    verified: Verified | None = None
    push: Push | None = None


def _error(status: int, name: str, reason: str = "") -> Answer:
    return Answer(status, {"error": name}, reason or name)


class Listener:
    """Answers requests."""

    def __init__(
        self,
        settings: Settings,
        deliveries: Deliveries,
        relay: Relay,
        log: Log,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._deliveries = deliveries
        self._relay = relay
        self._log = log
        self._clock = clock

    async def handle(self, request: web.BaseRequest, arrival: Arrival) -> web.Response:
        """Answer one request."""
        begun = asyncio.get_running_loop().time()
        hook = self._settings.hooks.get(request.path)
        answer = await self._answer(request, hook, arrival)
        self._note(arrival.client, hook, answer, asyncio.get_running_loop().time() - begun)
        response = web.Response(
            status=answer.status,
            body=json.dumps(answer.body).encode() + b"\n",
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )
        if answer.status == 405:
            response.headers["Allow"] = "POST"
        if answer.status == 503:
            response.headers["Retry-After"] = "30"
        response.force_close()
        return response

    def _note(self, client: str, hook: Hook | None, answer: Answer, seconds: float) -> None:
        priority = Priority.INFO if answer.status < 400 else Priority.WARNING
        self._log.write(
            priority,
            "delivery",
            status=answer.status,
            reason=answer.reason or None,
            hook=hook.table.name if hook else None,
            peer=client,
            forge_event=answer.verified.event[:64] if answer.verified else None,
            delivery=answer.verified.delivery[:128] if answer.verified else None,
            repository=answer.push.repository if answer.push else None,
            branch=answer.push.branch if answer.push else None,
            commit=answer.push.commit if answer.push else None,
            milliseconds=round(seconds * 1000, 1),
        )

    async def _answer(self, request: web.BaseRequest, hook: Hook | None, arrival: Arrival) -> Answer:
        if hook is None:
            return _error(404, "not-found")
        if request.method != "POST":
            return _error(405, "method")
        if request.content_type != "application/json":
            return _error(415, "content-type")
        if (request.content_length or 0) > hook.table.max_body:
            return _error(413, "too-large")
        try:
            body = await self._read(request, hook.table.max_body, arrival)
        except TimeoutError:
            return _error(408, "timeout")
        except (web.RequestPayloadError, ConnectionError):
            return _error(400, "truncated")
        if body is None:
            return _error(413, "too-large")
        arrival.complete()
        try:
            verified = verify(hook, request.headers, body, now=self._clock())
        except RefusedError as error:
            return _error(401, "signature", error.reason)
        try:
            event = interpret(hook.table.forge, verified.event, body)
        except MalformedError:
            return Answer(422, {"error": "payload"}, "malformed", verified)
        if isinstance(event, Ignored):
            return Answer(200, {"delivered": False, "reason": event.reason}, event.reason, verified)
        return await self._pass_on(hook, verified, event)

    async def _read(self, request: web.BaseRequest, limit: int, arrival: Arrival) -> bytes | None:
        """Return the body, or None as soon as it is too large (a chunked one does not announce its size).

        Raises TimeoutError if it does not arrive in time, or arrives too slowly.
        """
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = bytearray()
        began = asyncio.get_running_loop().time()
        most = self._settings.table.request_timeout
        async with asyncio.timeout_at(began + min(most, BODY_GRACE)) as deadline:
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > limit:
                    return None
                arrival.received(len(chunk))
                deadline.reschedule(began + min(most, BODY_GRACE + len(body) / BODY_RATE))
        return bytes(body)

    async def _pass_on(self, hook: Hook, verified: Verified, push: Push) -> Answer:
        def ignored(reason: str) -> Answer:
            return Answer(200, {"delivered": False, "reason": reason}, reason, verified, push)

        # The names of repositories are case-insensitive on Gitea and GitHub.
        wanted = hook.table.repository
        if wanted is not None and wanted.casefold() != push.repository.casefold():
            return ignored("other-repository")
        if hook.table.branch is not None and hook.table.branch != push.branch:
            return ignored("other-branch")
        if not verified.identities or not _DELIVERY.fullmatch(verified.delivery):
            return Answer(422, {"error": "delivery-id"}, "no-delivery-id", verified, push)
        async with self._deliveries.claim(hook.table.name, verified.identities) as claim:
            if claim.known:
                return Answer(409, {"error": "replay"}, "replay", verified, push)
            relayed = await self._relay.pushed(hook.table.name, verified.delivery, push)
            match relayed.outcome:
                case Outcome.TAKEN:
                    claim.confirm()
                    return Answer(202, {"delivered": True}, "", verified, push)
                case Outcome.REFUSED:
                    return Answer(422, {"error": "refused"}, f"daemon {relayed.detail}", verified, push)
                case Outcome.UNREACHABLE:
                    return Answer(503, {"error": "daemon"}, f"daemon: {relayed.detail}", verified, push)


class BoundedServer(web.Server):
    """aiohttp's server with limits on connections: how many, from whom, and for how long.

    aiohttp has no timeout for headers. Here each connection carries one request, with a deadline for the headers, and
    another one for everything after that, including slow readers of the answer.
    """

    def __init__(
        self, listener: Listener, table: WebhookTable, log: Log, *, lifetime: float, linger: float = 2.0
    ) -> None:
        super().__init__(self._handle, access_log=None, keepalive_timeout=0.0, lingering_time=linger)
        self._listener = listener
        self._table = table
        self._log = log
        self._lifetime = lifetime
        self._bounded = Connections(
            most=table.connections,
            per_peer=table.connections_per_peer,
            buffered=max(BUFFERED, *(hook.max_body for hook in table.hooks)),
        )
        self._held: dict[Any, Held] = {}
        self._deadlines: dict[Any, asyncio.TimerHandle] = {}
        self._dropped = 0
        self._drop_logged = -math.inf

    def connection_made(self, handler: Any, transport: asyncio.Transport) -> None:
        """Accept a connection, with a deadline for its headers."""
        super().connection_made(handler, transport)
        address = _address(transport)

        def drop(why: str) -> None:
            self._log_drop(why, address)
            transport.abort()

        proxy = trusted(address, self._table.trusted_proxies)
        held = self._held[handler] = Held(drop, "" if proxy else peer_of(address))
        self._deadline(handler, self._table.header_timeout, "header-timeout")
        self._bounded.enter(held)

    def connection_lost(self, handler: Any, exc: BaseException | None = None) -> None:
        """Remove a connection."""
        super().connection_lost(handler, exc)
        if deadline := self._deadlines.pop(handler, None):
            deadline.cancel()
        if held := self._held.pop(handler, None):
            self._bounded.leave(held)

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        handler = request.protocol
        held = self._held.get(handler)
        if held is None or request.transport is None:
            return web.Response(status=408)  # dropped while its headers were read: this is not sent
        self._deadline(handler, self._lifetime, "lifetime")
        lines = request.headers.getall("X-Forwarded-For", ())
        client = forwarded_for(_address(request.transport), lines, self._table.trusted_proxies)
        self._bounded.identify(held, peer_of(client))
        try:
            return await self._listener.handle(request, Arrival(self._bounded, held, client))
        finally:
            held.phase = Phase.ENDING

    def _deadline(self, handler: Any, seconds: float, why: str) -> None:
        if before := self._deadlines.pop(handler, None):
            before.cancel()
        self._deadlines[handler] = asyncio.get_running_loop().call_later(
            seconds, self._held[handler].drop, why
        )

    def _log_drop(self, why: str, address: str) -> None:
        """Log dropped connections: the first at once, then their number now and then."""
        self._dropped += 1
        now = asyncio.get_running_loop().time()
        if now - self._drop_logged >= DROP_LOG_INTERVAL:
            self._log.write(Priority.WARNING, "dropped", reason=why, peer=address, connections=self._dropped)
            self._drop_logged, self._dropped = now, 0


def _address(transport: asyncio.BaseTransport) -> str:
    name = transport.get_extra_info("peername")
    return str(name[0]) if isinstance(name, tuple) and name else ""
