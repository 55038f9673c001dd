"""The daemon: `eventd --config /etc/eventd/eventd.toml`. Start, readiness, reload, drain.

It sends `READY=1` when the sockets listen, before anything of the host is read, so that no source can delay its answers
or the boot. It sends `STATUS=` after every pass. SIGHUP (or a changed configuration file) reloads the rules. SIGTERM
cancels waits, lets a running step end, and exits.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import anyio

from eventd import __version__
from eventd.accounts.ports import AccountSigns
from eventd.api.model_answers import Check
from eventd.api.routing import Api
from eventd.api.server import Server
from eventd.compose.settings import Compose
from eventd.composition import Composition, add_triggers, compose
from eventd.configured import check_programs, make_folders, own_accounts, protection_of, rules_of
from eventd.doctor import documents as doctor_document
from eventd.health.source import ContainerHealthSource
from eventd.kernel.model.errors import DeadlineError, EventdError, PermanentError, TemporaryError
from eventd.kernel.model.events import Event, KernelEvent
from eventd.kernel.model.report import Outcome, RunReport, RunResult
from eventd.kernel.supervise import beside, known
from eventd.overrides import adapter_suspend_notes as suspend_notes
from eventd.overrides.model import NETWORK
from eventd.platform.host_lock import HostLock
from eventd.platform.logging import Redactor, setup
from eventd.platform.sdnotify import Notifier
from eventd.platform.service_accounts import look_up
from eventd.repository.adapter_git import GitRepository
from eventd.repository.adapter_git_command import Credentials
from eventd.settings import DEFAULT_PATH, Settings, live_keys, load
from eventd.state.adapter_database import DAMAGED
from eventd.state.adapter_file import condemn
from eventd.status import documents
from eventd.status.adapter_status_folder import StatusFolder
from eventd.status.controller_status_files import StatusFiles
from eventd.storage.documents import Storage
from eventd_policies.accounts_protected import why_protected

log = logging.getLogger("eventd")
DRAIN = 20.0
"""Seconds that a running step may take after SIGTERM; below TimeoutStopSec= of the unit."""
PAUSE = 15.0
"""Seconds before exiting after a temporary failure to start (a full disk): systemd restarts the unit each time, and it
must not reach its start limit."""
TAKE_OVER = 2.0
"""Seconds that the previous daemon may take to release the host after its service has ended."""

LEVELS = {
    RunResult.OK: logging.INFO,
    RunResult.HELD: logging.WARNING,
    RunResult.INTERRUPTED: logging.INFO,
}
OUTCOME_LEVELS = {
    Outcome.OK: logging.INFO,
    Outcome.UNCHANGED: logging.INFO,
    Outcome.HELD: logging.WARNING,
    Outcome.SUPERSEDED: logging.INFO,
}


class Daemon:
    """One daemon process over a composition."""

    def __init__(
        self, composition: Composition, config: str, notifier: Notifier, instance: HostLock | None = None
    ) -> None:
        """`config` is the path that is watched and reloaded."""
        self.parts = composition
        self.engine, self.sources = composition.engine, composition.sources
        self.config = config
        self.notifier = notifier
        self.settings = composition.settings
        self.instance = instance or HostLock(f"{self.settings.paths.runtime}/instance")
        """Held as long as the process runs; a run holds another lock."""
        self._damage: PermanentError | None = None
        self._stuck = ""
        self._stop = anyio.Event()
        self._reload = anyio.Event()
        self._last_run = 0
        self._started = time.time()

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT.

        Raises PermanentError(reason="already-running") if another daemon serves this host: two of them would alternate
        runs, each with its own records, and share one socket.
        """
        if not self.instance.held:
            await take(self.instance)
        self.parts.store.on_damage(self._damaged)
        try:
            await self._run()
        finally:
            self.instance.release()
        if self._damage is not None:
            raise self._damage

    async def _run(self) -> None:
        async with AsyncExitStack() as stack, anyio.create_task_group() as group:
            group.start_soon(self._signals)
            group.start_soon(self.notifier.keep_alive, self._alive)
            server = self._server()
            files = self._status_files()
            with anyio.CancelScope() as starting:
                group.start_soon(self._cancel_on_stop, starting)
                await self.engine.remember()
                api, dispatcher = self.settings.api, self.parts.dispatcher
                await server.listen(stack, api.socket, api.group)
                await server.listen_webhook(stack, api.webhook_socket, api.webhook_group)
                group.start_soon(beside, "the groups of the sockets", server.groups.serve)
                dispatcher.subscribe("the daemon", self._on_event)
                self.engine.passes.subscribe("sd_notify", self._report)
                self.notifier.ready("reading the host")
                log.info("eventd %s is ready", __version__)
                await self.sources.start(group, dispatcher.emit, dispatcher.facts)
                await add_triggers(self.parts.context, self.config)
                if self._is_another():
                    self._reload.set()  # the triggers take what they found for known
                await self.engine.begin()
                await self._suspend_as_noted()
                server.api.begun.set()
                self.parts.boot.ready()
                group.start_soon(beside, "the boot log", self.parts.boot.run)
                group.start_soon(self.engine.serve)
                group.start_soon(beside, "the sizes", self.parts.context.need(Storage).sizes.serve)
                group.start_soon(beside, "the status files", files.run)
                group.start_soon(self._reloads)
            await self._stop.wait()
            log.info("draining")
            self.notifier.stopping("draining")
            self.notifier.extend_timeout(DRAIN + 5)
            server.end_streams()
            await self.engine.commands.drain(DRAIN)
            group.cancel_scope.cancel()
        log.info("stopped")

    async def _suspend_as_noted(self) -> None:
        """Apply the suspensions recorded while the daemon was down, before the first run."""
        for path, note in suspend_notes.read(self.settings.paths.state):
            await self.engine.commands.suspend(note.workload, note.by, note.why)
            path.unlink(missing_ok=True)

    async def _cancel_on_stop(self, scope: anyio.CancelScope) -> None:
        await self._stop.wait()
        scope.cancel()

    def _damaged(self, why: str) -> None:
        """Stop: the state file is damaged, and nothing may be done without it. The next start sets it aside."""
        if self._damage is None:
            log.critical("%s; exiting, so that the next start sets it aside", why)
            self._damage = PermanentError(why, reason=DAMAGED)
            self.stop()

    def _alive(self) -> bool:
        """Return whether to feed the watchdog: not while the current run is stuck, which only a restart ends."""
        stuck = self.engine.watch.stuck()
        if stuck and not self._stuck:
            log.critical("%s; the watchdog is no longer fed, so that systemd restarts eventd", stuck)
        self._stuck = stuck
        return not stuck

    def stop(self) -> None:
        """Begin the drain."""
        self._stop.set()

    def _status_files(self) -> StatusFiles:
        """Return the writer of the status files, subscribed to changes."""
        engine = self.engine
        folder = StatusFolder(f"{self.settings.paths.runtime}/status")
        files = StatusFiles(engine.queries, self._identity(), folder)
        engine.passes.subscribe("the status files", files.observed)
        engine.steps.subscribe("the status files", files.stepped)
        self.parts.context.need(ContainerHealthSource).subscribe(files.containers_changed)
        return files

    def _identity(self) -> documents.Identity:
        return documents.Identity(
            host=self.settings.host.name,
            repository=_shown(self.parts.context.need(GitRepository).remote.url),
            branch=self.settings.repository.branch,
            started=self._started,
        )

    def _server(self) -> Server:
        engine, context = self.engine, self.parts.context
        api = Api(
            engine.queries,
            engine.commands,
            self._identity(),
            doctor=self._doctor,
            allow_rewrite=context.need(GitRepository).allow_rewrite,
            boot=self.parts.boot.record,
            begun=anyio.Event(),
            live_graph=engine.parts.live_graph,
            storage=context.need(Storage),
            signs=context.find(AccountSigns),
            families=self.parts.domains.metrics,
            protected=lambda name, uid: why_protected(protection_of(self.settings), name, uid),
        )
        return Server(api, self.settings.api.group, self.parts.domains.routes)

    async def _doctor(self) -> list[Check]:
        """Return the checks that only the daemon can make."""
        return doctor_document.checks(
            self.engine.queries, NETWORK, provider=self.settings.table(Compose).provider
        )

    async def _signals(self) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async for number in signals:
                if number is signal.SIGHUP:
                    self._reload.set()
                else:
                    self.stop()

    def _on_event(self, event: Event) -> None:
        if event.kind is KernelEvent.CONFIG_CHANGED:
            self._reload.set()
        log.debug("%s %s %s", event.origin, event.kind, event.subject)

    def _is_another(self) -> bool:
        """Return whether the configuration changed since it was read for this start, before it was watched."""
        try:
            wanted = load(self.config)
            return wanted != self.settings or rules_of(wanted) != self.parts.assembler.rules
        except EventdError:
            return True

    async def _reloads(self) -> None:
        while True:
            await self._reload.wait()
            self._reload = anyio.Event()
            self.notifier.reloading()
            try:
                self._apply(load(self.config, self.parts.domains.settings))
            except EventdError as error:
                log.error("cannot reload the configuration: %s", error)  # noqa: TRY400 - an operator's mistake
                self.engine.commands.refuse_configuration(error)
            self.notifier.ready()

    def _apply(self, wanted: Settings) -> None:
        """Apply the tables that can be reloaded; log which others need a restart."""
        live = live_keys(type(wanted))
        for name in type(wanted).model_fields:
            if name not in live and getattr(wanted, name) != getattr(self.settings, name):
                log.warning("[%s] of %s changed: restart eventd to apply it", name, self.config)
        self.parts.reconfigure(wanted)
        self.settings = wanted
        logging.getLogger().setLevel(wanted.log_level.upper())
        log.info("reloaded the configuration")

    def _report(self) -> None:
        """Send the one-line status to systemd, and log each run once."""
        queries = self.engine.queries
        state = documents.overall(queries)
        commit = queries.commit[:12] or "no commit yet"
        self.notifier.status(f"{state}: {len(queries.workload_names())} workloads at {commit}")
        last = queries.last_run
        if last is not None and last.id != self._last_run:
            self._last_run = last.id
            log_run(last)


