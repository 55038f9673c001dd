"""Asks the network one question: connect, resolve, or GET and read the status line.

Runs in the unprivileged prober only. Of an HTTP answer only the status line is read: no redirect is followed, no body
is read, no cookie is kept, no proxy is used. TLS is verified against the host's certificates.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import re
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote, urlsplit

from eventd.gates.model_predicate_atoms import ProbeKind
from eventd.gates.probe.protocol import Answer, Outcome, Question

_LINE_LIMIT = 8192
_INTERIM = 8
"""How many 1xx answers may come before the one that counts (RFC 9110, 15.2)."""
_HEADERS = 128
_HAPPY = 0.25
"""Seconds before the next address is tried in parallel (RFC 8305)."""
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: [^\r\n]*)?\r?\n")
_ERRNO = re.compile(r"\[Errno (\d+)\]")
_NO_NAME = frozenset(
    code
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if (code := getattr(socket, name, None)) is not None
)
_BY_ERRNO = {
    errno.ECONNREFUSED: Outcome.REFUSED,
    errno.ENETUNREACH: Outcome.UNREACHABLE,
    errno.EHOSTUNREACH: Outcome.UNREACHABLE,
    errno.EHOSTDOWN: Outcome.UNREACHABLE,
    errno.ENETDOWN: Outcome.UNREACHABLE,
    errno.EADDRNOTAVAIL: Outcome.UNREACHABLE,
    errno.ETIMEDOUT: Outcome.TIMEOUT,
    errno.ECONNRESET: Outcome.CLOSED,
    errno.ECONNABORTED: Outcome.CLOSED,
    errno.EPIPE: Outcome.CLOSED,
}


class Loop(asyncio.SelectorEventLoop):
    """An event loop that shares one lookup of a name among all who ask for it at the same time.

    getaddrinfo(3) blocks a thread for as long as the resolver takes, even if nobody waits any more: with a dead
    resolver, retries would use up the threads.
    """

    def __init__(self) -> None:
        super().__init__()
        self.set_default_executor(ThreadPoolExecutor(64, "resolver"))
        self._lookups: dict[tuple[Any, ...], asyncio.Future[Any]] = {}

    async def getaddrinfo(
        self,
        host: Any,
        port: Any,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002  the names are asyncio's
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        """Return the addresses. Concurrent calls for the same name share one lookup."""
        key = (host, port, family, type, proto, flags)
        lookup = self._lookups.get(key)
        if lookup is None:
            call = functools.partial(socket.getaddrinfo, host, port, family, type, proto, flags)
            lookup = self._lookups[key] = self.run_in_executor(None, call)
            lookup.add_done_callback(lambda done: self._looked_up(key, done))
        return await asyncio.shield(lookup)

    def _looked_up(self, key: tuple[Any, ...], done: asyncio.Future[Any]) -> None:
        del self._lookups[key]
        if not done.cancelled():
            done.exception()  # marks it as retrieved, even if nobody waits any more


class NotHttpError(Exception):
    """The peer does not speak HTTP."""


async def ask(question: Question) -> Answer:
    """Return the answer, within the question's timeout. Never raises, except for cancellation."""
    try:
        async with asyncio.timeout(question.timeout):
            match question.kind:
                case ProbeKind.TCP:
                    return await _connects(question.host, question.port)
                case ProbeKind.DNS:
                    return await _resolves(question.host)
                case ProbeKind.HTTP:
                    return await _status(question.url, question.host, question.port)
    except TimeoutError:
        return Answer(Outcome.TIMEOUT)
    except socket.gaierror as error:
        return Answer(Outcome.NO_NAME if error.errno in _NO_NAME else Outcome.RESOLVER)
    except ssl.SSLError:
        return Answer(Outcome.TLS)
    except (NotHttpError, ValueError):  # ValueError: a line beyond the limit
        return Answer(Outcome.NOT_HTTP)
    except EOFError:
        return Answer(Outcome.CLOSED)
    except OSError as error:
        return Answer(_outcome(error))


def _outcome(error: OSError) -> Outcome:
    """Return the outcome of a connection error. With several addresses, one error has a number for each."""
    numbers = [error.errno] if error.errno else [int(number) for number in _ERRNO.findall(str(error))]
    return _BY_ERRNO.get(numbers[-1], Outcome.FAILED) if numbers else Outcome.FAILED


async def _connects(host: str, port: int) -> Answer:
    _, writer = await asyncio.open_connection(host, port, happy_eyeballs_delay=_HAPPY)
    writer.transport.abort()
    return Answer(Outcome.ANSWERED)


async def _resolves(host: str) -> Answer:
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return Answer(Outcome.ANSWERED if found else Outcome.NO_NAME)


@functools.cache
def _trusted() -> ssl.SSLContext:
    return ssl.create_default_context()


async def _status(url: str, host: str, port: int) -> Answer:
    parts = urlsplit(url)
    tls = _trusted() if parts.scheme == "https" else None
    reader, writer = await asyncio.open_connection(
        host,
        port,
        ssl=tls,
        server_hostname=host if tls else None,
        happy_eyeballs_delay=_HAPPY,
        limit=_LINE_LIMIT,
    )
    try:
        target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
        if parts.query:
            target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
        lines = [
            f"GET {target} HTTP/1.1",
            f"Host: {parts.netloc}",
            "User-Agent: eventd-probe",
            "Accept: */*",
            "Connection: close",
        ]
        writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
        await writer.drain()
        return Answer(Outcome.ANSWERED, await _read_status(reader))
    finally:
        writer.transport.abort()


async def _read_status(reader: asyncio.StreamReader) -> int:
    for _ in range(_INTERIM):
        line = await reader.readline()
        if not line.endswith(b"\n"):
            raise EOFError if not line or b"HTTP/1.".startswith(line[:7]) else NotHttpError
        match = _STATUS.fullmatch(line)
        if match is None:
            raise NotHttpError
        status = int(match[1])
        if status >= 200 or status == 101:  # 101: no upgrade was requested, so this is the answer
            return status
        for _ in range(_HEADERS):
            if (await reader.readline()) in (b"\r\n", b"\n", b""):
                break
    raise NotHttpError
