"""A small synchronous client of the daemon's socket: HTTP/1.1 over a unix socket, standard library only.

It owns the connection and its deadlines, and translates every failure into an `EventdError`. It must not print, decide
on exit codes, or interpret answers: `eventd.cli` does, as anybody else may with `curl --unix-socket`.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import os
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode

from eventd.api import model_sockets as sockets
from eventd.kernel.model.errors import DeadlineError, DisconnectedError, EventdError, PermanentError

if TYPE_CHECKING:
    from types import TracebackType

DEFAULT_SOCKET = sockets.DEFAULT
TIMEOUT = 30.0
"""Seconds for connecting, and again for each read of an answer that does not stream."""
MAX_LINE = 4 * 1024 * 1024
"""Bytes of one line of a stream; a longer one is not from the daemon."""
MAX_BODY = 256 * 1024 * 1024
"""Bytes of one answer."""

Query = Mapping[str, str | int | float]


class NoDaemonError(DisconnectedError):
    """The daemon does not answer: `reason` is no-daemon, permission-denied or no-answer."""

    reason = "no-daemon"


class DaemonError(PermanentError):
    """The daemon answered with an error; `status` is the HTTP status."""

    def __init__(self, status: int, message: str, *, reason: str, hint: str = "") -> None:
        super().__init__(message, reason=reason, hint=hint)
        self.status = status


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket: the first of several that accepts a connection."""

    def __init__(self, paths: Sequence[str], timeout: float) -> None:
        super().__init__("eventd", timeout=timeout)
        self._paths = paths
        self._seconds = timeout
        self.plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        """Kept beside `sock`, which http.client drops when the answer is the last on its connection."""

    def connect(self) -> None:
        """Connect. Raises NoDaemonError."""
        self.sock = self.plain
        # A socket with a Python timeout does not wait in connect(2): with a full queue it fails at once (EAGAIN). A
        # blocking one waits for a place in the queue, up to SO_SNDTIMEO (socket(7), unix(7)).
        self.sock.settimeout(None)
        whole = int(self._seconds)
        waits = struct.pack("@ll", whole, int((self._seconds - whole) * 1e6))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, waits)
        for path in self._paths:
            try:
                self.sock.connect(path)
            except OSError as error:
                if path is self._paths[-1] or error.errno == errno.EAGAIN:
                    raise _absent(path, error) from error
            else:
                break
        self.sock.settimeout(self._seconds)

    def close(self) -> None:
        """Close the socket; an open answer keeps it until that is closed too."""
        super().close()
        self.plain.close()


def _absent(path: str, error: OSError) -> NoDaemonError:
    """Translate a failed connect(2); ECONNREFUSED is a socket that nobody listens on (unix(7))."""
    if isinstance(error, PermissionError):
        return NoDaemonError(
            f"permission denied at {path}",
            reason="permission-denied",
            hint="run as root, or join the group eventd: usermod -aG eventd NAME, then log in again",
        )
    if isinstance(error, TimeoutError) or error.errno == errno.EAGAIN:
        return NoDaemonError(
            f"the daemon at {path} does not accept connections",
            reason="no-answer",
            hint="journalctl -u eventd -n 50",
        )
    if error.errno in (errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR, errno.ENOTSOCK):
        return NoDaemonError(f"no daemon at {path}", hint="systemctl status eventd")
    return NoDaemonError(
        f"no daemon at {path}: {error.strerror or error}", hint="systemctl status eventd, or another --socket"
    )