async def take(instance: HostLock) -> None:
    """Take the instance lock, before the state file is opened, since a damaged one is set aside.

    Raises PermanentError(reason="already-running").
    """
    try:
        await instance.acquire(timeout=TAKE_OVER)
    except DeadlineError as error:
        raise PermanentError(
            f"another eventd (process {instance.holder() or 'unknown'}) serves this host",
            reason="already-running",
            hint="systemctl status eventd",
        ) from error


def _shown(url: str) -> str:
    """Return the URL without secrets: the user name or query of an https URL is often a token."""
    scheme, found, rest = url.partition("://")
    if not found or scheme not in ("http", "https"):
        return url
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path.partition('?')[0]}"


def log_run(report: RunReport) -> None:
    """Log a finished run, and each workload that is not as desired at the level of its own outcome."""
    at = f" at {report.commit[:12]}" if report.commit else ""
    why = f": {report.error}" if report.error else ""
    log.log(
        LEVELS.get(report.result, logging.ERROR),
        "run %d: %s%s in %.2f s%s",
        report.id,
        report.result,
        at,
        (report.ended or report.started) - report.started,
        why,
        extra={"run": report.id, "result": report.result.value, "commit": report.commit},
    )
    for row in report.workloads:
        if row.reason:
            log.log(
                OUTCOME_LEVELS.get(row.outcome, logging.ERROR),
                "%s: %s (%s)",
                row.name,
                row.message,
                row.reason,
                extra={"workload": row.name, "reason": row.reason},
            )


