"""The states of a service: systemd's state machine, as far as containers and companions use it.

After service.c of systemd 257: a start job ends when the unit leaves `activating`; a failing service with a
restart policy passes through `failed-before-auto-restart` (which ends its start job) to `auto-restart`; the
automatic restart is a start job of its own, which merges with one that waits already.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from eventd.platform.model_facts import ActiveState, LoadState
from eventd_simulators.model.unit import DOWN, Step, Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from eventd_simulators.model.behaviours import Behaviour
    from eventd_simulators.model.definition import Definition
    from eventd_simulators.model.manager import Manager
    from eventd_simulators.model.signals import Timer

REMOVAL = 0.03
"""Seconds that ExecStop and ExecStopPost of a container (`podman rm`) take when it has ended by itself."""
LINGER = 0.01
"""Seconds between the end of `podman rm` and that of conmon, which is the main process."""
NO_IMAGE = 125
"""podman-run(1): the error is with podman itself, such as an image that cannot be pulled."""
KILLED = 137


class Service(Unit):
    """A service."""

    def __init__(self, manager: Manager, definition: Definition) -> None:
        super().__init__(manager, definition)
        self._timers: list[Timer] = []
        self._starts: deque[float] = deque()
        self._forbid_restart = False
        self.runs: Mapping[str, bytes] = {}
        """Files of eventd's folders as they were loaded when it was last started."""

    @property
    def behaviour(self) -> Behaviour:
        """How its program behaves; looked up each time."""
        return self.manager.behaviours.of(self.manager.scope, self.name, self.definition.image)

    @property
    def _is_container(self) -> bool:
        return self.definition.kill_timeout > 0

    def start(self) -> Step:
        """Begin to start, unless the start limit is reached (systemd.unit(5), StartLimitBurst=)."""
        if self.active is ActiveState.ACTIVE:
            return Step.ALREADY
        if self.active is ActiveState.DEACTIVATING or self.sub == "auto-restart":
            return Step.LATER
        if self.sub == "start":
            return Step.BEGUN
        if self.definition.load is not LoadState.LOADED:
            return Step.FAILED
        if not self._within_limit():
            self.journal("Start request repeated too quickly.")
            if self.result == "success":
                self.result = "start-limit-hit"
            self._set_dead(restart=False)
            return Step.FAILED
        if self.sub != "auto-restart-queued":
            self.restarts = 0
        self._forbid_restart = False
        self.result = "success"
        self.exec_status = 0
        self.invocation = self.manager.new_invocation()
        self._launch()
        return Step.BEGUN

    def stop(self) -> Step:
        """Begin to stop."""
        if self.active in DOWN:
            return Step.ALREADY
        self._forbid_restart = True
        if self.active is ActiveState.DEACTIVATING:
            return Step.BEGUN
        self._forget_timers()
        if self.sub.startswith("auto-restart"):
            self.set(ActiveState.INACTIVE, "dead")
        elif self.sub == "exited":
            self._set_dead(restart=False)
        else:
            started = self.active is ActiveState.ACTIVE
            self.set(ActiveState.DEACTIVATING, "stop" if started and self._is_container else "stop-sigterm")
            self._terminate()
        return Step.BEGUN

    def exit(self, status: int) -> None:
        """The main process ends by itself (or is killed from outside)."""
        if self.active in DOWN or self.sub.startswith("auto-restart"):
            return
        self._forget_timers()
        self.main_pid = 0
        self.exec_status = status
        starting = self.active is ActiveState.ACTIVATING
        oneshot = self.definition.type == "oneshot"
        clean = self.definition.is_success(status)
        if not clean:
            self.result = "exit-code"
            self.journal(f"Main process exited, code=exited, status={status}")
            # The result is announced before the resulting state (measured on systemd 257).
            self.manager.mark(self)
            self.manager.flush(self)
        elif starting and not oneshot:
            self.result = "protocol"
        elif oneshot and self.definition.remain:
            self.set(ActiveState.ACTIVE, "exited")
            return
        # ExecStop= runs only for what was up (or ran to its end) and ended well.
        self._clean_up("stop" if clean and (oneshot or not starting) else "stop-post")

    def reset_failed(self) -> None:
        """Forget failure, restarts and the start limit."""
        self._starts.clear()
        self.restarts = 0
        super().reset_failed()

    def vanish(self) -> None:
        """Stop every timer."""
        self._forget_timers()

    # Starting.

    def _within_limit(self) -> bool:
        now = self.manager.clock.time()
        definition = self.definition
        if definition.limit_interval <= 0 or definition.limit_burst <= 0:
            return True
        while self._starts and self._starts[0] <= now - definition.limit_interval:
            self._starts.popleft()
        if len(self._starts) >= definition.limit_burst:
            return False
        self._starts.append(now)
        return True

    def _launch(self) -> None:
        behaviour, kind = self.behaviour, self.definition.type
        self.runs = self.manager.source.files
        self.main_pid = self.manager.new_pid()
        if kind in ("simple", "idle", "exec"):
            self.set(ActiveState.ACTIVE, "running")
            if behaviour.start_status:
                self.call_later(behaviour.start, lambda: self.exit(behaviour.start_status))
            elif behaviour.runs_for is not None:
                self.call_later(behaviour.runs_for, lambda: self.exit(behaviour.status))
            return
        self.set(ActiveState.ACTIVATING, "start")
        delay = behaviour.start
        image = self.definition.image
        if image and not self.manager.behaviours.has_image(self.manager.scope, image):
            delay = behaviour.pull + (0.0 if behaviour.pull_fails else behaviour.start)
        self.call_later(self.definition.start_timeout, self._start_timed_out)
        if image and behaviour.pull_fails:
            self.call_later(delay, self._no_image)
        elif behaviour.start_status or self.manager.behaviours.start_fails(
            self.manager.scope, self.name, behaviour
        ):
            self.call_later(delay, lambda: self.exit(behaviour.start_status or 1))
        elif kind == "oneshot":
            self.call_later(delay, lambda: self.exit(0))
        elif not self.definition.notify_healthy:
            self.call_later(delay, self._ready)
        else:
            if behaviour.healthy_after is not None:
                self.call_later(delay + behaviour.healthy_after, self._ready)
            if behaviour.runs_for is not None:
                self.call_later(delay + behaviour.runs_for, lambda: self.exit(behaviour.status))

    def _no_image(self) -> None:
        self.journal(f"Error: initializing source docker://{self.definition.image}: manifest unknown")
        self.exit(NO_IMAGE)

    def _ready(self) -> None:
        self._forget_timers()
        self.manager.behaviours.add_image(self.manager.scope, self.definition.image)
        behaviour = self.behaviour
        self.set(ActiveState.ACTIVE, "running")
        if behaviour.runs_for is not None:
            self.call_later(behaviour.runs_for, lambda: self.exit(behaviour.status))

    def _start_timed_out(self) -> None:
        self._forget_timers()
        self.result = "timeout"
        self.journal("start operation timed out. Terminating.")
        self.set(ActiveState.DEACTIVATING, "stop-sigterm")
        self._terminate()

    # Stopping.

    def _terminate(self) -> None:
        behaviour = self.behaviour
        if not behaviour.ignores_term:
            self.call_later(behaviour.stop, lambda: self._terminated(behaviour.stop_status))
        elif self._is_container and self.sub == "stop":
            # ExecStop= is `podman rm`, which kills it after podman's stop timeout, not systemd's.
            self.call_later(self.definition.kill_timeout, lambda: self._terminated(KILLED))
        else:
            self.call_later(self.definition.stop_timeout, self._killed)

    def _terminated(self, status: int) -> None:
        if self.sub == "stop":
            # ExecStop= is done, and conmon ends a moment later (measured: always announced).
            self.set(ActiveState.DEACTIVATING, "stop-sigterm")
            self.call_later(LINGER, lambda: self._terminated(status))
            return
        self.main_pid = 0
        self.exec_status = status
        if not self.definition.is_success(status) and self.result == "success":
            self.result = "exit-code"
        self._clean_up("stop-post")

    def _killed(self) -> None:
        self.main_pid = 0
        self.exec_status = 9
        if self.result == "success":
            self.result = "timeout"
        self._clean_up("stop-post")

    def _clean_up(self, sub: str) -> None:
        if not self._is_container:
            self._set_dead()
            return
        self.set(ActiveState.DEACTIVATING, sub)
        self.call_later(
            REMOVAL, self._set_dead if sub == "stop-post" else lambda: self._clean_up("stop-post")
        )

    def _set_dead(self, *, restart: bool = True) -> None:
        self._forget_timers()
        self.main_pid = 0
        failed = self.result != "success"
        dead = ActiveState.FAILED if failed else ActiveState.INACTIVE
        if restart and not self._forbid_restart and self._wants_restart():
            # A state of its own since systemd 254: for a moment the unit reads `failed`.
            self.set(dead, "failed-before-auto-restart" if failed else "dead-before-auto-restart")
            self.manager.flush(self)
            self.set(ActiveState.ACTIVATING, "auto-restart")
            self.call_later(self.definition.restart_delay, self._queue_restart)
            return
        if failed:
            self.journal(f"Failed with result '{self.result}'.")
        self.set(dead, "failed" if failed else "dead")

    def _wants_restart(self) -> bool:
        clean = self.result == "success"
        match self.definition.restart:
            case "always":
                return True
            case "on-failure":
                return not clean
            case "on-success":
                return clean
            case "on-abnormal":
                return self.result in ("timeout", "signal", "core-dump", "watchdog")
            case _:
                return False

    def _queue_restart(self) -> None:
        self.restarts += 1
        self.journal(f"Scheduled restart job, restart counter is at {self.restarts}.")
        self.set(ActiveState.ACTIVATING, "auto-restart-queued")
        self.manager.flush(self)
        self.manager.jobs.add("start", self)

    def call_later(self, delay: float, callback: Callable[[], object]) -> None:
        """Call back later, unless the service has entered another phase by then."""
        if delay != float("inf"):
            self._timers.append(self.manager.clock.call_later(delay, callback))

    def _forget_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
