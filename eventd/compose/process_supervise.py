"""The life of a stack's service: check, remove leftovers, `compose up`, wait until it is up, watch, take it down.

It exits with a status other than 0 if the stack does not come up in time, or is no longer up: that makes `systemctl
--user restart` authoritative. Order matters in two places. The event log is followed from a time before the state is
read, so that no event is missed. And after an event, the monitor's end is awaited before the state is read again, so
that it is final.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from eventd.compose import process_events as events
from eventd.compose import process_verdict as verdict
from eventd.compose.process_containers import Container, printable, stop_order, unmonitored
from eventd.compose.process_failure import Reason, StackError
from eventd.compose.process_podman import Podman, last_line, unreadable
from eventd.compose.process_watch import Child, Watch, Woken
from eventd.platform.sdnotify import Notifier

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SHORT_LIVED: Final = 3
"""How many followers in a row may end within a second before that counts as permanent."""
Log = Callable[[str, str], None]
"""Writes a line with a level: error, warning, info."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits, in seconds."""

    deadline: float = 120.0
    """From the start (or reload) until the whole stack is up, including pulls."""
    settle: float = 1.0
    """How long a container without a health check has to run to count as up."""
    grace: float = 5.0
    """How long a stack that was up may be incomplete, for instance while podman restarts a container."""
    stop: float = 90.0
    """For taking the stack down. Each container has its own stop timeout within it."""


class Stopped(Exception):  # noqa: N818  no error
    """The service manager stops the service."""


