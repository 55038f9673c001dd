"""Scope: the webhook listener over real TCP, with a real HTTP server on a unix socket as the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from eventd.webhook import process_server as server
from eventd_simulators.hostile.http import HostileClient
from tests.unit.webhook.webhookside import COMMIT, SECRET, Side, github, push, serve, settings, standard

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

URL = "/hooks/host"


async def post(
    side: Side, body: bytes, headers: Mapping[str, str], path: str = URL
) -> tuple[int, dict[str, Any]]:
    """Send a delivery; return status and answer."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{side.port}{path}", data=body, headers=headers) as answer,
    ):
        assert answer.headers["Connection"] == "close"
        return answer.status, json.loads(await answer.read())


async def test_a_signed_push_reaches_the_daemon(tmp_path: Path) -> None:
    """The daemon is told what was pushed, and the forge gets 202."""
    async with serve(settings(tmp_path), tmp_path) as side:
        body = push("refs/heads/größe")
        assert await post(side, body, github(body)) == (202, {"delivered": True})
        assert side.daemon.told == [
            {
                "repository": "team/host",
                "branch": "größe",
                "commit": COMMIT,
                "delivery": "d-1",
                "hook": "host",
            }
        ]
        record = side.records()[-1]
        assert (record["status"], record["branch"], record["delivery"]) == (202, "größe", "d-1")


