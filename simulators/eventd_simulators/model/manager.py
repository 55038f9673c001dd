"""A systemd manager, the system's or a user's: loads units, makes jobs, announces what changed.

Owns the loaded units. Which units there could be comes from a `UnitSource` (generators and unit folders),
read at the start and at each daemon-reload, and from nowhere in between: that is what makes
NeedDaemonReload real.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from eventd.platform.model_facts import LoadState, UnitState
from eventd_simulators.model.definition import Definition
from eventd_simulators.model.jobs import Job, JobQueue
from eventd_simulators.model.service import Service
from eventd_simulators.model.signals import (
    Clock,
    Hub,
    Reexecuted,
    Reloading,
    UnitChanged,
    UnitNew,
    UnitRemoved,
)
from eventd_simulators.model.unit import DOWN, Unit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from eventd.platform.model_facts import ActiveState
    from eventd_simulators.model.behaviours import Behaviours

DEFAULT_TARGET = "default.target"


class RefusedError(Exception):
    """The manager makes no job; `name` is the D-Bus error's last part (NoSuchUnit, UnitMasked, …)."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class UnitSource(Protocol):
    """Where units come from."""

    files: Mapping[str, bytes]
    """Content of eventd's folders when they were last read."""

    def read(self) -> Mapping[str, Definition]:
        """Run the generators, read the unit folders."""
        ...

    def instance(self, name: str) -> Definition | None:
        """Return the instance of a template (`user@1000.service`), if there is one."""
        ...

    def outdated(self, definition: Definition) -> bool:
        """Whether the files of a definition have changed since it was read."""
        ...


