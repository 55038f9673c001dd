"""The two peers of the webhook listener: a forge that signs, and a daemon on a unix socket."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from eventd.webhook.process_deliveries import Deliveries
from eventd.webhook.process_log import Log
from eventd.webhook.process_relay import Relay
from eventd.webhook.process_server import BoundedServer, Listener
from eventd.webhook.process_settings import Settings, build

SECRET = b"It's a Secret to Everybody"
COMMIT = "bffeb74224043ba2feb48d137756c8a9331c449a"


def headers(*pairs: tuple[str, str], **more: str) -> CIMultiDictProxy[str]:
    """Make headers as aiohttp has them; `X_A` stands for `X-A`."""
    return CIMultiDictProxy(
        CIMultiDict([*pairs, *((name.replace("_", "-"), value) for name, value in more.items())])
    )


def push(
    ref: str = "refs/heads/main", repository: str = "team/host", after: str = COMMIT, **more: Any
) -> bytes:
    """Make the body of a push as GitHub, Gitea and Forgejo send it."""
    return json.dumps({"ref": ref, "after": after, "repository": {"full_name": repository}, **more}).encode()


def github(body: bytes, delivery: str = "d-1", event: str = "push", secret: bytes = SECRET) -> dict[str, str]:
    """Sign as GitHub does."""
    digest = hmac.new(secret, body, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": f"sha256={digest}",
    }


def standard(body: bytes, key: bytes, message: str, sent: int) -> dict[str, str]:
    """Sign as GitLab does with a signing token."""
    digest = hmac.new(key, f"{message}.{sent}.".encode() + body, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "X-Gitlab-Event": "Push Hook",
        "webhook-id": message,
        "webhook-timestamp": str(sent),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


class Daemon:
    """The daemon's socket: notes what it is told, answers as it is set to."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.told: list[dict[str, str]] = []
        self.status = 202
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        application = web.Application()
        application.router.add_post("/v1/pushed", self._pushed)
        self._runner = web.AppRunner(application)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self.socket)).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self.socket.unlink(missing_ok=True)

    async def _pushed(self, request: web.Request) -> web.Response:
        self.asked.set()
        await self.gate.wait()
        self.told.append(await request.json())
        return web.Response(status=self.status)


@dataclass
class Side:
    """A running listener and its daemon."""

    port: int
    daemon: Daemon
    log: io.StringIO
    clock: list[float] = field(default_factory=lambda: [1_700_000_000.0])

    def records(self) -> list[dict[str, Any]]:
        """Return what was logged."""
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


def settings(
    folder: Path, secret: bytes = SECRET, *, top: dict[str, Any] | None = None, **hook: Any
) -> Settings:
    """Make the settings of one hook called `host`."""
    file = folder / "secret"
    file.write_bytes(secret)
    file.chmod(0o600)
    table = {"name": "host", "forge": "github", "secret_file": str(file), **hook}
    data = {"daemon": str(folder / "daemon.sock"), "hooks": [table], **(top or {})}
    return build(data, "webhook.toml", credentials=None)


@contextlib.asynccontextmanager
async def serve(
    made: Settings, folder: Path, *, start: bool = True, lifetime: float = 20
) -> AsyncIterator[Side]:
    """Run a listener on a free port, with its daemon."""
    daemon = Daemon(Path(made.table.daemon))
    if start:
        await daemon.start()
    stream = io.StringIO()
    side = Side(0, daemon, stream)
    log = Log(stream)
    problems: list[str] = []
    deliveries = Deliveries(made.table.remembered, folder / "deliveries", problems.append)
    relay = Relay(made.table.daemon, made.table.daemon_timeout)
    listener = Listener(made, deliveries, relay, log, clock=lambda: side.clock[0])
    server = BoundedServer(listener, made.table, log, lifetime=lifetime, linger=0.1)
    runner = web.ServerRunner(server)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        side.port = runner.addresses[0][1]
        yield side
    finally:
        daemon.gate.set()
        await runner.cleanup()
        await daemon.stop()
    assert problems == []
