"""A small forge: a bare repository, served over HTTP on the loopback, with a webhook on push.

Owns: the repository and the server's thread. git does the work (git-http-backend(1), githooks(5)).
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "demo/host"
"""Full name of the repository."""
TIMEOUT = 30.0
HOOK = """\
#!/bin/sh
unset GIT_DIR GIT_QUARANTINE_PATH
exec {python} -m eventd_simulators.demo.deliver {config}
"""


class Forge:
    """Use as a context manager: it serves until the end of the block."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = dict(environment)
        self.path = folder / f"{NAME}.git"
        subprocess.run(
            ["git", "init", "--quiet", "--bare", "--initial-branch=main", str(self.path)],
            env=self._environment,
            timeout=TIMEOUT,
            check=True,
        )
        # A global git setting of the user must not disable the hook.
        with (self.path / "config").open("a") as config:
            config.write(f'[core]\n\thooksPath = "{self.path}/hooks"\n')
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="forge", daemon=True)

    @property
    def url(self) -> str:
        """Where eventd fetches from."""
        return f"http://127.0.0.1:{self._server.server_port}/{NAME}.git"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add_webhook(self, url: str, secret_file: Path) -> None:
        """Deliver each push from now on."""
        config = self._folder / "webhook.json"
        config.write_text(json.dumps({"url": url, "repository": NAME, "secret_file": str(secret_file)}))
        hook = self.path / "hooks" / "post-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(HOOK.format(python=shlex.quote(sys.executable), config=shlex.quote(str(config))))
        hook.chmod(0o700)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        folder, environment = self._folder, self._environment

        class Handler(BaseHTTPRequestHandler):
            """Hands a request to git's CGI program."""

            def do_GET(self) -> None:
                self._answer(b"")

            def do_POST(self) -> None:
                self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

            def log_message(self, *_: Any) -> None:
                """Say nothing on the terminal."""

            def _answer(self, body: bytes) -> None:
                path, _, query = self.path.partition("?")
                done = subprocess.run(
                    ["git", "http-backend"],
                    input=body,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    timeout=TIMEOUT,
                    check=False,
                    env={
                        **environment,
                        "GIT_PROJECT_ROOT": os.fspath(folder),
                        "GIT_HTTP_EXPORT_ALL": "1",
                        "PATH_INFO": path,
                        "QUERY_STRING": query,
                        "REQUEST_METHOD": self.command,
                        "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                        "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                        "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                    },
                )
                head, _, content = done.stdout.partition(b"\r\n\r\n")
                rows = [row.split(": ", 1) for row in head.decode("latin-1").split("\r\n") if ": " in row]
                headers = {row[0]: row[1] for row in rows}
                self.send_response(int(headers.pop("Status", "200" if headers else "500").split()[0]))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        return Handler