class Supervisor:
    """Supervises one stack."""

    def __init__(
        self, podman: Podman, watch: Watch, notify: Notifier, log: Log, limits: Limits, uid: int
    ) -> None:
        self._podman = podman
        self._project = podman.stack.project
        self._watch = watch
        self._notify = notify
        self._log = log
        self._limits = limits
        self._uid = uid
        self._follower: Child | None = None
        self._following: float = 0.0
        self._short_lived = 0
        self._logger = ""
        self._stack: tuple[Container, ...] = ()
        self._expected: frozenset[str] = frozenset()
        self._before: frozenset[str] | None = None
        self._reload = False

    def run(self) -> int:
        """Run until stopped. Returns the exit status: 0 after a stop, else that of the reason."""
        try:
            self._deploy()
            self._notify.ready(self._judge().summary())
            while True:
                self._stay_up()
                self._log("info", "reload: applying the compose file again")
                self._notify.reloading()
                self._deploy()
                self._notify.ready(self._judge().summary())
        except Stopped:
            self._notify.stopping("taking the stack down")
            return self._take_down()
        except StackError as error:
            self._log("error", f"{error.why.word}: {error}")
            self._notify.status(f"{error.why.word}: {error}")
            self._log_running()
            return int(error.why.value)

    # Coming up.

    def _deploy(self) -> None:
        until = time.monotonic() + self._limits.deadline
        self._check_files()
        self._observe()
        self._before = frozenset(container.id for container in self._stack)
        self._clear_away()
        if not self._logger:
            self._logger = self._podman.event_logger()
        self._following = time.time()
        self._up(until)
        self._observe()
        wanted = self._podman.services_wanted()
        if not self._stack and not wanted:
            raise StackError(Reason.COMPOSE_FILE, "the compose file has no service that runs")
        self._expected = frozenset(container.service for container in self._stack).union(wanted)
        self._follow()
        self._verify(until)

    def _check_files(self) -> None:
        if missing := unreadable(self._podman.stack):
            path = missing[0].rpartition(":")[0]
            why = Reason.COMPOSE_FILE if path in self._podman.stack.files else Reason.ENV_FILE
            raise StackError(why, f"cannot read {'; '.join(missing)}", hint="nothing was started")

    def _clear_away(self) -> None:
        """Remove what `compose up` must not find: it would start a stale container unchanged, and succeed."""
        limits, unit = self._limits, self._podman.stack.unit
        found = verdict.leftovers(self._stack, unit=unit, now=time.time(), stuck_after=limits.deadline)
        if refused := verdict.refuse_foreign(found, self._podman.is_active):
            names = ", ".join(f"{one.container.name} {one.why}" for one in refused)
            raise StackError(
                Reason.FOREIGN, f"{names}, which is active", hint="stop that unit, or rename the stack"
            )
        for one in found:
            self._log("warning", f"removed before the start: {one.container.name} {one.why}")
        self._podman.remove([one.container.id for one in found], timeout=limits.stop)

    def _up(self, until: float) -> None:
        """Run `compose up` to its end."""
        self._notify.status("compose up")
        argv = self._podman.stack.compose("up", "--detach", "--remove-orphans")
        try:
            child = self._watch.start(argv, self._podman.env)
        except OSError as error:
            raise StackError(Reason.PROVIDER, f"cannot run {argv[0]}: {error.strerror}") from error
        said: list[str] = []
        while child.status is None:
            woken = self._watch.wait(until)
            for one, line in woken.lines:
                if one is child and line.strip():
                    self._log("info", line)
                    said = [*said[-40:], line]
            if time.monotonic() >= until and child.status is None:
                self._watch.kill(child)
                raise StackError(
                    Reason.DEADLINE,
                    f"compose up did not end within {self._limits.deadline:g} s; it last said: {_last_errors(said)}",
                )
            self._heed(woken)
        if child.status:
            raise StackError(Reason.PROVIDER, f"compose up: status {child.status}: {_last_errors(said)}")

    def _verify(self, until: float) -> None:
        """Wait until everything is up. Raises StackError as soon as something is broken, or at the deadline."""
        shown = ""
        while True:
            now = self._judge()
            if now.up:
                return
            if now.broken:
                raise StackError(Reason.UNHEALTHY, "; ".join(map(self._with_last_words, now.broken)))
            if missing := [one for one in now.findings if one.condition is verdict.Condition.MISSING]:
                # `compose up` has ended: nothing will create it any more.
                names = ", ".join(one.name for one in missing)
                raise StackError(
                    Reason.PROVIDER,
                    f"compose up created no container for {names}",
                    hint="see the lines above",
                )
            if time.monotonic() >= until:
                raise StackError(
                    Reason.DEADLINE, f"not up within {self._limits.deadline:g} s: {now.summary()}"
                )
            if now.summary() != shown:
                shown = now.summary()
                self._notify.status(shown)
            self._wait(until, now.look_at)

    # Staying up.

    def _stay_up(self) -> None:
        """Watch the stack until a reload is requested. Raises StackError if the stack is no longer up."""
        lacking_since: float | None = None
        while not self._reload:
            now = self._judge()
            unhealthy = [one for one in now.broken if one.condition is verdict.Condition.UNHEALTHY]
            if unhealthy:
                raise StackError(Reason.UNHEALTHY, "; ".join(map(self._with_last_words, unhealthy)))
            until = None
            if now.up:
                if lacking_since is not None:
                    self._notify.status(now.summary())
                lacking_since = None
            else:
                if lacking_since is None:
                    lacking_since = time.monotonic()
                    self._notify.status(now.summary())
                    self._log("warning", now.summary())
                until = lacking_since + self._limits.grace
                if time.monotonic() >= until:
                    raise StackError(Reason.UNHEALTHY, "; ".join(map(self._with_last_words, now.lacking)))
            self._wait(until, now.look_at)
        self._reload = False

    # Going down.

    def _take_down(self) -> int:
        """Stop and remove containers, in order, and the project's networks; volumes stay.

        Uses podman only: at a shutdown the user's socket can no longer start its service, which docker-compose needs.
        """
        until = time.monotonic() + self._limits.stop
        try:
            take_down(self._podman, lambda: max(until - time.monotonic(), 1.0))
        except StackError as error:
            self._log("error", f"cannot take the stack down: {error}")
            self._log_running()
            return int(error.why.value)
        return 0

    def _with_last_words(self, found: verdict.Finding) -> str:
        """Return a finding and, if the container has ended, its last line of output."""
        ended = [one for one in self._stack if one.name == found.name and one.state in {"exited", "stopped"}]
        if not ended:
            return str(found)
        done = self._podman.run(["podman", "logs", "--tail=1", ended[0].id], check=False)
        words = printable(done.stdout + done.stderr)
        return f"{found} (its last line: {words})" if words else str(found)

    # State and waiting.

    def _observe(self) -> None:
        """Read the containers, and watch the monitors of running ones.

        If a monitor has ended since, the containers are read again. One that is still running then has lost its monitor
        (killed, out of memory): nothing would notice its end or start it again.
        """
        gone: set[int] = set()
        for _ in range(3):
            self._stack = self._podman.containers()
            gone = self._watch.monitor(one.conmon for one in self._stack if one.conmon)
            if not gone:
                return
        self._stack = unmonitored(self._stack, gone)

    def _judge(self) -> verdict.Verdict:
        return verdict.judge(
            self._stack, now=time.time(), settle=self._limits.settle, expected=self._expected
        )

    def _wait(self, until: float | None, look_at: float | None) -> None:
        """Wait for an event or a time, then read the stack's state."""
        self._follow()
        if look_at is not None:
            # A wall-clock time: if the clock is changed, the state is read too early, or at the next event.
            then = time.monotonic() + max(look_at - time.time(), 0.0) + 0.001
            until = then if until is None else min(then, until)
        woken = self._watch.wait(until)
        self._heed(woken)
        if self._is_news(woken):
            self._observe()

    def _is_news(self, woken: Woken) -> bool:
        if woken.monitors or self._follower in woken.ended:
            return True
        if not woken.lines and not woken.signals:
            return True  # the time has come
        found = (events.parse(line) for one, line in woken.lines if one is self._follower)
        return any(event and events.matters(event, self._project, self._stack) for event in found)

    def _follow(self) -> None:
        """Follow the event log, from where the last follower ended."""
        if self._follower is not None and self._follower.status is None:
            return
        argv = events.follow_command(
            self._logger, project=self._project, uid=self._uid, since=self._following
        )
        if argv is None:
            if any(container.health for container in self._stack):
                raise StackError(
                    Reason.PODMAN,
                    f"podman's events_logger is {self._logger!r}, so changes of health are not reported",
                    hint="set events_logger to journald or file in containers.conf",
                )
            return
        if self._follower is not None:
            self._log("warning", f"{argv[0]} ended with status {self._follower.status}; starting it again")
            self._short_lived = self._short_lived + 1 if time.time() - self._following < 1.0 else 0
            if self._short_lived == _SHORT_LIVED:
                raise StackError(Reason.PODMAN, f"{argv[0]} cannot follow podman's events")
        try:
            self._follower = self._watch.start(argv, self._podman.env)
        except OSError as error:
            raise StackError(Reason.PODMAN, f"cannot run {argv[0]}: {error.strerror}") from error
        self._following = time.time()

    def _heed(self, woken: Woken) -> None:
        if woken.signals & {signal.SIGTERM, signal.SIGINT}:
            raise Stopped
        if signal.SIGHUP in woken.signals:
            self._reload = True

    def _log_running(self) -> None:
        """Log which containers still run after a failure: `failed` in systemd does not mean that none does."""
        try:
            running = [one for one in self._podman.containers() if one.state == "running"]
        except StackError as error:
            self._log("warning", f"older containers may still run, but podman cannot list them: {error}")
            return
        older = [one for one in running if self._before is None or one.id in self._before]
        newer = [one for one in running if one not in older]
        if older:
            self._log("warning", f"older containers may still run: {_names(older)}")
        if newer:
            self._log("warning", f"containers created by this start still run: {_names(newer)}")
        if not running:
            self._log("warning", "no container of this stack is running")


