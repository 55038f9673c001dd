"""Scope: eventd.client against a real HTTP server on a unix socket, and against sockets that misbehave."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from eventd.client import Client, DaemonError, NoDaemonError, at
from eventd.kernel.model.errors import DeadlineError, DisconnectedError, EventdError, PermanentError
from tests.unit.cli.fake_daemon import Answer, FakeDaemon, error, short_path


@pytest.fixture
def path(tmp_path: Path) -> str:
    return short_path(tmp_path)


def test_get_returns_the_answer_and_sends_the_query(path: str) -> None:
    """A GET carries its query, quoted, and comes back as the JSON value."""
    with FakeDaemon(path, {"GET /v1/plan": Answer({"commit": "c"})}) as daemon:
        assert Client(path).get(at("plan"), {"fetch": 1, "x": "a&b"}) == {"commit": "c"}
    assert daemon.requests[0].query == {"fetch": "1", "x": "a&b"}


def test_post_sends_json(path: str) -> None:
    """A POST carries its body as JSON."""
    with FakeDaemon(path, {"POST /v1/sync": Answer({"queued": True}, 202)}) as daemon:
        assert Client(path).post(at("sync"), {"wait": False, "fetch": True}) == {"queued": True}
    assert daemon.requests[0].body == {"wait": False, "fetch": True}


def test_a_name_cannot_leave_its_place_in_the_path() -> None:
    """A workload called `../runs` stays one segment of the path."""
    assert at("status", "../runs?x") == "/v1/status/..%2Fruns%3Fx"


def test_the_socket_comes_from_the_environment(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """EVENTD_SOCKET is used when no path is given, and a given path wins over it."""
    monkeypatch.setenv("EVENTD_SOCKET", path)
    assert Client().path == path
    assert Client("/elsewhere").path == "/elsewhere"
    monkeypatch.delenv("EVENTD_SOCKET")
    assert Client().path == "/run/eventd/eventd.sock"


def test_no_socket_is_no_daemon(path: str) -> None:
    """Without a socket the error says so, with the path and what to look at."""
    with pytest.raises(NoDaemonError) as caught:
        Client(path).get(at("status"))
    assert caught.value.reason == "no-daemon"
    assert caught.value.message == f"no daemon at {path}"
    assert caught.value.hint == "systemctl status eventd"


def test_a_socket_that_a_dead_daemon_left_is_no_daemon(path: str) -> None:
    """A socket file that nobody listens on (ECONNREFUSED) is the same as none."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
    with pytest.raises(NoDaemonError) as caught:
        Client(path).get(at("status"))
    assert caught.value.reason == "no-daemon"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another account")
def test_permission_denied_names_the_group(tmp_path: Path) -> None:
    """An account that may not connect is told which group it would have to be in."""
    path = short_path(tmp_path)
    with FakeDaemon(path):
        Path(path).chmod(0o600)
        caught: list[EventdError] = []
        tmp_path.chmod(0o700)
        os.seteuid(65534)
        try:
            Client(path).get(at("status"))
        except EventdError as error_:
            caught.append(error_)
        finally:
            os.seteuid(0)
    assert caught[0].reason == "permission-denied"
    assert "group eventd" in caught[0].hint


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another account")
def test_each_account_is_served_at_the_best_socket_that_it_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root at root's, an operator at the operators', and everybody else, and who finds no other, at everybody's."""
    path = short_path(tmp_path)
    monkeypatch.setattr("eventd.client.DEFAULT_SOCKET", path)
    monkeypatch.delenv("EVENTD_SOCKET", raising=False)
    folder = Path(path).parent
    for each in (folder, *folder.parents):
        if not each.stat().st_mode & 0o001:
            each.chmod(each.stat().st_mode | 0o011)
    places = (("root.sock", 0o600, 0), ("operators.sock", 0o660, 4711), (Path(path).name, 0o666, 0))
    with ExitStack() as stack:
        for name, mode, group in places:
            answer = Answer({"at": name})
            stack.enter_context(FakeDaemon(str(folder / name), {"GET /v1/status": answer}))
            os.chown(folder / name, 0, group)
            (folder / name).chmod(mode)

        def served(uid: int, gid: int) -> str:
            os.setegid(gid)
            os.seteuid(uid)
            try:
                return str(Client().get(at("status"))["at"])
            finally:
                os.seteuid(0)
                os.setegid(0)

        assert [served(0, 0), served(4711, 4711), served(4712, 4712)] == [name for name, *_ in places]
        (folder / "root.sock").unlink()
        (folder / "operators.sock").unlink()
        assert served(0, 0) == Path(path).name


def test_a_full_queue_is_waited_for_until_the_deadline(path: str) -> None:
    """connect(2) says EAGAIN at once where a queue is full; a place in it may be free in a moment."""
    with socket.socket(socket.AF_UNIX) as server, ExitStack() as stack:
        server.bind(path)
        server.listen(0)
        for _ in range(
            2
        ):  # the queue holds one more than it is told to (unix(7)); who is too many does not wait
            held = stack.enter_context(socket.socket(socket.AF_UNIX))
            held.setblocking(False)
            with suppress(BlockingIOError):
                held.connect(path)
        began = time.monotonic()
        with pytest.raises(NoDaemonError) as caught:
            Client(path, timeout=0.3).get(at("status"))
        assert caught.value.reason == "no-answer"
        assert time.monotonic() - began >= 0.3

        def serve() -> None:
            while b"GET" not in (made := server.accept()[0]).recv(1000):  # those of above say nothing
                made.close()
            made.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            made.close()

        stack.close()
        serving = threading.Thread(target=serve)
        serving.start()
        assert Client(path, timeout=30).get(at("status")) == {}
        serving.join(30)


