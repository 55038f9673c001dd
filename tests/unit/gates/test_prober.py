"""Scope: gates.probe (what is asked and answered, over real sockets on loopback) and eventd.gates.adapter_prober.

The prober under its own account, started by the daemon, is in tests/host/test_fact_sources.py.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from eventd.gates.adapter_prober import ProberProcess, starter
from eventd.gates.model_predicate_atoms import Probe, ProbeKind
from eventd.gates.probe import asking
from eventd.gates.probe.asking import Loop, ask
from eventd.gates.probe.protocol import (
    ANSWER_LIMIT,
    Answer,
    Outcome,
    Question,
    read_answer,
    read_question,
    write_answer,
    write_question,
)
from eventd.gates.probe.serve import serve
from eventd.kernel.model.errors import TemporaryError
from eventd.platform.processes import process
from eventd.platform.processes.line_process import LineProcess
from eventd.platform.processes.line_unit import LineUnit
from eventd.platform.processes.unit_process import Processes
from eventd.platform.processes.unit_rights import AsNobody

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(talk: Talk, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on loopback; yields its port."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


def says(*chunks: bytes, request: list[bytes] | None = None) -> Talk:
    """Read the request, then send these chunks one by one."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got = await reader.readuntil(b"\r\n\r\n")
        if request is not None:
            request.append(got)
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(0)

    return talk


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Take everything, say nothing, until the peer has enough."""
    while await reader.read(1024):
        pass


def http(port: int, path: str = "/", *, scheme: str = "http", timeout: float = 60) -> Question:
    return Question(1, ProbeKind.HTTP, "127.0.0.1", port, f"{scheme}://127.0.0.1:{port}{path}", timeout)


def tcp(port: int, *, host: str = "127.0.0.1", timeout: float = 60) -> Question:
    return Question(1, ProbeKind.TCP, host, port, "", timeout)


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that nobody listens on; kept, so that no other test's server gets it meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


# What is asked.


async def test_a_port_that_accepts_is_an_answer_and_one_that_does_not_is_refused() -> None:
    """TCP: connected is enough, nothing is sent."""
    async with server(silent) as port:
        assert await ask(tcp(port)) == Answer(Outcome.ANSWERED)
    with closed_port() as port:
        assert await ask(tcp(port)) == Answer(Outcome.REFUSED)


async def test_a_name_with_several_addresses_is_refused_if_all_are() -> None:
    """The error of several attempts says why, as one attempt's would."""
    with closed_port() as port:
        assert (await ask(tcp(port, host="localhost"))).outcome is Outcome.REFUSED


async def test_names_are_resolved_as_the_host_does() -> None:
    """DNS: /etc/hosts and everything else that getaddrinfo(3) asks; an address resolves to itself."""
    for name in ("localhost", "127.0.0.1"):
        assert await ask(Question(1, ProbeKind.DNS, name, 0, "", 60)) == Answer(Outcome.ANSWERED)


