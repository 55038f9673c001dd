"""The atoms of predicates: each names one fact and what it has to be.

Owns which fact an atom is about, when it holds, and how that is said in a sentence. `eventd.gates.model_predicates`
puts atoms together, `eventd.gates.model_predicate_read` makes them of text. Facts of kind PROBE are set by a prober
that is told by `Probe` what to ask; the rest comes from sources.
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
"""What may follow `unit:NAME=`. `active` is met while it reloads, too."""


class ProbeKind(StrEnum):
    """How to ask."""

    TCP = "tcp"
    DNS = "dns"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class Probe:
    """What to ask where no event tells. The fact is `key`; its value: was the answer a good one."""

    kind: ProbeKind
    text: str
    """The atom's text, which is the name of the fact."""
    host: str
    """A name or an address, IPv6 without brackets."""
    port: int = 0
    """For TCP and HTTP."""
    url: str = ""
    """For HTTP: what to GET. Redirects are not followed: their status is the answer."""
    status: int | None = None
    """For HTTP: the status that is wanted; None: any from 200 to 399."""

    @property
    def key(self) -> FactKey:
        """The fact to set."""
        return FactKey(GateFact.PROBE, self.text)

    def accepts(self, status: int) -> bool:
        """Tell whether an HTTP status is a good answer."""
        return 200 <= status < 400 if self.status is None else status == self.status


class _Leaf(ABC):
    """What all atoms share."""

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
        """Say how things are."""

    def keys(self) -> frozenset[FactKey]:
        """Return the facts it mentions."""
        return frozenset({self.key})

    def holds(self, facts: Facts) -> bool:
        """Tell whether it is known to hold."""
        return self.value(facts) is True

    @property
    def probe(self) -> Probe | None:
        """What a prober has to ask for it, None if a source tells."""
        return None


@dataclass(frozen=True, slots=True)
class UnitIs(_Leaf):
    """A unit of the system's manager, or of a workload's, is in a state."""

    text: str
    name: str
    state: str = "active"
    workload: str = ""
    """Empty: the system's manager."""

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
        """Tell whether nothing on this host is about to make it so: it could be started, and no job is queued."""
        unit = facts.get(self.key)
        if not isinstance(unit, UnitState) or self.state != "active":
            return False
        return unit.load is LoadState.LOADED and unit.active is ActiveState.INACTIVE and not unit.job

    def sentence(self, facts: Facts) -> str:
        """Say how things are."""
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
    """Another workload is active, or healthy (verified, by its own `[health] expect`)."""

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
        """Say how things are."""
        now = facts.get(self.key)
        if not isinstance(now, str):
            return f"workload {self.name} is not up yet"
        wanted = "" if self.value(facts) else f", not {self.state}"
        return f"workload {self.name} is {now}{wanted}"


@dataclass(frozen=True, slots=True)
class ContainerHealthy(_Leaf):
    """A container of a workload is healthy, by podman's event, or by `Notify=healthy` of its unit."""

    text: str
    name: str
    """As podman calls it."""
    workload: str
    unit: str = ""
    """Its unit, if that has `Notify=healthy`: then its start job ends only when the health check passes."""
    implied: bool = False
    """Nobody wrote it: eventd expects it of each container, and not knowing is not failing."""
    checked: bool = True
    """Its file has a check. Else the image may bring one, which is not waited for: only `unhealthy` counts."""

    @property
    def key(self) -> FactKey:
        """The fact of podman's event, which says more than the unit."""
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
            return False  # whatever was heard last of a container that is gone by now
        health = facts.get(self.key)
        if isinstance(health, str):
            return health == "healthy" or not (self.checked or health == "unhealthy")
        return True if isinstance(unit, UnitState) or self.implied else None

    def is_starting(self, facts: Facts) -> bool:
        """Tell whether its check has not come to a result yet: neither healthy nor unhealthy."""
        return facts.get(self.key) == "starting"

    def sentence(self, facts: Facts) -> str:
        """Say how things are."""
        subject = f"container {self.name}" + (f" of {self.workload}" if self.workload else "")
        match self.value(facts):
            case None:
                return f"{subject} has not told its health"
            case True:
                return f"{subject} is healthy"
            case False:
                health = facts.get(self.key)
                return f"{subject} is {health if health and health != 'healthy' else 'not healthy'}"


@dataclass(frozen=True, slots=True)
class ManagerUp(_Leaf):
    """A user's systemd manager is up, and eventd can speak with it."""

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
        """Say how things are."""
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
    """A mount, volume, device or file is there. Its source knows all that are: no fact means "no"."""

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
        """Say how things are."""
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
        """Say how things are."""
        return f"{self.user} is {'' if self.value(facts) else 'not '}logged in"


@dataclass(frozen=True, slots=True)
class Answers(_Leaf):
    """Something over the network answers. No event tells that: it is probed while somebody waits for it."""

    text: str
    asked: Probe

    @property
    def probe(self) -> Probe:
        """What to ask."""
        return self.asked

    @property
    def key(self) -> FactKey:
        """The fact it is about."""
        return self.asked.key

    def value(self, facts: Facts) -> bool | None:
        """Return whether it holds, None if it was not asked yet."""
        now = facts.get(self.key)
        return now if isinstance(now, bool) else None

    def sentence(self, facts: Facts) -> str:
        """Say how things are."""
        value = self.value(facts)
        match self.asked.kind:
            case ProbeKind.TCP:
                does, does_not = f"{self.text} accepts connections", f"{self.text} accepts no connection"
            case ProbeKind.DNS:
                does, does_not = f"{self.asked.host} resolves", f"{self.asked.host} does not resolve"
            case _:
                how = f" with {self.asked.status}" if self.asked.status else ""
                does, does_not = f"{self.asked.url} answers{how}", f"{self.asked.url} does not answer{how}"
        if value is None:
            return f"{self.text} has not been asked"
        return does if value else does_not


Atom: TypeAlias = UnitIs | WorkloadIs | ContainerHealthy | ManagerUp | Present | SessionOf | Answers