def main(argv: Sequence[str] | None = None, *, composed: Callable[..., Composition] = compose) -> int:
    """Entry point of `eventd`; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="eventd",
        description="Keep this host in the state that a git repository describes. Normally run by systemd.",
        epilog="To talk to the running daemon, use eventctl.",
    )
    parser.add_argument("--config", default=DEFAULT_PATH, help="configuration file (default: %(default)s)")
    parser.add_argument("--check-config", action="store_true", help="check the configuration and exit")
    parser.add_argument("--version", action="version", version=f"eventd {__version__}")
    args = parser.parse_args(argv)
    notifier = Notifier.from_environment(os.environ)
    settings: Settings | None = None
    try:
        settings = load(args.config)
        setup(_redactor(), level=settings.log_level)
        if args.check_config:
            check_programs(settings)
            print(f"{args.config}: fine")  # noqa: T201
            return 0
        asyncio.run(_run(composed, settings, args.config, notifier))
    except KeyboardInterrupt:
        return 130
    except Exception as raised:
        error = known(raised)  # a task group raises it as a group of one
        if error is None:
            raise
        print(f"eventd: {error}", file=sys.stderr)  # noqa: T201
        if settings is not None and error.reason == DAMAGED:
            _condemn(settings, error)
        elif isinstance(error, TemporaryError):
            notifier.status(f"cannot start yet: {error}")
            time.sleep(PAUSE)
        return 1
    finally:
        notifier.close()
    return 0


def _redactor() -> Redactor:
    """Return the filter that keeps this service's credentials out of its logs."""
    redactor = Redactor()
    credentials = Credentials.load(os.environ.get("CREDENTIALS_DIRECTORY"))
    redactor.add(credentials.ssh_key)
    redactor.add(credentials.https_token)
    return redactor


def _condemn(settings: Settings, error: EventdError) -> None:
    try:
        condemn(f"{settings.paths.state}/state.db", error.message)
    except OSError as failure:
        print(f"eventd: the state file cannot be set aside: {failure.strerror}", file=sys.stderr)  # noqa: T201


async def _run(
    composed: Callable[..., Composition], settings: Settings, config: str, notifier: Notifier
) -> None:
    make_folders(settings)
    instance = HostLock(f"{settings.paths.runtime}/instance")
    await take(instance)
    try:
        own = await look_up(own_accounts(settings))
        daemon = Daemon(composed(settings, own=own), config, notifier, instance)
        await daemon.run()
    finally:
        if instance.held:
            instance.release()