class Manager:
    """One manager. `boot` starts it, `power_off` ends it without a trace."""

    def __init__(
        self,
        scope: str,
        clock: Clock,
        hub: Hub,
        behaviours: Behaviours,
        source: UnitSource,
        *,
        make_service: Callable[[Manager, Definition], Service] = Service,
        reload_time: float = 0.05,
        boot_id: str = "",
        uid: int = 0,
    ) -> None:
        self.scope = scope
        self.uid = uid
        self.clock = clock
        self.hub = hub
        self.behaviours = behaviours
        self.source = source
        self.jobs = JobQueue(self)
        self.units: dict[str, Unit] = {}
        self.definitions: Mapping[str, Definition] = {}
        self.reload_time = reload_time
        self.reloading = False
        self.alive = True
        self._make_service = make_service
        self._boot_id = boot_id
        self._numbers = 0
        self._dirty: dict[str, Unit] = {}
        self._flushing = False
        self._reloads: list[Callable[[], object]] = []

    # Its life.

    def boot(self) -> None:
        """Read the units and start the default target, whose `Wants=` are what [Install] asked for."""
        self.definitions = self.source.read()
        if DEFAULT_TARGET in self.definitions:
            self.start(DEFAULT_TARGET)

    def power_off(self) -> None:
        """Everything volatile is gone, at once."""
        self.alive = False
        for unit in self.units.values():
            unit.vanish()
        self.jobs.clear()
        self.units.clear()

    def reload(self, done: Callable[[], object] = lambda: None) -> None:
        """daemon-reload: `done` is called after Reloading(false). One at a time: a further one follows."""
        if self.reloading:
            self._reloads.append(done)
            return
        self.reloading = True
        self.hub.send(Reloading(self.scope, active=True))
        # All units are removed and created again: announced, though nothing of them changes.
        for name in self.units:
            self.hub.send(UnitRemoved(self.scope, name))
        self.clock.call_later(self.reload_time, lambda: self._reloaded(done))

    def reexecute(self) -> None:
        """daemon-reexec: like a reload, and the bus name changes hands."""
        self.hub.send(Reexecuted(self.scope))
        self.reload()

    def _reloaded(self, done: Callable[[], object]) -> None:
        if not self.alive:
            return
        loaded = list(self.units.values())
        self.definitions = self.source.read()
        for unit in loaded:
            unit.definition = self.find(unit.name) or replace(
                unit.definition,
                load=LoadState.NOT_FOUND,
                fragment="",
                source="",
                file_state="",
                prints=(),
                # Its ExecStop= is gone with its file: it is stopped by SIGTERM, and podman is not asked.
                type="",
                kill_timeout=0.0,
            )
        for unit in loaded:
            if self._is_kept(unit):
                self.hub.send(UnitNew(self.scope, unit.name))
            else:
                del self.units[unit.name]
        self.reloading = False
        self.hub.send(Reloading(self.scope, active=False))
        self.jobs.schedule()
        done()
        if self._reloads:
            self.reload(self._reloads.pop(0))

    # Calls of clients.

    def find(self, name: str) -> Definition | None:
        """Return the definition of a unit from the unit files when they were last read."""
        return self.definitions.get(name) or self.source.instance(name)

    def load(self, name: str) -> Unit:
        """Return a unit, loaded if it was not (LoadUnit); one without a file is `not-found`."""
        unit = self.units.get(name)
        if unit is None:
            definition = self.find(name) or Definition(name, load=LoadState.NOT_FOUND, type="")
            unit = (
                self._make_service(self, definition) if name.endswith(".service") else Unit(self, definition)
            )
            self.units[name] = unit
            self.hub.send(UnitNew(self.scope, name))
            self._flush_soon()
        return unit

    def peek(self, name: str) -> UnitState:
        """Return what `load` would show, without the traffic of loading and unloading."""
        unit = self.units.get(name)
        if unit is not None:
            return unit.state
        definition = self.find(name)
        if definition is None:
            return UnitState(name)
        return Service(self, definition).state if name.endswith(".service") else Unit(self, definition).state

    def start(self, name: str) -> Job:
        """StartUnit. Raises RefusedError."""
        return self._transaction(name, "start")

    def restart(self, name: str) -> Job:
        """RestartUnit: what requires the unit and runs is restarted with it. Raises RefusedError."""
        return self._transaction(name, "restart")

    def stop(self, name: str) -> Job:
        """StopUnit: what requires the unit is stopped with it. Raises RefusedError."""
        unit = self.units.get(name)
        if unit is None:
            if self.find(name) is None:
                raise RefusedError("NoSuchUnit", f"Unit {name} not loaded.")
            unit = self.load(name)
        job = self.jobs.add("stop", unit)
        for dependent in self._dependents(unit):
            self.jobs.add("stop", dependent)
        return job

    def reset_failed(self, name: str) -> None:
        """ResetFailedUnit. Raises RefusedError."""
        unit = self.units.get(name)
        if unit is None:
            raise RefusedError("NoSuchUnit", f"Unit {name} not loaded.")
        unit.reset_failed()

    def _transaction(self, name: str, kind: str) -> Job:
        anchor = self.load(name)
        self._check(anchor)
        wanted: dict[str, Unit] = {}
        self._collect(anchor, wanted)
        job = self.jobs.add(kind, anchor)
        if kind == "restart":
            for dependent in self._dependents(anchor):
                self.jobs.add("restart", dependent)
        for unit in wanted.values():
            if unit is not anchor and unit.active in DOWN and unit.job is None:
                self.jobs.add("start", unit)
        return job

    def _check(self, unit: Unit) -> None:
        match unit.definition.load:
            case LoadState.NOT_FOUND:
                raise RefusedError("NoSuchUnit", f"Unit {unit.name} not found.")
            case LoadState.MASKED:
                raise RefusedError("UnitMasked", f"Unit {unit.name} is masked.")
            case LoadState.BAD_SETTING | LoadState.ERROR:
                raise RefusedError("BadUnitSetting", f"Unit {unit.name} has a bad unit file setting.")
            case _:
                pass

    def _collect(self, unit: Unit, into: dict[str, Unit]) -> None:
        if unit.name in into:
            return
        into[unit.name] = unit
        for name in unit.definition.pulls_in:
            needed = self.load(name)
            self._check(needed)
            self._collect(needed, into)
        for name in unit.definition.wants:
            wish = self.load(name)
            if wish.definition.load is LoadState.LOADED:
                self._collect(wish, into)

    def _dependents(self, unit: Unit) -> list[Unit]:
        """Units that run and require this one."""
        return [
            other
            for other in self.units.values()
            if unit.name in other.definition.pulls_in and other.active not in DOWN
        ]

    # Calls of units and jobs.

    def changed(self, unit: Unit, before: ActiveState) -> None:
        """A unit changed its state."""
        if not self.alive:
            return
        self.mark(unit)
        planned = unit.job is not None
        self.jobs.notify(unit)
        if unit.active in DOWN and before not in DOWN and not planned:
            for other in self._dependents(unit):
                if unit.name in other.definition.binds_to:
                    self.jobs.add("stop", other)

    def mark(self, unit: Unit) -> None:
        """Send the unit's PropertiesChanged soon: changes in between are sent as one."""
        self._dirty[unit.name] = unit
        self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self.clock.call_later(0, self._flush_all)

    def flush(self, unit: Unit) -> None:
        """Send a unit's pending PropertiesChanged now."""
        if self._dirty.pop(unit.name, None) is not None:
            self.hub.send(UnitChanged(self.scope, unit.name, unit.state))

    def _flush_all(self) -> None:
        self._flushing = False
        if not self.alive:
            return
        for unit in list(self._dirty.values()):
            self.flush(unit)
        for unit in list(self.units.values()):
            if not self._is_kept(unit):
                del self.units[unit.name]
                self.hub.send(UnitRemoved(self.scope, unit.name))

    def _is_kept(self, unit: Unit) -> bool:
        """Whether it stays loaded: it is active, failed, queued or referred to (CollectMode=inactive)."""
        if unit.job is not None or unit.active is not unit.active.INACTIVE:
            return True
        if unit.definition.load is LoadState.NOT_FOUND:
            return False
        return any(
            unit.name in other.definition.wants or unit.name in other.definition.pulls_in
            for other in self.units.values()
            if other is not unit and (other.active not in DOWN or other.job is not None)
        )

    def outdated(self, definition: Definition) -> bool:
        """NeedDaemonReload."""
        return self.source.outdated(definition)

    def now_us(self) -> int:
        """Return the clock in microseconds."""
        return round(self.clock.time() * 1e6)

    def new_invocation(self) -> str:
        """Return a new 128-bit id in hexadecimal, the same in each replay."""
        self._numbers += 1
        return hashlib.sha256(f"{self._boot_id}/{self.scope}/{self._numbers}".encode()).hexdigest()[:32]

    def new_pid(self) -> int:
        """Return a process id."""
        self._numbers += 1
        return 1000 + self._numbers
