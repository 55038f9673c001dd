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
    """The system's manager."""
    USER_MANAGER = "user-manager"
    """A workload's own manager, `user@UID.service`."""
    LOGIND = "logind"
    """logind."""
    UDEV = "udev"
    """udev."""
    INOTIFY = "inotify"
    """The kernel, of files."""
    WEBHOOK = "webhook"
    """The webhook listener: a forge said so."""
    GIT = "git"
    """The fetch."""
    REQUEST = "request"
    """An operator, through the socket."""
    DAEMON = "daemon"
    """eventd itself: what it did, or is due to do."""
    KERNEL = "kernel"
    """The kernel, of mounts."""
    PODMAN = "podman"
    """Podman's event stream of a workload."""
    PROBE = "probe"
    """A probe of a gate or of health."""


class EventKind(StrEnum):
    """What was seen. `GAP` means that the source may have missed something and re-reads all its facts."""

    JOB_NEW = "job-new"
    """A manager has queued a job; the subject is the unit. Attribute `job`: its number."""
    JOB_REMOVED = "job-removed"
    """A job has ended. Attributes `job`, `result` (org.freedesktop.systemd1(5), JobRemoved)."""
    UNIT_NEW = "unit-new"
    """A manager has loaded a unit."""
    UNIT_REMOVED = "unit-removed"
    """A manager has forgotten a unit."""
    UNIT_CHANGED = "unit-changed"
    """A unit has changed. Attributes `active`, `sub`; of `user@UID.service` of a workload: `manager`."""
    RELOADING = "reloading"
    """A manager has begun to reload its units."""
    RELOADED = "reloaded"
    """A manager has reloaded its units, and they have been read again."""
    SESSION_NEW = "session-new"
    """Somebody has logged in."""
    SESSION_REMOVED = "session-removed"
    """Somebody has logged out."""
    USER_NEW = "user-new"
    """logind has begun to track a user; the subject is the uid."""
    USER_REMOVED = "user-removed"
    """logind has ended to track a user."""
    SHUTDOWN = "shutdown"
    """A shutdown was announced or called off (PrepareForShutdown): no new run begins."""
    FILE_CHANGED = "file-changed"
    """A file in a folder of eventd, or one that a gate or a workload names, was written, replaced or deleted."""
    FOREIGN = "foreign-files"
    """Something of others stands where a workload's manager would load it. Attributes `files`, `problem`."""
    PROVENANCE = "provenance"
    """What an audit finds wrong with a workload's units has changed. Attributes `findings`, `codes`, `message`."""
    ACCOUNT_CHANGED = "account-changed"
    """An account of a workload was made, changed or deleted."""
    LEFT_BEHIND = "left-behind"
    """An account was deleted, and something that it owned stays. Attributes `uid`, `stays` (paths, each with why)."""
    LINGER_CHANGED = "linger-changed"
    """Lingering was switched on or off for a user."""
    CONFIG_CHANGED = "config-changed"
    """The configuration or a transform of the host has changed."""
    DEVICE = "device"
    """A filesystem came or went; the subject is its UUID. Attributes `action`, `node`, `attached`."""
    MOUNT = "mount"
    """A file system was mounted or unmounted. Attributes `mounted`, `source`."""
    HEALTH = "health"
    """Podman told a container's health, or that the container is gone."""
    PROBED = "probed"
    """A TCP, DNS or HTTP probe was answered otherwise than before."""
    PUSHED = "pushed"
    """The branch has, or may have, a new head. Attributes of a webhook: `branch`, `commit`, `delivery`."""
    REVISION = "revision"
    """The commit that is wanted. Attribute `previous`."""
    FETCH_FAILED = "fetch-failed"
    """The remote could not be asked, or was refused. Attributes `message`, `attempt`."""
    SYNC = "sync"
    """An operator asks for a run. Attributes `fetch`, `wait`."""
    ROLLBACK = "rollback"
    """Somebody asks for an earlier revision of a workload. Attributes `by`, `to`."""
    UPDATE = "update"
    """Somebody asks for newer images. Attribute `by`."""
    EJECT = "eject"
    """An operator puts a volume away."""
    ATTACH = "attach"
    """An operator takes a volume back."""
    DECOMMISSION = "decommission"
    """An operator takes a volume out of service."""
    MIGRATE = "migrate"
    """An operator has a volume moved to another disk, ends that, or wants the old data to be deleted."""
    SUSPENDED = "suspended"
    """An operator has a workload, or the host, left as it is. Attributes `by`, `why`."""
    RESUMED = "resumed"
    """An operator ended a suspension or a rollback. Attribute `by`."""
    ROLLED_BACK = "rolled-back"
    """Another revision is in force. Attributes `from`, `to` (commits), `automatic`, `reason`."""
    ADOPTED = "adopted"
    """Root has handed an account over, or taken it back. Attributes `uid`, `by` (who asked), `given`."""
    RESTART = "restart"
    """Somebody asks for a restart of a workload, which the workload may itself. Attributes `wait`, `uid`."""
    LOCKED = "locked"
    """Another process holds the lock of this host's runs, and one waits. Attributes `pid`, `command`."""
    BOOT = "boot"
    """The daemon has started. Attribute `interrupted`: steps that its last life left open."""
    RECOVERED = "recovered"
    """A step that the daemon's last life left open is settled. Attributes `run`, `verb`, `target`, `ended`, `note`."""
    RETRY = "retry"
    """The pause after a failure is over."""
    IMAGE_CHANGED = "image-changed"
    """An image that a workload names is gone from its account's store, or there again. Attribute `there`."""
    STORE_DAMAGED = "store-damaged"
    """An account's podman cannot read its store, or can again. Attributes `damaged`, `path`."""
    CRASHED = "crashed"
    """A unit of a workload ended by itself. Attributes `unit`, `result`, `status`, `times` (within ten minutes)."""
    UNHEALTHY = "unhealthy"
    """A workload that was verified is not what it expects any more. Attributes `message`, `times`."""
    AT_RISK = "at-risk"
    """A workload runs, and would not start again. Attribute `message`."""
    HEALED = "healed"
    """It is again what it expects."""
    WORKLOAD_CHANGED = "workload-changed"
    """A workload became active, healthy, or neither: what other workloads' gates may wait for."""
    APPROVAL_CHANGED = "approval-changed"
    """Something became of a request for a signature; the subject is its id. Attributes `state`, `signer`."""
    APPROVAL_REFUSED = "approval-refused"
    """A signature was refused. Attributes `reason`, `origin`."""
    VOLUME_CHANGED = "volume-changed"
    """A volume can be used now, or not any more. Attribute `attached`. Of a workload: `stopped`, how many of its units
    wait for a volume to be started again."""
    CONNECTED = "connected"
    """A workload's manager is reached."""
    SOURCE = "source"
    """A source has read all of its facts, for the first time or after a gap; the subject is its name."""
    GAP = "gap"
    """The source may have missed something and reads all its facts again. Attributes `reason`, and `error` while it
    cannot."""
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
