"""A loaded unit: its state, and the types that change state at once (targets, timers, sockets, mounts, …).

Services have more states: `service.py`. Jobs decide when `start` and `stop` are called: `jobs.py`.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from eventd.platform.model_facts import ActiveState, LoadState, UnitState

if TYPE_CHECKING:
    from eventd_simulators.model.definition import Definition
    from eventd_simulators.model.jobs import Job
    from eventd_simulators.model.manager import Manager

UP_SUB = {
    "target": "active",
    "timer": "waiting",
    "path": "waiting",
    "socket": "listening",
    "mount": "mounted",
    "slice": "active",
}
DOWN = (ActiveState.INACTIVE, ActiveState.FAILED)


class Step(Enum):
    """The outcome of `start` or `stop`; systemd's -EALREADY, 0, -EAGAIN and errors."""

    ALREADY = auto()
    BEGUN = auto()
    LATER = auto()
    FAILED = auto()


class Unit:
    """One unit of one manager, while it is loaded."""

    def __init__(self, manager: Manager, definition: Definition) -> None:
        self.manager = manager
        self.definition = definition
        self.name = definition.name
        self.active = ActiveState.INACTIVE
        self.sub = "dead"
        self.result = "success"
        self.invocation = ""
        self.restarts = 0
        self.main_pid = 0
        self.exec_status = 0
        self.since = 0
        self.job: Job | None = None
        self.log: list[tuple[str, str]] = []
        """Invocation and line."""

    @property
    def suffix(self) -> str:
        """The type: `service`, `target` and so on."""
        return self.name.rsplit(".", 1)[-1]

    @property
    def state(self) -> UnitState:
        """The unit as its manager shows it now."""
        definition = self.definition
        return UnitState(
            name=self.name,
            load=definition.load,
            active=self.active,
            sub=self.sub,
            result=self.result,
            fragment_path=definition.fragment,
            source_path=definition.source,
            drop_ins=definition.drop_ins,
            needs_reload=self.manager.outdated(definition),
            file_state=definition.file_state,
            invocation=self.invocation,
            restarts=self.restarts,
            main_pid=self.main_pid,
            job=self.job.id if self.job else 0,
            since=self.since,
            exec_status=self.exec_status,
        )

    def set(self, active: ActiveState, sub: str) -> None:
        """Change state, tell the manager."""
        before = self.active
        self.active, self.sub = active, sub
        self.since = self.manager.now_us()
        self.manager.changed(self, before)

    def journal(self, line: str) -> None:
        """Write a line of its journal."""
        self.log.append((self.invocation, line))

    def start(self) -> Step:
        """Begin to start."""
        if self.active is ActiveState.ACTIVE:
            return Step.ALREADY
        if self.definition.load is not LoadState.LOADED:
            return Step.FAILED
        self.invocation = self.manager.new_invocation()
        self.result = "success"
        self.set(ActiveState.ACTIVE, UP_SUB.get(self.suffix, "active"))
        return Step.BEGUN

    def stop(self) -> Step:
        """Begin to stop."""
        if self.active in DOWN:
            return Step.ALREADY
        self.set(ActiveState.INACTIVE, "dead")
        return Step.BEGUN

    def reset_failed(self) -> None:
        """Forget the failure."""
        self.result = "success"
        if self.active is ActiveState.FAILED:
            self.set(ActiveState.INACTIVE, "dead")

    def vanish(self) -> None:
        """The manager is gone: nothing more will happen to this unit."""
