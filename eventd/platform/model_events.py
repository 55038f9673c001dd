"""Events about units, managers, sessions, accounts and files: their kinds and origins."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind, Origin


class PlatformOrigin(Origin):
    """Origins of events about units, managers, sessions, accounts and files."""

    SYSTEMD = "systemd"
    """The system manager."""
    USER_MANAGER = "user-manager"
    """A workload's own manager, `user@UID.service`."""
    LOGIND = "logind"
    """logind."""
    INOTIFY = "inotify"
    """inotify, for files."""


class PlatformEvent(EventKind):
    """Events about units, managers, sessions, accounts and files."""

    JOB_NEW = "job-new"
    """A manager has queued a job; the subject is the unit. Attribute `job`: its number."""
    JOB_REMOVED = "job-removed"
    """A job has ended. Attributes `job`, `result` (org.freedesktop.systemd1(5), JobRemoved)."""
    UNIT_REMOVED = "unit-removed"
    """A manager has unloaded a unit."""
    UNIT_CHANGED = "unit-changed"
    """A unit has changed. Attributes `active`, `sub`; for a workload's `user@UID.service`: `manager`."""
    RELOADING = "reloading"
    """A manager has begun to reload its units."""
    RELOADED = "reloaded"
    """A manager has reloaded its units, and they have been read again."""
    SESSION_NEW = "session-new"
    """Somebody has logged in."""
    SESSION_REMOVED = "session-removed"
    """Somebody has logged out."""
    USER_NEW = "user-new"
    """logind has begun tracking a user; the subject is the uid."""
    USER_REMOVED = "user-removed"
    """logind has stopped tracking a user."""
    SHUTDOWN = "shutdown"
    """A shutdown was announced or cancelled (PrepareForShutdown). While one is announced, no run begins."""
    FILE_CHANGED = "file-changed"
    """A file in a folder of eventd, or one that a gate or a workload names, was written, replaced or deleted.
    Attributes, for a named file: `there`, and `problem` if it cannot be read."""
    LINGER_CHANGED = "linger-changed"
    """Lingering was switched on or off for a user."""
    ACCOUNT_CHANGED = "account-changed"
    """An account of a workload was created, changed or deleted."""
