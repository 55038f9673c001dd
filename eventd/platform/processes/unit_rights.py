"""As whom a command runs in a unit of its own, and what that unit's properties are (org.freedesktop.systemd1(5)).

This and `eventd.platform.processes.unit_process` are the only modules that may name a user for a command.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, TypeAlias

from eventd.platform.model_facts import Account
from eventd.platform.processes import process

Property: TypeAlias = tuple[str, str, Any]
"""Name, D-Bus signature and value of org.freedesktop.systemd1(5)."""
SETUP = range(200, 246)
"""Exit statuses of systemd's own, for a command that it could not start (systemd.exec(5), "Process exit codes")."""
_CAP_SETUID = 7
_ALL: tuple[Property, ...] = (
    ("Type", "s", "exec"),
    ("KillMode", "s", "control-group"),
    ("CollectMode", "s", "inactive-or-failed"),
    ("AddRef", "b", True),
    ("LimitCORE", "t", 0),
    # An exit status is the caller's to judge: no unit of these counts as failed, and with it the host as degraded.
    ("SuccessExitStatus", "(aiai)", [list(range(1, SETUP.start)), []]),
    # What systemd says of its start and end is ours to tell.
    ("LogLevelMax", "i", 4),
)
_IN_SYSTEM: tuple[Property, ...] = (
    ("KillSignal", "i", 9),
    ("NoNewPrivileges", "b", True),
    ("UMask", "u", 0o022),
    ("TasksMax", "t", 64),
    ("MemoryMax", "t", 1 << 30),
)
_IN_MANAGER: tuple[Property, ...] = (
    # No limits but the user's slice's, and set-uid programs: rootless podman needs newuidmap(1), and a moment to let
    # go of its locks.
    ("KillSignal", "i", 15),
    ("TimeoutStopUSec", "t", 3_000_000),
)
_CONFINED: tuple[Property, ...] = (
    ("ProtectHome", "s", "read-only"),
    ("PrivateDevices", "b", True),
    ("ProtectProc", "s", "invisible"),
    ("ProtectControlGroups", "b", True),
    ("ProtectKernelTunables", "b", True),
    ("ProtectKernelModules", "b", True),
    ("ProtectKernelLogs", "b", True),
    ("ProtectClock", "b", True),
    ("ProtectHostname", "b", True),
    ("LockPersonality", "b", True),
    ("MemoryDenyWriteExecute", "b", True),
    ("RestrictRealtime", "b", True),
    ("RestrictNamespaces", "t", 0),
    ("CapabilityBoundingSet", "t", 0),
    ("SystemCallArchitectures", "as", ["native"]),
    ("SystemCallFilter", "(bas)", [True, ["@system-service"]]),
)
_NOBODY: tuple[Property, ...] = (
    *_CONFINED,
    ("DynamicUser", "b", True),
    ("PrivateUsers", "b", True),
    ("InaccessiblePaths", "as", ["-/var/lib/eventd", "-/var/lib/eventd-git", "-/run/eventd", "-/etc/eventd"]),
)
_SECRETS = ["-/var/lib/eventd", "-/etc/eventd", "-/etc/credstore", "-/etc/credstore.encrypted"]
NETWORK = ("AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK")
"""The network, and what name resolution asks: services of the host, and the kernel for addresses."""


@dataclass(frozen=True, slots=True)
class AsUser:
    """With an account's ids, in a unit of the system's."""

    account: Account
    gentle: bool = False
    """At the lowest priority, for the processor and for disks."""


@dataclass(frozen=True, slots=True)
class InManager:
    """In a unit of the user's own manager: what needs the user's session, as podman does.

    That manager is the user's to replace: what it says is believed as much as the command's output is.
    """

    account: Account
    after: tuple[str, ...] = ()
    """Units of that manager that are wanted first."""


@dataclass(frozen=True, slots=True)
class AsNobody:
    """With a uid that is nobody else's, made up by systemd for as long as the unit runs (`DynamicUser=`)."""

    families: tuple[str, ...] = ()
    """Families of addresses that sockets may be made for, like "AF_INET"."""


@dataclass(frozen=True, slots=True)
class AsService:
    """As an account of eventd's own that asks the network, and writes below one folder."""

    account: process.ServiceAccount
    writes: str
    environment_file: str
    """Variables that nobody else may see: root's file, read when the unit starts (systemd.exec(5))."""
    file_limit: int
    """Largest file that it may write, in bytes."""


@dataclass(frozen=True, slots=True)
class AsRoot:
    """As root with the one right to take another uid: the command takes those that it is told to, each for a moment."""


RunAs: TypeAlias = AsUser | InManager | AsNobody | AsService | AsRoot


def is_ours(who: RunAs) -> bool:
    """Tell whether the rights asked for are those that this process has, and all that it has."""
    match who:
        case AsUser(account):
            return account.uid == os.geteuid()
        case AsService(account):
            return account.uid == os.geteuid()
        case InManager():
            return False
        case AsNobody() | AsRoot():
            return os.geteuid() != 0


def rights(who: RunAs) -> list[Property]:
    """Return the properties that give a command its rights, and take all others."""
    where = _IN_MANAGER if isinstance(who, InManager) else _IN_SYSTEM
    return [*_ALL, *where, *_own(who)]


def _own(who: RunAs) -> list[Property]:
    match who:
        case AsUser(account, gentle):
            found: list[Property] = [("User", "s", str(account.uid)), ("Group", "s", str(account.gid))]
            if gentle:
                found += [("Nice", "i", 19), ("IOSchedulingClass", "i", 3)]
            return found
        case InManager(_, after):
            return [("Wants", "as", list(after)), ("After", "as", list(after))] if after else []
        case AsNobody(families):
            return [*_NOBODY, ("RestrictAddressFamilies", "(bas)", [True, list(families)])]
        case AsService(account, writes, environment_file, file_limit):
            return [
                *_CONFINED,
                ("User", "s", str(account.uid)),
                ("Group", "s", str(account.gid)),
                ("SupplementaryGroups", "as", [str(gid) for gid in account.groups]),
                ("ProtectSystem", "s", "strict"),
                ("ReadWritePaths", "as", [writes]),
                ("InaccessiblePaths", "as", _SECRETS),
                ("PrivateTmp", "b", True),
                ("RestrictAddressFamilies", "(bas)", [True, list(NETWORK)]),
                ("EnvironmentFiles", "a(sb)", [[environment_file, False]]),
                ("LimitFSIZE", "t", file_limit),
            ]
        case AsRoot():
            return [("CapabilityBoundingSet", "t", 1 << _CAP_SETUID)]