def take_down(podman: Podman, left: Callable[[], float]) -> None:
    """Stop and remove a stack's containers, pod and networks. `left`: returns the remaining seconds."""
    stack = podman.containers()
    for group in stop_order(stack):
        running = [one.id for one in group if one.state in {"running", "paused", "stopping"}]
        if running:
            podman.run(["podman", "stop", "--ignore", *running], timeout=left())
    podman.remove([one.id for one in stack], timeout=left())
    podman.run(["podman", "pod", "rm", "--force", "--ignore", f"pod_{podman.stack.project}"], timeout=left())
    project = f"--filter=label=com.docker.compose.project={podman.stack.project}"
    networks = podman.run(["podman", "network", "ls", "--quiet", project], timeout=left()).stdout.split()
    if networks:
        # A network that another container uses stays.
        podman.run(["podman", "network", "rm", *networks], timeout=left(), check=False)


def _last_errors(said: list[str]) -> str:
    """Return the last errors of a provider (docker-compose: the service in one line, the reason in the next)."""
    own = [line.strip() for line in said if not line.startswith("Error: executing ")]
    errors = [line for line in own if "error" in line.lower()]
    return "; ".join(errors[-2:]) or last_line("\n".join(own or said))


def _names(stack: list[Container]) -> str:
    return ", ".join(
        f"{one.name} (image {one.image_id[:12]}, up since {_clock(one.started)})" for one in stack
    )


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
