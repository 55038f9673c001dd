"""Facts about workloads and their accounts: their kinds and values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from eventd.kernel.model.facts import FactKind
from eventd.platform.model_facts import FileKind


class WorkloadFact(FactKind):
    """Facts about workloads and their accounts. The comments give scope, name and value."""

    MANAGER = "manager"  # name: user; value: ManagerState
    NAMED = "named"  # scope: workload, "" for the host; name: path as it is written; value: NamedState
    WORKLOAD = "workload"  # name: workload; value: str, "active", "healthy" (implies active), or how it is


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
    """The file at a path that a workload names, as its account sees it. Symlinks are followed."""

    path: str
    """The path, with specifiers resolved."""
    kind: FileKind | None
    """None: nothing, or nothing that the account can reach."""
    digest: str = ""
    """`KEY:HMAC` of a regular file's content, with a key of this host; empty if there is none."""
    problem: str = ""
    """Why the account cannot read it; empty if it can, or if there is nothing."""
    executable: bool = False
    """Whether an executable bit is set."""
    noticed: int = field(default=0, compare=False)
    """When this was first observed: microseconds of CLOCK_MONOTONIC, like systemd's timestamps."""