def test_an_over_long_socket_path_is_an_error_of_ours(tmp_path: Path) -> None:
    """A path that does not fit into sun_path is reported, not raised as an OSError."""
    with pytest.raises(NoDaemonError, match="too long"):
        Client(str(tmp_path / ("x" * 200))).get(at("status"))


def test_a_daemon_that_does_not_answer_meets_a_deadline(path: str) -> None:
    """A daemon that accepts and stays silent ends in `no-answer` after the timeout."""
    with FakeDaemon(path, {"GET /v1/status": Answer(silent=True)}), pytest.raises(NoDaemonError) as caught:
        Client(path, timeout=0.1).get(at("status"))
    assert caught.value.reason == "no-answer"


def test_an_error_of_the_daemon_keeps_its_reason_and_hint(path: str) -> None:
    """The daemon's error object becomes an exception with the same parts."""
    answer = Answer(error("no-such-workload", "there is no workload 'x'", "there are: web"), 404)
    with FakeDaemon(path, {"GET /v1/status/x": answer}), pytest.raises(DaemonError) as caught:
        Client(path).get(at("status", "x"))
    assert (caught.value.status, caught.value.reason) == (404, "no-such-workload")
    assert caught.value.hint == "there are: web"


@pytest.mark.parametrize("text", ["<html>", "[]", "{}", '{"error": "x"}', '{"error": null}'])
def test_a_foreign_error_is_still_an_error(path: str, text: str) -> None:
    """An error answer that is not the API's is reported with its status."""
    with (
        FakeDaemon(path, {"GET /v1/status": Answer(text=text, status=502)}),
        pytest.raises(DaemonError) as caught,
    ):
        Client(path).get(at("status"))
    assert caught.value.reason == "not-understood"
    assert caught.value.hint == "journalctl -u eventd -n 50"
    assert "502 Bad Gateway" in caught.value.message


def test_an_answer_that_is_not_json_is_not_understood(path: str) -> None:
    """A good status with something else than JSON is a version problem, and said to be one."""
    with FakeDaemon(path, {"GET /v1/status": Answer(text="hello")}), pytest.raises(PermanentError) as caught:
        Client(path).get(at("status"))
    assert caught.value.reason == "not-understood"


def test_a_stream_yields_lines_as_they_come(path: str) -> None:
    """Lines arrive one by one, however the server cuts them into chunks, and before the answer ends."""
    lines = [{"n": 1}, b'{"n"', b': 2}\n{"n": 3}\n\n']
    with (
        FakeDaemon(path, {"GET /v1/events": Answer(lines=lines, stay=True)}),
        Client(path).stream("GET", at("events"), idle=60) as stream,
    ):
        iterator = iter(stream)
        assert [next(iterator)["n"] for _ in range(3)] == [1, 2, 3]


def test_a_stream_that_ends_ends(path: str) -> None:
    """A complete answer ends the iteration without an error."""
    with (
        FakeDaemon(path, {"GET /v1/events": Answer(lines=[{"n": 1}])}),
        Client(path).stream("GET", at("events"), idle=60) as stream,
    ):
        assert list(stream) == [{"n": 1}]


@pytest.mark.parametrize("lines", [[{"n": 1}], [{"n": 1}, b'{"n": 2']])
def test_a_stream_that_is_cut_is_not_taken_for_a_complete_one(path: str, lines: list[object]) -> None:
    """A daemon that dies between or within lines is noticed: what came is yielded, then the error."""
    with (
        FakeDaemon(path, {"GET /v1/events": Answer(lines=lines, cut=True)}),
        Client(path).stream("GET", at("events"), idle=60) as stream,
    ):
        seen: list[object] = []
        with pytest.raises(DisconnectedError):
            seen.extend(stream)  # extend keeps what came before the error
        assert seen == [{"n": 1}]


def test_a_silent_stream_meets_its_own_deadline(path: str) -> None:
    """The idle time, not the client's timeout, bounds the wait for a line."""
    with (
        FakeDaemon(path, {"GET /v1/events": Answer(lines=[{"n": 1}], stay=True)}),
        Client(path, timeout=30).stream("GET", at("events"), idle=0.1) as stream,
        pytest.raises(DeadlineError),
    ):
        list(stream)


def test_the_idle_time_holds_on_a_connection_that_the_server_will_close(path: str) -> None:
    """http.client lets go of its socket on `Connection: close`; the deadline has to hold all the same."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    done = threading.Event()

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"n": 1}\n')
            done.wait(60)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with (
            Client(path, timeout=30).stream("GET", at("events"), idle=0.1) as stream,
            pytest.raises(DeadlineError),
        ):
            list(stream)
    finally:
        done.set()
        thread.join()
        server.close()


def test_a_peer_that_speaks_no_http_is_an_error_of_ours(path: str) -> None:
    """Whatever answers at the socket, no exception of http.client leaves the client."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"SSH-2.0-hello\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with pytest.raises(DisconnectedError):
            Client(path).get(at("status"))
    finally:
        thread.join()
        server.close()