@pytest.mark.parametrize(
    ("code", "outcome"), [(socket.EAI_NONAME, Outcome.NO_NAME), (socket.EAI_AGAIN, Outcome.RESOLVER)]
)
async def test_no_such_name_is_not_the_same_as_nobody_to_ask(
    code: int, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that does not exist is an answer of the network; a resolver that is down is none."""

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(code, "made up")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert await ask(Question(1, ProbeKind.DNS, "example.invalid", 0, "", 60)) == Answer(outcome)


@pytest.mark.parametrize("status", [200, 204, 301, 404, 503])
async def test_the_status_is_the_answer(status: int) -> None:
    """Whatever the status: it is handed on, no redirect is followed, and no body is waited for."""
    answer = (
        f"HTTP/1.1 {status} Whatever\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 9\r\n\r\n".encode()
    )
    async with server(says(answer)) as port:
        assert await ask(http(port)) == Answer(Outcome.ANSWERED, status)


async def test_the_request_is_a_plain_get() -> None:
    """Path, query and host are those of the URL, encoded where they have to be, and there is nothing else."""
    request: list[bytes] = []
    async with server(says(b"HTTP/1.1 200 OK\r\n\r\n", request=request)) as port:
        await ask(http(port, "/a%20b/ü?x=1&y=ä=200"))
    lines = request[0].decode("ascii").split("\r\n")
    assert lines[0] == "GET /a%20b/%C3%BC?x=1&y=%C3%A4=200 HTTP/1.1"
    assert lines[1] == f"Host: 127.0.0.1:{port}"
    assert "Connection: close" in lines


async def test_interim_answers_are_not_the_answer() -> None:
    """103 Early Hints and 100 Continue come before the status that counts."""
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    async with server(says(early, b"HTTP/1.1 200 OK\r\n\r\n")) as port:
        assert await ask(http(port)) == Answer(Outcome.ANSWERED, 200)


async def test_an_answer_may_come_in_pieces() -> None:
    """The status line is read to its end, however it is cut."""
    async with server(says(b"HTT", b"P/1.1 2", b"00 O", b"K\r\n")) as port:
        assert await ask(http(port)) == Answer(Outcome.ANSWERED, 200)


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (b"", Outcome.CLOSED),
        (b"HTTP/1.", Outcome.CLOSED),
        (b"SSH-2.0-OpenSSH_10\r\n", Outcome.NOT_HTTP),
        (b"HTTP/1.1 999 What\r\n\r\n", Outcome.NOT_HTTP),
        (b"HTTP/1.1 20\r\n\r\n", Outcome.NOT_HTTP),
        (b"HTTP/2 200\r\n\r\n", Outcome.NOT_HTTP),
        (b"x" * 100_000, Outcome.NOT_HTTP),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 50, Outcome.NOT_HTTP),
        (b"HTTP/1.1 100 Continue\r\n" + b"A: b\r\n" * 1000, Outcome.NOT_HTTP),
    ],
)
async def test_what_is_not_http_has_a_name(said: bytes, outcome: Outcome) -> None:
    """Nonsense of any length, and a connection that is closed early, are outcomes and no exceptions."""
    async with server(says(said)) as port:
        assert (await ask(http(port))).outcome is outcome


@pytest.mark.parametrize("drip", [b"", b"H"])
async def test_the_timeout_is_for_the_whole(drip: bytes) -> None:
    """A server that says nothing, or a byte now and then, does not get longer than the deadline."""

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(drip)
            await writer.drain()
            await asyncio.sleep(0.02)

    async with server(talk) as port:
        assert await ask(http(port, timeout=0.15)) == Answer(Outcome.TIMEOUT)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 with its key, signed by itself."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(path), "-out", str(path.with_suffix(".crt"))),
        ],
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


async def test_a_certificate_that_nobody_signed_is_no_answer(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS is verified: what answers with 200 behind a stranger's certificate does not answer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the server's failed handshake
    async with server(says(b"HTTP/1.1 200 OK\r\n\r\n"), tls=context) as port:
        assert await ask(http(port, scheme="https")) == Answer(Outcome.TLS)
        trusting = ssl.create_default_context(cafile=str(certificate))
        monkeypatch.setattr(asking, "_trusted", lambda: trusting)
        assert await ask(http(port, scheme="https")) == Answer(Outcome.ANSWERED, 200)


async def test_https_to_a_port_without_tls_is_no_answer() -> None:
    """A handshake with something else fails as TLS does."""
    async with server(says(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        assert (await ask(http(port, scheme="https", timeout=0.5))).outcome in (Outcome.TLS, Outcome.TIMEOUT)


def test_a_hanging_lookup_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """While one lookup of a name hangs, further questions wait for it and hold no thread of their own."""
    release = threading.Event()
    asked: list[str] = []

    def hang(host: str, *_: object) -> list[object]:
        asked.append(host)
        release.wait(60)
        return [1]

    async def main() -> None:
        monkeypatch.setattr(socket, "getaddrinfo", hang)
        question = Question(1, ProbeKind.DNS, "slow.example", 0, "", 0.05)
        for _ in range(3):
            assert await ask(question) == Answer(Outcome.TIMEOUT)
        release.set()
        assert await ask(Question(1, ProbeKind.DNS, "slow.example", 0, "", 60)) == Answer(Outcome.ANSWERED)

    loop = Loop()
    try:
        loop.run_until_complete(main())
    finally:
        release.set()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    assert asked == ["slow.example"]


# What is said of it.


def test_questions_and_answers_survive_the_pipe() -> None:
    """Each side reads what the other wrote, a text with newlines and quotes included."""
    question = Question(7, ProbeKind.HTTP, "::1", 80, 'http://[::1]/"\n\u2028x', 1.5)
    line = write_question(question)
    assert line.count(b"\n") == 1
    assert read_question(line) == question
    for outcome in Outcome:
        for status in (0, 100, 599):
            written = write_answer(10**14, Answer(outcome, status))
            assert len(written) <= ANSWER_LIMIT
            assert read_answer(written.rstrip(b"\n")) == (10**14, Answer(outcome, status))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b'{"id":1,"outcome":"answered","status":200} ',
        b'{"id":1,"outcome":"answered","status":600}',
        b'{"id":1,"outcome":"answered","status":-1}',
        b'{"id":1,"outcome":"answered","status":2e2}',
        b'{"id":1,"outcome":"hacked","status":200}',
        b'{"id":0,"outcome":"answered","status":200}',
        b'{"id":01,"outcome":"answered","status":200}',
        b'{"id":1,"outcome":"answered","status":200,"x":1}',
        b'{"status":200,"id":1,"outcome":"answered"}',
        b'{"id":' + b"9" * 200 + b',"outcome":"answered","status":200}',
        '{"id":\u0661,"outcome":"answered","status":200}'.encode(),
        b"\xff" * 40,
    ],
)
def test_what_is_no_answer_to_the_letter_is_none(line: bytes) -> None:
    """The daemon takes one form and no other: a prober that was taken over has ten words and a number."""
    assert read_answer(line) is None


async def test_the_prober_answers_each_question_as_it_is_done() -> None:
    """A slow question does not hold up a quick one, and at the end of its input the prober leaves."""
    questions, asks = os.pipe()
    answers, writes = os.pipe()
    told = asyncio.Event()

    async def held(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await told.wait()
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    async with server(held) as slow, server(says(b"HTTP/1.1 200 OK\r\n\r\n")) as quick:
        serving = asyncio.create_task(serve(questions, writes))
        hanging, fast = http(slow), http(quick)
        os.write(asks, write_question(hanging))
        os.write(asks, write_question(Question(2, fast.kind, fast.host, fast.port, fast.url, 60)))
        first = await asyncio.to_thread(os.read, answers, 4096)
        assert read_answer(first.strip()) == (2, Answer(Outcome.ANSWERED, 200))
        told.set()
        second = await asyncio.to_thread(os.read, answers, 4096)
        assert read_answer(second.strip()) == (1, Answer(Outcome.ANSWERED, 204))
        os.close(asks)
        async with asyncio.timeout(60):
            await serving
    for descriptor in (answers, writes):
        os.close(descriptor)


# The daemon's side, with processes that a test wrote.

PROBE = Probe(ProbeKind.TCP, "tcp:db:5432", "db", 5432)
ANSWER = '{\\"id\\":%s,\\"outcome\\":\\"answered\\",\\"status\\":0}'


class Started(list[LineProcess]):
    """Starts processes as whoever runs the tests, and keeps them to be looked at."""

    def __call__(self, argv: Sequence[str], **how: Any) -> LineProcess:
        self.append(LineProcess(argv, **how))
        return self[-1]


def shell(script: str, started: Started | None = None) -> ProberProcess:
    """A prober that is a shell script."""
    return ProberProcess(Started() if started is None else started, command=("sh", "-c", script))


ANSWERING = f'n=0; while read -r line; do n=$((n+1)); printf "{ANSWER % "%d"}\\n" $n; done'


async def test_one_process_serves_all_questions_until_it_is_stopped() -> None:
    """It is started by the first question, stays, and is gone after `stop`."""
    started = Started()
    prober = shell(ANSWERING, started)
    assert not started
    assert not prober.runs
    for _ in range(2):
        assert await prober.ask(PROBE, timeout=60) == Answer(Outcome.ANSWERED)
    assert prober.runs
    await prober.stop()
    assert not prober.runs
    (process,) = started
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


@pytest.mark.parametrize(
    "garbage",
    [
        "echo hello",
        'printf "{\\"id\\":1,\\"outcome\\":\\"answered\\",\\"status\\":200,\\"evil\\":1}\\n"',
        "head -c 1000000 /dev/zero; sleep 5",
        "head -c 300000 /dev/zero | tr '\\0' '\\n'; sleep 5",
    ],
)
async def test_a_prober_that_says_something_else_is_ended(garbage: str) -> None:
    """One line that is no answer, or a flood without lines, and it is gone; nobody waits for the deadline."""
    prober = shell(f"read -r line; {garbage}; sleep 5")
    async with asyncio.timeout(60):
        with pytest.raises(TemporaryError) as caught:
            await prober.ask(PROBE, timeout=30)
    assert caught.value.reason == "prober-died"
    assert not prober.runs


async def test_a_crash_fails_what_was_asked_and_delays_the_next_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All who wait are told at once; a prober that dies over and over is not started over and over."""
    monkeypatch.setattr("eventd.gates.adapter_prober._FIRST_PAUSE", 1000.0)
    monkeypatch.setattr("eventd.gates.adapter_prober._LONGEST_PAUSE", 1000.0)
    prober = shell("read -r line; echo 'it broke' >&2; exit 3")
    results = await asyncio.gather(*(prober.ask(PROBE, timeout=30) for _ in range(3)), return_exceptions=True)
    assert [getattr(result, "reason", "") for result in results] == ["prober-died"] * 3
    assert "exited with 3: it broke" in str(results[0])
    with pytest.raises(TemporaryError) as caught:
        await prober.ask(PROBE, timeout=60)
    assert caught.value.reason == "prober-down"
    assert caught.value.delay is not None
    assert 0 < caught.value.delay <= 1000


async def test_a_stuck_prober_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes questions and keeps silent longer than it may is killed."""
    monkeypatch.setattr("eventd.gates.adapter_prober.GRACE", 0.05)
    prober = shell("sleep 100")
    with pytest.raises(TemporaryError) as caught:
        await prober.ask(PROBE, timeout=0.05)
    assert caught.value.reason == "prober-stuck"
    await prober.stop()


async def test_a_prober_that_reads_nothing_is_ended() -> None:
    """Questions that it does not take do not pile up in the daemon."""
    prober = shell("sleep 100")
    results = await asyncio.wait_for(
        asyncio.gather(*(prober.ask(PROBE, timeout=600) for _ in range(2000)), return_exceptions=True), 60
    )
    assert {getattr(result, "reason", "") for result in results} <= {"prober-died", "prober-down"}


async def test_a_question_that_is_given_up_leaves_nothing_behind() -> None:
    """Its late answer is dropped, and the next question gets its own."""
    prober = shell(f'read -r a; read -r b; printf "{ANSWER % 1}\\n{ANSWER % 2}\\n"; sleep 5')
    given_up = asyncio.create_task(prober.ask(PROBE, timeout=60))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    assert await prober.ask(PROBE, timeout=60) == Answer(Outcome.ANSWERED)
    await prober.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root could be so careless")
async def test_root_does_not_probe() -> None:
    """Under root the prober is a unit of its own with a uid that systemd makes up, and it refuses to be root itself."""
    start = starter(Processes())
    assert isinstance(start, partial)
    assert start.func is LineUnit
    assert isinstance(start.args[1], AsNobody)
    done = await process.run([sys.executable, "-m", "eventd.gates.probe"], timeout=60)
    assert done.status == 1
    assert b"must not run as root" in done.stderr
