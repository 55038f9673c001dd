"""Events: immutable records that say where to look again, and never what to decide.

Sources make them, the dispatcher numbers them, keeps the latest for `eventctl events`, and folds the
facts that come with them. Duplicates and reordering are harmless, since decisions are taken on facts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from eventd.core.facts import FactKey, FactValue

Attribute = str | int | float | bool
NO_ATTRIBUTES: Mapping[str, Attribute] = MappingProxyType({})


class Origin(StrEnum):
    """Who saw it."""

    SYSTEMD = "systemd"
    USER_MANAGER = "user-manager"
    LOGIND = "logind"
    UDEV = "udev"
    INOTIFY = "inotify"
    WEBHOOK = "webhook"
    GIT = "git"
    REQUEST = "request"
    DAEMON = "daemon"
    KERNEL = "kernel"
    PODMAN = "podman"
    PROBE = "probe"


class EventKind(StrEnum):
    """What was seen. `GAP` means that the source may have missed something and re-reads all its facts."""

    JOB_NEW = "job-new"
    JOB_REMOVED = "job-removed"
    UNIT_NEW = "unit-new"
    UNIT_REMOVED = "unit-removed"
    UNIT_CHANGED = "unit-changed"
    RELOADING = "reloading"
    RELOADED = "reloaded"
    SESSION_NEW = "session-new"
    SESSION_REMOVED = "session-removed"
    USER_NEW = "user-new"
    USER_REMOVED = "user-removed"
    SHUTDOWN = "shutdown"
    FILE_CHANGED = "file-changed"
    ACCOUNT_CHANGED = "account-changed"
    LINGER_CHANGED = "linger-changed"
    CONFIG_CHANGED = "config-changed"
    DEVICE = "device"
    MOUNT = "mount"
    HEALTH = "health"
    """Podman told a container's health, or that the container is gone."""
    PROBED = "probed"
    """A TCP, DNS or HTTP probe was answered otherwise than before."""
    PUSHED = "pushed"
    REVISION = "revision"
    FETCH_FAILED = "fetch-failed"
    SYNC = "sync"
    BOOT = "boot"
    RETRY = "retry"
    WORKLOAD_CHANGED = "workload-changed"
    """A workload became active, healthy, or neither: what other workloads' gates may wait for."""
    CONNECTED = "connected"
    GAP = "gap"
    READ = "read"
    """Facts read afresh after (re)subscribing."""


@dataclass(frozen=True, slots=True)
class Event:
    """One record."""

    sequence: int
    """Counted from 1 within one life of the daemon."""
    origin: Origin
    kind: EventKind
    subject: str
    """A unit name, user name, path, repository, …: whatever `kind` is about."""
    monotonic: float
    """Seconds on the event loop's clock."""
    wall: float
    """Seconds since the epoch, for people."""
    scope: str = ""
    """The workload (user) whose manager said it; empty for the system."""
    attributes: Mapping[str, Attribute] = field(default_factory=lambda: NO_ATTRIBUTES)


class Emit(Protocol):
    """How a source hands on what it saw. Synchronous: called from the loop's thread, never blocks."""

    def __call__(
        self,
        origin: Origin,
        kind: EventKind,
        subject: str,
        *,
        scope: str = "",
        attributes: Mapping[str, Attribute] = NO_ATTRIBUTES,
        facts: Iterable[tuple[FactKey, FactValue]] = (),
    ) -> object:
        """Number the event, fold `facts` (None as a value: the fact is gone), wake who watches them."""
        ...
