"""`eventd-webhook`: its arguments, sockets and signals.

The listening socket comes from systemd (sd_listen_fds(3)) or from `--listen`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

from aiohttp import web

from eventd.kernel.model.errors import EventdError, PermanentError
from eventd.platform.sdnotify import listen_fds
from eventd.webhook.process_deliveries import Deliveries
from eventd.webhook.process_log import Log, Priority
from eventd.webhook.process_relay import Relay
from eventd.webhook.process_server import BoundedServer, Listener
from eventd.webhook.process_settings import SHORT_SECRET, Settings, load
from eventd.webhook.process_signatures import SIGNING_PREFIX, signing_key


def run(arguments: list[str] | None = None) -> int:
    """Return the exit status: 0 after SIGTERM or SIGINT, 2 for wrong usage or configuration."""
    parser = argparse.ArgumentParser(
        prog="eventd-webhook", description="Verifies the webhooks of a forge and notifies eventd of pushes."
    )
    parser.add_argument("--config", default="/etc/eventd/webhook.toml", help="default: %(default)s")
    parser.add_argument("--listen", metavar="HOST:PORT", help="instead of systemd's socket")
    parser.add_argument(
        "--check", action="store_true", help="read the configuration and its secrets, and exit"
    )
    options = parser.parse_args(arguments)
    log = Log()
    try:
        settings = load(options.config, credentials=os.environ.get("CREDENTIALS_DIRECTORY"))
        check_secrets(settings, log)
        if options.check:
            return 0
        sockets = listen(options.listen) if options.listen else inherited()
    except EventdError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"eventd-webhook: {line}\n")
        return 2
    with asyncio.Runner() as runner:
        runner.run(serve(settings, sockets, log))
    return 0


def check_secrets(settings: Settings, log: Log) -> None:
    """Refuse invalid signing tokens, and warn about short secrets."""
    for hook in settings.hooks.values():
        if hook.secret.startswith(SIGNING_PREFIX) and hook.table.forge == "gitlab":
            try:
                signing_key(hook.secret)
            except ValueError as error:
                raise PermanentError(f"hook {hook.table.name}: {error}", reason="bad-secret") from None
        elif len(hook.secret) < SHORT_SECRET:
            log.write(Priority.WARNING, "short-secret", hook=hook.table.name, bytes=len(hook.secret))


def inherited() -> list[socket.socket]:
    """Return systemd's sockets (sd_listen_fds(3)). Raises PermanentError(reason="no-socket")."""
    passed = listen_fds(os.environ)
    if not passed:
        raise PermanentError(
            "systemd passed no socket",
            reason="no-socket",
            hint="start eventd-webhook.socket, or use --listen HOST:PORT for a test",
        )
    sockets = [socket.socket(fileno=each.fd) for each in passed]
    for each in sockets:
        each.setblocking(False)  # noqa: FBT003  the standard library's signature
    return sockets


def listen(text: str) -> list[socket.socket]:
    """Bind `HOST:PORT` (`[::1]:8080` for IPv6). Raises PermanentError(reason="no-socket")."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise PermanentError(f"{text!r} is not HOST:PORT", reason="no-socket")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return [socket.create_server((host, int(port)), family=family, backlog=64)]
    except OSError as error:
        raise PermanentError(f"cannot listen on {text}: {error.strerror}", reason="no-socket") from error


async def serve(settings: Settings, sockets: list[socket.socket], log: Log) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests in progress.

    New connections wait in the socket meanwhile, which systemd keeps open.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    table = settings.table
    state = os.environ.get("STATE_DIRECTORY")
    deliveries = Deliveries(
        table.remembered,
        Path(state.partition(":")[0]) / "deliveries" if state else None,
        lambda text: log.write(Priority.WARNING, "deliveries", reason=text),
    )
    listener = Listener(settings, deliveries, Relay(table.daemon, table.daemon_timeout), log)
    lifetime = table.request_timeout + table.daemon_timeout + 5
    server = BoundedServer(listener, table, log, lifetime=lifetime)
    runner = web.ServerRunner(server, shutdown_timeout=lifetime)
    await runner.setup()
    try:
        for passed in sockets:
            await web.SockSite(runner, passed).start()
        log.write(Priority.INFO, "listening", hooks=len(settings.hooks), known=len(deliveries))
        await stop.wait()
        log.write(Priority.INFO, "stopping")
    finally:
        await runner.cleanup()
