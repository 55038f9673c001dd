"""The atoms of predicates: each is a condition on one fact.

Owns which fact an atom is about, when it holds, and the sentence that describes it. `eventd.gates.model_predicates`
combines atoms, `eventd.gates.model_predicate_read` parses them. Facts of kind PROBE are set by the prober, which a
`Probe` tells what to ask; all others come from sources.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from eventd.gates.model_facts import GateFact
from eventd.health.model_facts import HealthFact
from eventd.kernel.model.facts import FactKey, FactKind, Facts
from eventd.mounts.model_facts import DeviceState, MountFact
from eventd.platform.model_facts import ActiveState, LoadState, PlatformFact, UnitState
from eventd.storage.model_facts import StorageFact
from eventd.workloads.model_facts import ManagerState, WorkloadFact

UNIT_STATES = ("active", "inactive", "failed", "activating", "deactivating")
"""What may follow `unit:NAME=`. `active` also holds while the unit reloads."""


class ProbeKind(StrEnum):
    """The protocol of a probe."""

    TCP = "tcp"
    DNS = "dns"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class Probe:
    """A question for the prober, about what no event reports. It sets the fact `key` to whether the answer is good."""

    kind: ProbeKind
    text: str
    """The atom's text, which is the name of the fact."""
    host: str
    """A name or an address, IPv6 without brackets."""
    port: int = 0
    """For TCP and HTTP."""
    url: str = ""
    """For HTTP: the URL to GET. Redirects are not followed: their status is the answer."""
    status: int | None = None
    """For HTTP: the expected status; None: any from 200 to 399."""

    @property
    def key(self) -> FactKey:
        """The fact to set."""
        return FactKey(GateFact.PROBE, self.text)

    def accepts(self, status: int) -> bool:
        """Return whether an HTTP status is a good answer."""
        return 200 <= status < 400 if self.status is None else status == self.status


class _Leaf(ABC):
    """The base of all atoms."""

    __slots__ = ()

    @property
    @abstractmethod
    def key(self) -> FactKey:
        """The fact it is about."""

    @abstractmethod
    def value(self, facts: Facts) -> bool | None:
        """Return whether it holds, None if that is not known."""

    @abstractmethod
    def sentence(self, facts: Facts) -> str:
        """Describe the current state."""

    def keys(self) -> frozenset[FactKey]:
        """Return the facts it mentions."""
        return frozenset({self.key})

    def holds(self, facts: Facts) -> bool:
        """Return whether it is known to hold."""
        return self.value(facts) is True

    @property
    def probe(self) -> Probe | None:
        """The probe that it needs, None if a source reports the fact."""
        return None


@dataclass(frozen=True, slots=True)
class UnitIs(_Leaf):
    """A unit of the system manager, or of a workload's user manager, is in a state."""

    text: str
    name: str
    state: str = "active"
    workload: str = ""
    """Empty: the system manager."""

    @property
    def key(self) -> FactKey:
        """The fact it is about."""
        return FactKey(PlatformFact.UNIT, self.name, self.workload)

    def value(self, facts: Facts) -> bool | None:
        """Return whether it holds, None if that is not known."""
        unit = facts.get(self.key)
        if not isinstance(unit, UnitState):
            return None
        return unit.up if self.state == "active" else unit.active == self.state

    def is_left_alone(self, facts: Facts) -> bool:
        """Return whether the unit could be started and no job for it is queued: nothing is about to make this hold."""
        unit = facts.get(self.key)
        if not isinstance(unit, UnitState) or self.state != "active":
            return False
        return unit.load is LoadState.LOADED and unit.active is ActiveState.INACTIVE and not unit.job

    def sentence(self, facts: Facts) -> str:
        """Describe the current state."""
        subject = f"unit {self.name}" + (f" of {self.workload}" if self.workload else "")
        unit = facts.get(self.key)
        if not isinstance(unit, UnitState):
            return f"{subject} is not loaded"
        if unit.load in (LoadState.NOT_FOUND, LoadState.MASKED) and not unit.up:
            return f"{subject} is {'not installed' if unit.load is LoadState.NOT_FOUND else 'masked'}"
        wanted = "" if self.value(facts) or self.state == "active" else f", not {self.state}"
        return f"{subject} is {unit.active}{wanted}"


@dataclass(frozen=True, slots=True)
class WorkloadIs(_Leaf):
    """Another workload is active, or healthy (verified by its own `[health] expect`)."""

    text: str
    name: str
    state: str

    @property
    def key(self) -> FactKey:
        """The fact it is about."""
        return FactKey(WorkloadFact.WORKLOAD, self.name)

    def value(self, facts: Facts) -> bool | None:
        """Return whether it holds, None if that is not known."""
        now = facts.get(self.key)
        if not isinstance(now, str):
            return None
        return now == "healthy" or (now == "active" and self.state == "active")

    def sentence(self, facts: Facts) -> str:
        """Describe the current state."""
        now = facts.get(self.key)
        if not isinstance(now, str):
            return f"workload {self.name} is not up yet"
        wanted = "" if self.value(facts) else f", not {self.state}"
        return f"workload {self.name} is {now}{wanted}"


