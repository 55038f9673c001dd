"""HTTP: one POST per connection, bounded in time, size and number; every answer is short.

Owns: the order of the checks (path, method, type, size, signature, content, replay, daemon) and the answers.
Nothing of a body is parsed before its signature is verified. The rest of the package does the judging.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from eventd.webhook.log import Priority
from eventd.webhook.payload import Ignored, MalformedError, interpret
from eventd.webhook.relay import Outcome
from eventd.webhook.signatures import RefusedError, Verified, verify

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventd.webhook.deliveries import Deliveries
    from eventd.webhook.log import Log
    from eventd.webhook.payload import Push
    from eventd.webhook.relay import Relay
    from eventd.webhook.settings import Hook, Settings

_DELIVERY = re.compile(r"[!-~]{1,128}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client gets, and what the log gets beyond that."""

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

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer one request."""
        begun = asyncio.get_running_loop().time()
        hook = self._settings.hooks.get(request.path)
        answer = await self._answer(request, hook)
        self._note(request, hook, answer, asyncio.get_running_loop().time() - begun)
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

    def _note(self, request: web.BaseRequest, hook: Hook | None, answer: Answer, seconds: float) -> None:
        priority = Priority.INFO if answer.status < 400 else Priority.WARNING
        self._log.write(
            priority,
            "delivery",
            status=answer.status,
            reason=answer.reason or None,
            hook=hook.table.name if hook else None,
            peer=request.remote,
            forge_event=answer.verified.event[:64] if answer.verified else None,
            delivery=answer.verified.delivery[:128] if answer.verified else None,
            repository=answer.push.repository if answer.push else None,
            branch=answer.push.branch if answer.push else None,
            commit=answer.push.commit if answer.push else None,
            milliseconds=round(seconds * 1000, 1),
        )

    async def _answer(self, request: web.BaseRequest, hook: Hook | None) -> Answer:
        if hook is None:
            return _error(404, "not-found")
        if request.method != "POST":
            return _error(405, "method")
        if request.content_type != "application/json":
            return _error(415, "content-type")
        if (request.content_length or 0) > hook.table.max_body:
            return _error(413, "too-large")
        try:
            async with asyncio.timeout(self._settings.table.request_timeout):
                body = await self._read(request, hook.table.max_body)
        except TimeoutError:
            return _error(408, "timeout")
        except (web.RequestPayloadError, ConnectionError):
            return _error(400, "truncated")
        if body is None:
            return _error(413, "too-large")
        try:
            verified = verify(hook, request.headers, body, now=self._clock())
        except RefusedError as error:
            return _error(401, "signature", error.reason)
        try:
            said = interpret(hook.table.forge, verified.event, body)
        except MalformedError:
            return Answer(422, {"error": "payload"}, "malformed", verified)
        if isinstance(said, Ignored):
            return Answer(200, {"delivered": False, "reason": said.reason}, said.reason, verified)
        return await self._pass_on(hook, verified, said)

    async def _read(self, request: web.BaseRequest, limit: int) -> bytes | None:
        """Return the body, or None as soon as it is too large (a chunked one does not say so before)."""
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = bytearray()
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > limit:
                return None
        return bytes(body)

    async def _pass_on(self, hook: Hook, verified: Verified, push: Push) -> Answer:
        def ignored(reason: str) -> Answer:
            return Answer(200, {"delivered": False, "reason": reason}, reason, verified, push)

        # Gitea and GitHub take the letters of a repository's name as equal, whatever their case.
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
    """aiohttp's server with a bound on connections, and on how long each of them may live.

    aiohttp gives a client as long as it likes for its first header. Each connection carries one request here,
    so one deadline over the whole connection covers slow headers, slow bodies and slow readers of the answer.
    """

    def __init__(self, listener: Listener, *, connections: int, lifetime: float, linger: float = 2.0) -> None:
        super().__init__(listener.handle, access_log=None, keepalive_timeout=0.0, lingering_time=linger)
        self._most = connections
        self._lifetime = lifetime
        self._deadlines: dict[Any, asyncio.TimerHandle] = {}

    def connection_made(self, handler: Any, transport: asyncio.Transport) -> None:
        """Admit a connection for its lifetime, or close it."""
        super().connection_made(handler, transport)
        if len(self.connections) > self._most:
            transport.abort()
            return
        self._deadlines[handler] = asyncio.get_running_loop().call_later(self._lifetime, transport.abort)

    def connection_lost(self, handler: Any, exc: BaseException | None = None) -> None:
        """Forget a connection."""
        super().connection_lost(handler, exc)
        if deadline := self._deadlines.pop(handler, None):
            deadline.cancel()
