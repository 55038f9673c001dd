"""A small git server over https on the loopback: git-http-backend(1) behind aiohttp, with a password."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from tests.unit.repository.gitremote import ENVIRONMENT, command


@dataclass
class Server:
    """Where it listens, and who came."""

    port: int
    certificate: Path
    token: str
    seen: list[tuple[str, str]] = field(default_factory=list)
    """User and password of each request that had them."""
    requests: int = 0
    status: int = 0
    """Answer everything with this, if set."""

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/remote.git"


def certify(folder: Path) -> Path:
    """Make a self-signed certificate for 127.0.0.1."""
    path = folder / "certificate.pem"
    command(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-days", "2"),
        *("-keyout", str(folder / "key.pem"), "-out", str(path)),
        cwd=folder,
    )
    return path


@contextlib.asynccontextmanager
async def serve(folder: Path, token: str = "") -> AsyncIterator[Server]:
    """Serve the repositories below `folder`, to whoever has the token as password (to all without one)."""
    server = Server(0, certify(folder), token)

    async def handle(request: web.Request) -> web.Response:
        server.requests += 1
        if server.status:
            return web.Response(
                status=server.status, headers={"Location": "https://127.0.0.1:1/elsewhere.git"}
            )
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            user, _, password = base64.b64decode(given).decode().partition(":")
            server.seen.append((user, password))
        if server.token and (not server.seen or server.seen[-1][1] != server.token or kind != "Basic"):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="git"'})
        process = await asyncio.create_subprocess_exec(
            *("git", "-c", "safe.directory=*", "http-backend"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={
                **ENVIRONMENT,
                "GIT_PROJECT_ROOT": str(folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": request.path,
                "QUERY_STRING": request.query_string,
                "REQUEST_METHOD": request.method,
                "CONTENT_TYPE": request.content_type,
                "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            },
        )
        output, _ = await process.communicate(await request.read())
        head, _, body = output.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(headers.pop("Status", "200").split()[0])
        return web.Response(status=status, body=body, headers=headers)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate, folder / "key.pem")
    application = web.Application(client_max_size=1 << 24)
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        server.port = runner.addresses[0][1]
        yield server
    finally:
        await runner.cleanup()