@dataclass(frozen=True, slots=True)
class ContainerHealthy(_Leaf):
    """A container of a workload is healthy, according to podman's events, or by `Notify=healthy` of its unit."""

    text: str
    name: str
    """Podman's name of it."""
    workload: str
    unit: str = ""
    """Its unit, if that has `Notify=healthy`: the start job of such a unit ends when the health check passes."""
    implied: bool = False
    """eventd expects it of each container without being told; an unknown health is then no failure."""
    checked: bool = True
    """Its file has a check. If not, the image may have one; that is not waited for, and only `unhealthy` counts."""

    @property
    def key(self) -> FactKey:
        """The fact from podman's events, which is more precise than the unit's state."""
        return FactKey(HealthFact.CONTAINER, self.name, self.workload)

    def keys(self) -> frozenset[FactKey]:
        """Return the facts it mentions."""
        keys = {self.key}
        if self.unit:
            keys.add(FactKey(PlatformFact.UNIT, self.unit, self.workload))
        return frozenset(keys)

    def value(self, facts: Facts) -> bool | None:
        """Return whether it holds, None if that is not known."""
        unit = facts.get(FactKey(PlatformFact.UNIT, self.unit, self.workload)) if self.unit else None
        if isinstance(unit, UnitState) and not unit.up:
            return False  # the container is gone: its last health does not count
        health = facts.get(self.key)
        if isinstance(health, str):
            return health == "healthy" or not (self.checked or health == "unhealthy")
        return True if isinstance(unit, UnitState) or self.implied else None

    def is_starting(self, facts: Facts) -> bool:
        """Return whether its check has no result yet: neither healthy nor unhealthy."""
        return facts.get(self.key) == "starting"

    def sentence(self, facts: Facts) -> str:
        """Describe the current state."""
        subject = f"container {self.name}" + (f" of {self.workload}" if self.workload else "")
        match self.value(facts):
            case None:
                return f"{subject} has not reported its health"
            case True:
                return f"{subject} is healthy"
            case False:
                health = facts.get(self.key)
                return f"{subject} is {health if health and health != 'healthy' else 'not healthy'}"


@dataclass(frozen=True, slots=True)
class ManagerUp(_Leaf):
    """A user manager is up, and eventd is connected to it."""

    text: str
    user: str

    @property
    def key(self) -> FactKey:
        """The fact it is about."""
        return FactKey(WorkloadFact.MANAGER, self.user)

    def value(self, facts: Facts) -> bool | None:
        """Return whether it holds, None if that is not known."""
        now = facts.get(self.key)
        return now is ManagerState.UP if isinstance(now, ManagerState) else None

    def sentence(self, facts: Facts) -> str:
        """Describe the current state."""
        now = facts.get(self.key)
        return f"the user manager of {self.user} " + (
            f"is {now}" if isinstance(now, ManagerState) else "is not up yet"
        )


_IS = {
    MountFact.MOUNT: ("mount", "mounted"),
    StorageFact.VOLUME: ("volume", "attached"),
    MountFact.DEVICE: ("device", "attached"),
    PlatformFact.FILE: ("file", "there"),
}


@dataclass(frozen=True, slots=True)
class Present(_Leaf):
    """A mount, volume, device or file is present. Its source knows all of them, so no fact means no."""

    text: str
    kind: FactKind
    name: str

    @property
    def key(self) -> FactKey:
        """The fact it is about."""
        return FactKey(self.kind, self.name)

    def value(self, facts: Facts) -> bool:
        """Return whether it holds."""
        match facts.get(self.key):
            case None | False:
                return False
            case DeviceState() as device:
                return bool(device.nodes)
            case _:
                return True

    def sentence(self, facts: Facts) -> str:
        """Describe the current state."""
        what, there = _IS[self.kind]
        return f"{what} {self.name} is {'' if self.value(facts) else 'not '}{there}"


@dataclass(frozen=True, slots=True)
class SessionOf(_Leaf):
    """A person is logged in as this user."""

    text: str
    user: str

    @property
    def key(self) -> FactKey:
        """The fact it is about."""
        return FactKey(PlatformFact.SESSIONS, self.user)

    def value(self, facts: Facts) -> bool:
        """Return whether it holds."""
        return bool(facts.get(self.key))

    def sentence(self, facts: Facts) -> str:
        """Describe the current state."""
        return f"{self.user} is {'' if self.value(facts) else 'not '}logged in"


@dataclass(frozen=True, slots=True)
class Answers(_Leaf):
    """Something on the network answers. No event reports that: it is probed while something waits for it."""

    text: str
    target: Probe

    @property
    def probe(self) -> Probe:
        """The question for the prober."""
        return self.target

    @property
    def key(self) -> FactKey:
        """The fact it is about."""
        return self.target.key

    def value(self, facts: Facts) -> bool | None:
        """Return whether it holds, None if there is no answer yet."""
        now = facts.get(self.key)
        return now if isinstance(now, bool) else None

    def sentence(self, facts: Facts) -> str:
        """Describe the current state."""
        value = self.value(facts)
        match self.target.kind:
            case ProbeKind.TCP:
                does, does_not = (
                    f"{self.text} accepts connections",
                    f"{self.text} does not accept connections",
                )
            case ProbeKind.DNS:
                does, does_not = f"{self.target.host} resolves", f"{self.target.host} does not resolve"
            case _:
                how = f" with {self.target.status}" if self.target.status else ""
                does, does_not = f"{self.target.url} answers{how}", f"{self.target.url} does not answer{how}"
        if value is None:
            return f"{self.text} has not been probed yet"
        return does if value else does_not


Atom: TypeAlias = UnitIs | WorkloadIs | ContainerHealthy | ManagerUp | Present | SessionOf | Answers
