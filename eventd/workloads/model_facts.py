"""Facts about workloads and their accounts: their kinds, and what their values are."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from eventd.core.facts import FactKind
from eventd.platform.model_facts import FileKind


class WorkloadFact(FactKind):
    """Facts about workloads and their accounts; the comments say what scope, name and value are."""

    MANAGER = "manager"  # name: user; value: ManagerState
    NAMED = "named"  # scope: workload, "" for the host; name: path as it is written; value: NamedState
    STORE = "store"  # name: workload; value: StoreState, absent: not looked at
    FOREIGN = "foreign"  # name: workload; value: Foreign, absent: not looked at
    WORKLOAD = "workload"  # name: workload; value: str, "active", "healthy" (implies active), or how it is
    CONTAINER = "container"  # scope: workload; name: container; value: str, its health as podman says
    RENAME = "rename"  # name: workload; value: RenameState, absent: it is none, or it is done
    DAMAGE = "damage"  # name: workload; value: Damage of its account's podman store, absent: none is known
    DELETION = "deletion"  # name: workload; value: bool, the deletion of its account has begun


class ManagerState(StrEnum):
    """A user's systemd manager, as eventd can use it."""

    DOWN = "down"
    STARTING = "starting"
    UP = "up"
    """Its bus answers and its units have been read."""
    UNREACHABLE = "unreachable"
    """`user@UID.service` is active, but its bus cannot be used."""


@dataclass(frozen=True, slots=True)
class NamedState:
    """What stands at a path that a workload names, as its account sees it: symlinks are followed."""

    path: str
    """With the specifiers resolved."""
    kind: FileKind | None
    """None: nothing, or nothing that the account may get to."""
    digest: str = ""
    """`KEY:HMAC` of a regular file's content, under a key of this host's; empty where there is none."""
    problem: str = ""
    """Why the account cannot get at it; empty if it can, or if there is nothing."""
    executable: bool = False
    """Somebody may run it."""
    noticed: int = field(default=0, compare=False)
    """When it was first seen to be so: microseconds of CLOCK_MONOTONIC, as systemd's time stamps."""


@dataclass(frozen=True, slots=True)
class StoreVolume:
    """A volume in the podman store of an account."""

    name: str
    project: str = ""
    """The compose project that made it, as its label says."""
    volume: str = ""
    """What that calls it."""


@dataclass(frozen=True, slots=True)
class StoreState:
    """The podman store of an account that was handed over, before a workload is started in it."""

    volumes: tuple[StoreVolume, ...] = ()


@dataclass(frozen=True, slots=True)
class Foreign:
    """What stands on the disk under a name that concerns a workload's units, and is not eventd's."""

    paths: tuple[str, ...] = ()
    """Unit files, Quadlet files and drop-ins, sorted."""
    masks: frozenset[str] = frozenset()
    """Those of them that are links to /dev/null, or empty."""
    folders: tuple[str, ...] = ()
    """Where was looked: what is below one of these and not in `paths` is not there."""
    problem: str = ""
    """Why it is not all known, as a clause; empty if it is."""

    def covers(self, path: str) -> bool:
        """Tell whether a path is where was looked."""
        return any(path.startswith(f"{folder}/") for folder in self.folders)


@dataclass(frozen=True, slots=True)
class RenameState:
    """A workload that is another one under a new name, or may be."""

    old: tuple[str, ...]
    """Which one; more than one where it is not known."""
    told: bool = False
    """Its workload.toml says so."""
    problem: str = ""
    """Why that cannot be, as a sentence; empty if it can."""