class Stream:
    """The lines of an `application/x-ndjson` answer. Use as a context manager: it owns its connection."""

    def __init__(self, connection: _Connection, response: http.client.HTTPResponse, idle: float) -> None:
        self._connection = connection
        self._response = response
        self._idle = idle
        self.status = response.status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._response.close()
        self._connection.close()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield each line as an object, as it arrives.

        Raises DeadlineError when nothing comes for the idle time, DisconnectedError when the daemon goes away
        before it ended the answer.
        """
        rest = b""
        while chunk := self._chunk():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line.strip():
                    yield _object(line)
            if len(rest) > MAX_LINE:
                raise _foreign(f"a line of more than {MAX_LINE} bytes")
        if rest.strip():
            raise _gone()

    def _chunk(self) -> bytes:
        """Return the data that has arrived, b"" at the end of the answer.

        Not `readline`: on a chunked answer it takes a lost connection for the end; `read1` does not.
        """
        try:
            chunk = self._response.read1(65536)
        except TimeoutError as error:
            raise DeadlineError(
                f"nothing heard from the daemon for {self._idle:.0f} s", hint="journalctl -u eventd -n 50"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise _gone() from error
        if not chunk and self._response.length:
            raise _gone()
        return chunk


def _gone() -> DisconnectedError:
    return DisconnectedError(
        "the daemon went away in the middle of its answer", hint="systemctl status eventd"
    )


def _object(line: bytes) -> dict[str, Any]:
    value = _json(line)
    if not isinstance(value, dict):
        raise _foreign("a line that is not an object")
    return value


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise _foreign("something that is not JSON") from error


def _foreign(what: str) -> PermanentError:
    return PermanentError(
        f"the daemon answered with {what}",
        reason="not-understood",
        hint="check that the versions match: eventd --version, eventctl --version",
    )


class Client:
    """A client of the daemon: at `path`, or at the socket with the most rights for this caller.

    Each request has its own connection, so several may be open at once.
    """

    def __init__(self, path: str = "", *, timeout: float = TIMEOUT) -> None:
        given = path or os.environ.get("EVENTD_SOCKET", "")
        self.path = given or DEFAULT_SOCKET
        """The path shown in errors; if none was given, the sockets of root and of operators are tried first."""
        self._paths = (
            (given,)
            if given
            else (*(sockets.beside(self.path, name) for name in (sockets.ROOT, sockets.OPERATORS)), self.path)
        )
        self.timeout = timeout

    def get(self, path: str, query: Query | None = None) -> Any:
        """Return the JSON answer to GET `path` (see `at` for its parts).

        Raises NoDaemonError, DaemonError, DeadlineError, DisconnectedError.
        """
        return _json(self._read("GET", path, query, None))

    def text(self, path: str) -> str:
        """Return the answer to GET `path` as text."""
        return self._read("GET", path, None, None).decode("utf-8", "replace")

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the JSON answer to POST `path` with `body` as JSON."""
        return _json(self._read("POST", path, None, body))

    def stream(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        idle: float,
    ) -> Stream:
        """Open an answer of lines; `idle` is how many seconds may pass without one."""
        connection, response = self._ask(method, path, query, body)
        connection.plain.settimeout(idle)
        return Stream(connection, response, idle)

    def _read(self, method: str, path: str, query: Query | None, body: Mapping[str, Any] | None) -> bytes:
        connection, response = self._ask(method, path, query, body)
        try:
            content = response.read(MAX_BODY + 1)
            if len(content) > MAX_BODY:
                raise _foreign(f"more than {MAX_BODY} bytes")
        except TimeoutError as error:
            raise self._late() from error
        except (OSError, http.client.HTTPException) as error:
            raise _gone() from error
        else:
            return content
        finally:
            response.close()
            connection.close()

    def _ask(
        self, method: str, path: str, query: Query | None, body: Mapping[str, Any] | None
    ) -> tuple[_Connection, http.client.HTTPResponse]:
        """Send a request and return its answer if its status is a success."""
        connection = _Connection(self._paths, self.timeout)
        headers = {"Accept": "application/json, application/x-ndjson, text/plain"}
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        target = f"{path}?{urlencode(query)}" if query else path
        try:
            # A rejected connection is answered before the request is sent; the answer can still be read.
            with contextlib.suppress(BrokenPipeError):
                connection.request(method, target, body=content, headers=headers)
            response = connection.getresponse()
            if response.status >= http.client.BAD_REQUEST:
                raise _refusal(response.status, response.read(MAX_BODY))
        except EventdError:
            connection.close()
            raise
        except TimeoutError as error:
            connection.close()
            raise self._late() from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise _gone() from error
        return connection, response

    def _late(self) -> NoDaemonError:
        return NoDaemonError(
            f"the daemon at {self.path} did not answer within {self.timeout:g} s",
            reason="no-answer",
            hint="journalctl -u eventd -n 50",
        )


def _refusal(status: int, body: bytes) -> DaemonError:
    """Translate an answer of 400 or more; its body should be `{"error": {"reason", "message", "hint"}}`."""
    try:
        error = json.loads(body)["error"]
        return DaemonError(
            status,
            str(error["message"]),
            reason=str(error.get("reason", "error")),
            hint=str(error.get("hint", "")),
        )
    except (ValueError, TypeError, LookupError, AttributeError):
        phrase = http.client.responses.get(status, "")
        return DaemonError(
            status,
            f"the daemon answered {status} {phrase}".rstrip(),
            reason="not-understood",
            hint="journalctl -u eventd -n 50"
            if status >= http.client.INTERNAL_SERVER_ERROR
            else "check that the versions match: eventd --version, eventctl --version",
        )


def at(*parts: str) -> str:
    """Return a path of the API: `at("status", "web")` is `/v1/status/web`; each part is quoted."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)