async def test_a_wrong_secret_gets_nowhere(tmp_path: Path) -> None:
    """401, nothing said beyond it, nothing passed on, and the delivery is not remembered."""
    async with serve(settings(tmp_path), tmp_path) as side:
        body = push()
        assert await post(side, body, github(body, secret=b"guess")) == (401, {"error": "signature"})
        assert side.records()[-1]["reason"] == "wrong-signature"
        assert "delivery" not in side.records()[-1]
        assert (await post(side, body, github(body)))[0] == 202
        assert len(side.daemon.told) == 1


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/", {}, 404),
        ("POST", "/hooks/other", {}, 404),
        ("POST", "/hooks/host/", {}, 404),
        ("POST", "/hooks/../hooks/host2", {}, 404),
        ("GET", URL, {}, 405),
        ("PUT", URL, {}, 405),
        ("OPTIONS", URL, {}, 405),
        ("POST", URL, {}, 415),
        ("POST", URL, {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ("POST", URL, {"Content-Type": "application/json; charset=utf-8"}, 401),
    ],
)
async def test_everything_else_is_answered_tersely(
    tmp_path: Path, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """Only POST, only JSON, only at the paths of the hooks; the answer names nothing."""
    async with serve(settings(tmp_path), tmp_path) as side, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{side.port}{path}"
        async with session.request(method, url, data=b"x", headers=headers) as answer:
            assert answer.status == status
            assert len(await answer.read()) < 40
        assert side.daemon.told == []


async def test_pings_and_other_branches_are_ignored_with_a_reason(tmp_path: Path) -> None:
    """What is in order and asks for nothing is 200 and says why."""
    made = settings(tmp_path, branch="main", repository="Team/Host")
    async with serve(made, tmp_path) as side:
        for body, event, reason in [
            (b'{"zen": "x"}', "ping", "ping"),
            (push("refs/heads/other"), "push", "other-branch"),
            (push(repository="team/other"), "push", "other-repository"),
            (push("refs/tags/v1"), "push", "not-a-branch"),
        ]:
            answer = await post(side, body, github(body, event=event))
            assert answer == (200, {"delivered": False, "reason": reason})
        assert side.daemon.told == []
        assert (await post(side, push(), github(push())))[0] == 202


async def test_a_replay_is_refused_also_under_a_new_id(tmp_path: Path) -> None:
    """The same delivery, and the same signed body under another id, are 409; a new push is not."""
    async with serve(settings(tmp_path), tmp_path) as side:
        body = push()
        assert (await post(side, body, github(body, "d-1")))[0] == 202
        assert await post(side, body, github(body, "d-1")) == (409, {"error": "replay"})
        assert await post(side, body, github(body, "d-2")) == (409, {"error": "replay"})
        other = push(after="1" * 40)
        assert (await post(side, other, github(other, "d-1")))[0] == 409
        assert (await post(side, other, github(other, "d-3")))[0] == 202


async def test_replays_are_known_after_a_restart(tmp_path: Path) -> None:
    """What was passed on is remembered in the state directory; a line cut short by a crash does no harm."""
    made = settings(tmp_path)
    body = push()
    async with serve(made, tmp_path) as side:
        assert (await post(side, body, github(body)))[0] == 202
    with (tmp_path / "deliveries").open("a") as file:
        file.write("0123abc")
    async with serve(made, tmp_path) as side:
        assert (await post(side, body, github(body)))[0] == 409


async def test_the_memory_is_bounded(tmp_path: Path) -> None:
    """Old deliveries are forgotten first, in memory and in the file."""
    made = settings(tmp_path, top={"remembered": 16})
    async with serve(made, tmp_path) as side:
        for number in range(40):
            body = push(number=number)
            assert (await post(side, body, github(body, f"d-{number}")))[0] == 202
        assert len((tmp_path / "deliveries").read_text().splitlines()) <= 32
        latest, first = push(number=39), push(number=0)
        assert (await post(side, latest, github(latest, "d-39")))[0] == 409
        assert (await post(side, first, github(first, "d-0")))[0] == 202


async def test_two_of_one_delivery_at_once_are_one(tmp_path: Path) -> None:
    """Of two equal deliveries at the same time the daemon hears one; the second is a replay."""
    async with serve(settings(tmp_path), tmp_path) as side:
        side.daemon.gate.clear()
        body = push()
        first = asyncio.create_task(post(side, body, github(body)))
        await asyncio.wait_for(side.daemon.asked.wait(), 60)
        second = asyncio.create_task(post(side, body, github(body)))
        side.daemon.gate.set()
        assert sorted([(await first)[0], (await second)[0]]) == [202, 409]
        assert len(side.daemon.told) == 1


async def test_of_two_at_once_the_second_is_not_refused_for_a_first_that_failed(tmp_path: Path) -> None:
    """When the daemon could not take the first, the second is no replay."""
    async with serve(settings(tmp_path), tmp_path) as side:
        side.daemon.gate.clear()
        side.daemon.status = 500
        body = push()
        both = [asyncio.create_task(post(side, body, github(body))) for _ in range(2)]
        await asyncio.wait_for(side.daemon.asked.wait(), 60)
        side.daemon.gate.set()
        assert [(await task)[0] for task in both] == [503, 503]
        assert len(side.daemon.told) == 2


async def test_no_daemon_is_503_and_the_retry_is_welcome(tmp_path: Path) -> None:
    """Without a daemon the forge is asked to come again; the same delivery is then taken."""
    async with serve(settings(tmp_path), tmp_path, start=False) as side:
        body = push()
        assert await post(side, body, github(body)) == (503, {"error": "daemon"})
        await side.daemon.start()
        assert (await post(side, body, github(body)))[0] == 202
        await side.daemon.stop()
        body = push(after="2" * 40)
        assert (await post(side, body, github(body, "d-2")))[0] == 503


@pytest.mark.parametrize(
    ("answers", "status"), [(404, 422), (403, 422), (500, 503), (200, 503), (429, 503), (302, 503)]
)
async def test_what_the_daemon_answers(tmp_path: Path, answers: int, status: int) -> None:
    """Only 202 is taken; a refusal is not worth a retry, everything else is, and neither is remembered."""
    async with serve(settings(tmp_path), tmp_path) as side:
        side.daemon.status = answers
        body = push()
        assert (await post(side, body, github(body)))[0] == status
        side.daemon.status = 202
        assert (await post(side, body, github(body)))[0] == 202


async def test_a_daemon_that_hangs_is_503(tmp_path: Path) -> None:
    """The wait for the daemon has a deadline."""
    async with serve(settings(tmp_path, top={"daemon_timeout": 0.2}), tmp_path) as side:
        side.daemon.gate.clear()
        body = push()
        assert (await post(side, body, github(body)))[0] == 503
        assert side.records()[-1]["reason"] == "daemon: no answer in time"


async def test_too_large_is_413_whether_announced_or_not(tmp_path: Path) -> None:
    """A body over the limit ends at once when its length is announced, or at the limit if chunked."""
    async with serve(settings(tmp_path, max_body=2048), tmp_path) as side:
        body = push(padding="x" * 4096)
        assert await post(side, body, github(body)) == (413, {"error": "too-large"})

        async def chunks() -> Any:
            for _ in range(64):
                yield b"x" * 1024

        async with (
            aiohttp.ClientSession() as session,
            session.post(f"http://127.0.0.1:{side.port}{URL}", data=chunks(), headers=github(b"")) as answer,
        ):
            assert answer.status == 413


async def raw(side: Side, data: bytes) -> bytes:
    """Send bytes, keep the connection open, and return all that comes until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", side.port)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), 60)
    except ConnectionResetError:
        return b""
    finally:
        await closed(writer)


async def closed(writer: asyncio.StreamWriter) -> None:
    """Close a connection for good; the other side may have been first."""
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_a_truncated_body_is_not_taken(tmp_path: Path) -> None:
    """A client that announces more than it sends is cut off, and nothing is passed on."""
    async with serve(settings(tmp_path, top={"request_timeout": 0.3}), tmp_path) as side:
        body = push()
        lines = "".join(f"{name}: {value}\r\n" for name, value in github(body).items())
        head = f"POST {URL} HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: {len(body) + 10}\r\n\r\n"
        assert b" 408 " in await raw(side, head.encode() + body)
        reader, writer = await asyncio.open_connection("127.0.0.1", side.port)
        writer.write(head.encode() + body)
        writer.write_eof()
        await asyncio.wait_for(reader.read(), 60)
        await closed(writer)
        assert side.daemon.told == []


@pytest.mark.parametrize("head", [b"", b"POST /hooks/host HTTP/1.1\r\nX-Slow: "], ids=["silent", "half"])
async def test_a_client_that_never_ends_its_headers_is_cut_off(tmp_path: Path, head: bytes) -> None:
    """Headers have a deadline of their own, far below that of the whole."""
    async with serve(settings(tmp_path, top={"header_timeout": 0.3}), tmp_path) as side:
        assert await raw(side, head) == b""
        record = side.records()[-1]
        assert (record["event"], record["reason"]) == ("dropped", "header-timeout")


async def test_a_slow_reader_of_the_answer_is_cut_off_too(tmp_path: Path) -> None:
    """A connection has a lifetime."""
    async with serve(settings(tmp_path), tmp_path, lifetime=0.3) as side:
        side.daemon.gate.clear()
        body = push()
        lines = "".join(f"{name}: {value}\r\n" for name, value in github(body).items())
        head = f"POST {URL} HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
        assert await raw(side, head.encode() + body) == b""


async def test_a_body_has_to_go_on_arriving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was announced buys no time, what has arrived does."""
    monkeypatch.setattr(server, "BODY_GRACE", 0.3)
    monkeypatch.setattr(server, "BODY_RATE", 1000)
    async with serve(settings(tmp_path, top={"request_timeout": 60}), tmp_path) as side:
        body = push(padding="x" * 30_000)
        lines = "".join(f"{name}: {value}\r\n" for name, value in github(body).items())
        head = f"POST {URL} HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode()
        assert b" 408 " in await raw(side, head + body[:10])
        reader, writer = await asyncio.open_connection("127.0.0.1", side.port)
        writer.write(head + body[:30_000])  # worth 30 s
        await asyncio.sleep(0.5)
        writer.write(body[30_000:])
        assert b" 202 " in await asyncio.wait_for(reader.read(), 60)
        await closed(writer)


async def test_the_oldest_that_is_incomplete_makes_room(tmp_path: Path) -> None:
    """Whoever holds connections and says nothing loses them to who comes, and who waits for the daemon keeps theirs."""
    async with serve(settings(tmp_path, top={"connections": 3, "header_timeout": 60}), tmp_path) as side:
        side.daemon.gate.clear()
        body = push()
        waiting = asyncio.create_task(post(side, body, github(body)))
        await side.daemon.asked.wait()
        held = [await asyncio.open_connection("127.0.0.1", side.port) for _ in range(2)]
        assert b" 404 " in await raw(side, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(held[0][0].read(), 60) == b""
        held[1][1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 404 " in await asyncio.wait_for(held[1][0].read(), 60), "the younger one is still there"
        side.daemon.gate.set()
        assert (await waiting)[0] == 202
        for _, writer in held:
            await closed(writer)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("proxied", [False, True], ids=["one peer", "behind a proxy"])
async def test_good_deliveries_get_through_a_flood(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, proxied: bool
) -> None:
    """Over a hundred hostile connections a second, forty at once to begin with: each delivery is taken."""
    top = {"trusted_proxies": ["127.0.0.1"]} if proxied else {}
    hostile = HostileClient(
        "127.0.0.1", 0, headers=["X-Forwarded-For: 192.0.2.1, 198.51.100.7"] if proxied else []
    )
    async with serve(settings(tmp_path, top=top), tmp_path) as side:
        hostile.port = side.port
        await hostile.flood(1e6, 40)
        async with hostile.flooding(110):
            taken = []
            for number in range(40):
                body = push(padding=number)
                taken.append((await post(side, body, github(body, f"d-{number}")))[0])
                await asyncio.sleep(0.05)
        assert taken == [202] * 40
        assert len(side.daemon.told) == 40
    assert hostile.opened + hostile.refused >= 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"], "nor is the log flooded"


async def test_a_flood_through_a_proxy_is_counted_for_who_is_behind_it(tmp_path: Path) -> None:
    """One address that it forwards for loses its own connections, and no other does, whatever a client claims."""
    top = {"trusted_proxies": ["127.0.0.0/8"], "connections_per_peer": 1, "request_timeout": 60}
    lines = "Content-Type: application/json\r\nContent-Length: 10\r\nExpect: 100-continue\r\n"

    def half(address: str) -> bytes:
        return f"POST {URL} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {address}\r\n{lines}\r\n{{".encode()

    async with serve(settings(tmp_path, top=top), tmp_path) as side:
        held = []
        for address in ("192.0.2.1", "192.0.2.9, 192.0.2.2", "192.0.2.9, 192.0.2.1"):
            reader, writer = await asyncio.open_connection("127.0.0.1", side.port)
            held.append((reader, writer))
            writer.write(half(address))
            await asyncio.wait_for(reader.readuntil(b"100 Continue\r\n\r\n"), 60)
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(held[0][0].read(), 60) == b""
        for reader, writer in held[1:]:
            writer.write(b'"refused"')
            assert b" 401 " in await asyncio.wait_for(reader.read(), 60)
            await closed(writer)
        await closed(held[0][1])
        assert [r["peer"] for r in side.records() if r.get("status") == 401] == ["192.0.2.2", "192.0.2.1"]


async def test_expect_continue_is_answered_when_the_body_is_wanted(tmp_path: Path) -> None:
    """A client that asks first is told to go on, and one with too large a body is told at once."""
    async with serve(settings(tmp_path, max_body=2048), tmp_path) as side:
        body = push()
        lines = "".join(f"{name}: {value}\r\n" for name, value in github(body).items())
        head = f"POST {URL} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n{lines}Content-Length: "
        got = await raw(side, f"{head}{len(body)}\r\n\r\n".encode() + body)
        assert got.startswith(b"HTTP/1.1 100 ")
        assert b"HTTP/1.1 202 " in got
        assert (await raw(side, f"{head}9999\r\n\r\n".encode())).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("body", [b"[" * 50_000, b"\xff\xfe", b'{"ref":1,"ref":2}', b"9" * 9_000, b"{}"])
async def test_a_signed_but_hostile_body_is_422(tmp_path: Path, body: bytes) -> None:
    """A forge signs what its users wrote: the listener answers and goes on."""
    async with serve(settings(tmp_path), tmp_path) as side:
        assert await post(side, body, github(body)) == (422, {"error": "payload"})
        good = push()
        assert (await post(side, good, github(good)))[0] == 202


@pytest.mark.parametrize("delivery", [None, "", "x" * 200, "a b", "\u00e9"])
async def test_a_delivery_without_a_usable_id_is_422(tmp_path: Path, delivery: str | None) -> None:
    """Without an id a replay could not be known again."""
    async with serve(settings(tmp_path), tmp_path) as side:
        body = push()
        headers = github(body)
        del headers["X-GitHub-Delivery"]
        if delivery is not None:
            headers["X-GitHub-Delivery"] = delivery
        assert await post(side, body, headers) == (422, {"error": "delivery-id"})


async def test_gitlab_with_a_signing_token(tmp_path: Path) -> None:
    """GitLab's signed deliveries are taken within the tolerance of the listener's clock, once."""
    made = settings(tmp_path, b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", forge="gitlab")
    key = bytes.fromhex("31f290f6bf06298aab4f08d43c3f082cf648a362da2da4b0")
    body = json.dumps(
        {
            "object_kind": "push",
            "ref": "refs/heads/main",
            "after": COMMIT,
            "project": {"path_with_namespace": "g/h"},
        }
    ).encode()
    async with serve(made, tmp_path) as side:
        now = int(side.clock[0])
        assert (await post(side, body, standard(body, key, "m-1", now - 600)))[0] == 401
        assert (await post(side, body, standard(body, key, "m-2", now)))[0] == 202
        assert (await post(side, body, standard(body, key, "m-2", now)))[0] == 409
        assert (await post(side, body, standard(body, key, "m-3", now)))[
            0
        ] == 202  # signed anew: another push


async def test_gitlab_with_a_token(tmp_path: Path) -> None:
    """GitLab's older scheme: the token is the proof, the idempotency key the id."""
    body = json.dumps(
        {
            "object_kind": "push",
            "ref": "refs/heads/main",
            "after": COMMIT,
            "project": {"path_with_namespace": "g/h"},
        }
    ).encode()
    headers = {
        "Content-Type": "application/json",
        "X-Gitlab-Token": SECRET.decode(),
        "X-Gitlab-Event": "Push Hook",
        "Idempotency-Key": "k-1",
    }
    async with serve(settings(tmp_path, forge="gitlab"), tmp_path) as side:
        assert (await post(side, body, {**headers, "X-Gitlab-Token": "x"}))[0] == 401
        assert (await post(side, body, headers))[0] == 202
        assert (await post(side, body, headers))[0] == 409


async def test_forgejo(tmp_path: Path) -> None:
    """Forgejo's own headers, beside those for compatibility that it sends as well."""
    body = push()
    digest = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "X-Hub-Signature-256": f"sha256={digest}",
        "X-GitHub-Event": "push",
    }
    for family in ("Forgejo", "Gitea", "Gogs"):
        headers |= {
            f"X-{family}-Signature": digest,
            f"X-{family}-Event": "push",
            f"X-{family}-Delivery": "d-1",
        }
    async with serve(settings(tmp_path, forge="forgejo"), tmp_path) as side:
        assert (await post(side, body, headers))[0] == 202


async def test_no_secret_and_no_body_in_the_log(tmp_path: Path) -> None:
    """Whatever happens, no secret, signature, body or unverified header is logged."""
    async with serve(settings(tmp_path), tmp_path) as side:
        body = push(message="private words")
        for headers in (
            github(body),
            github(body),
            github(body, "evil-id", secret=b"x"),
            {"Content-Type": "text/x"},
        ):
            await post(side, body, headers)
        text = side.log.getvalue()
        digest = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
        for private in (SECRET.decode(), digest, "private words", "evil-id"):
            assert private not in text
        assert side.records()
        assert all(set(record) >= {"time", "level", "event", "status"} for record in side.records())
