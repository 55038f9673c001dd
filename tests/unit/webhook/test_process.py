"""Scope: the process `eventd-webhook`: arguments, systemd's socket, SIGTERM."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from tests.unit.webhook.webhookside import SECRET, Daemon, github, push

if TYPE_CHECKING:
    from asyncio.subprocess import Process

# Does what systemd does between fork and exec: the socket becomes descriptor 3, LISTEN_PID names the process.
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="http")
os.execv(sys.executable, [sys.executable, "-m", "eventd.webhook", *sys.argv[2:]])
"""


def configure(folder: Path) -> str:
    """Write a configuration with one hook."""
    (folder / "secret").write_bytes(SECRET)
    (folder / "secret").chmod(0o600)
    path = folder / "webhook.toml"
    lines = ["[[hooks]]", 'name = "host"', 'forge = "github"', f'secret_file = "{folder}/secret"']
    path.write_text("\n".join([f'daemon = "{folder}/daemon.sock"', *lines, ""]))
    return str(path)


def change(path: str, old: str, new: str) -> None:
    """Edit the configuration."""
    file = Path(path)
    file.write_text(file.read_text().replace(old, new))


async def start(*argv: str, pass_fds: tuple[int, ...] = (), **environment: str) -> Process:
    """Start the listener."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *argv,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=pass_fds,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd()), **environment},
    )


async def record(process: Process, event: str) -> dict[str, Any]:
    """Read its log until the event."""
    assert process.stderr is not None
    while line := await asyncio.wait_for(process.stderr.readline(), 60):
        found: dict[str, Any] = json.loads(line)
        if found["event"] == event:
            return found
    raise AssertionError(f"it ended before {event}")


async def send(port: int, body: bytes) -> int:
    """Deliver a push."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{port}/hooks/host", data=body, headers=github(body)) as answer,
    ):
        return answer.status


async def test_socket_activation_and_a_clean_end(tmp_path: Path) -> None:
    """It serves on systemd's socket; SIGTERM lets the request under way end, and the exit status is 0."""
    daemon = Daemon(tmp_path / "daemon.sock")
    await daemon.start()
    daemon.gate.clear()
    body = push()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        descriptor, port = listening.fileno(), listening.getsockname()[1]
        argv = ("-c", ACTIVATE, str(descriptor), "--config", configure(tmp_path))
        process = await start(*argv, pass_fds=(descriptor,), STATE_DIRECTORY=str(tmp_path))
        try:
            request = asyncio.create_task(send(port, body))
            await asyncio.wait_for(daemon.asked.wait(), 60)
            process.send_signal(signal.SIGTERM)
            await record(process, "stopping")
            daemon.gate.set()
            assert await request == 202
            assert await asyncio.wait_for(process.wait(), 60) == 0
            # The next life takes the socket over, and knows what this one passed on.
            process = await start(*argv, pass_fds=(descriptor,), STATE_DIRECTORY=str(tmp_path))
            assert await send(port, body) == 409
        finally:
            process.terminate()
            await asyncio.wait_for(process.wait(), 60)
            await daemon.stop()


async def outcome(*arguments: str, **environment: Any) -> tuple[int | None, str]:
    """Run the listener to its end; return its status and what it said."""
    process = await start("-m", "eventd.webhook", *arguments, **environment)
    _, said = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, said.decode()


async def test_check_reads_configuration_and_secrets(tmp_path: Path) -> None:
    """`--check` is 0 for a good configuration and 2, with the key, for a bad one."""
    path = configure(tmp_path)
    assert await outcome("--check", "--config", path) == (0, "")
    change(path, "[[hooks]]", "[[hooks]]\nbrnach = 1")
    status, said = await outcome("--check", "--config", path)
    assert (status, said) == (
        2,
        f"eventd-webhook: {path}:3: hooks[0].brnach: unknown key: did you mean branch?\n",
    )


async def test_without_a_socket_it_says_what_to_do(tmp_path: Path) -> None:
    """Started by hand, it names both ways; somebody else's LISTEN_PID is not ours."""
    path = configure(tmp_path)
    status, said = await outcome("--config", path, LISTEN_FDS="1", LISTEN_PID="1")
    assert status == 2
    assert "start eventd-webhook.socket, or use --listen HOST:PORT" in said


async def test_an_address_that_cannot_be_bound(tmp_path: Path) -> None:
    """A mistyped address, and one in use, are errors and not tracebacks."""
    path = configure(tmp_path)
    assert await outcome("--config", path, "--listen", "8080") == (
        2,
        "eventd-webhook: '8080' is not HOST:PORT\n",
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        status, said = await outcome("--config", path, "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert (status, "in use" in said, "Traceback" in said) == (2, True, False)


async def test_a_bad_signing_token_is_refused_at_the_start(tmp_path: Path) -> None:
    """A whsec_ token that is not base64 is a mistake to tell at once, not a failure of every delivery."""
    path = configure(tmp_path)
    change(path, "github", "gitlab")
    (tmp_path / "secret").write_bytes(b"whsec_!!!")
    status, said = await outcome("--check", "--config", path)
    assert (status, "whsec_ followed by base64" in said) == (2, True)
