"""The rights of a command in a transient unit, as properties of the unit (org.freedesktop.systemd1(5)).

This module and `eventd.platform.processes.unit_process` are the only ones that may name a user for a command.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, TypeAlias

from eventd.platform.model_facts import Account
from eventd.platform.processes import process

Property: TypeAlias = tuple[str, str, Any]
"""Name, D-Bus signature and value of org.freedesktop.systemd1(5)."""
SETUP_FAILURES = range(200, 246)
"""systemd's exit statuses for a command that it could not start (systemd.exec(5), "Process exit codes")."""
_CAP_SETUID = 7
_ALL: tuple[Property, ...] = (
    ("Type", "s", "exec"),
    ("KillMode", "s", "control-group"),
    ("CollectMode", "s", "inactive-or-failed"),
    ("AddRef", "b", True),
    ("LimitCORE", "t", 0),
    # The caller interprets the exit status. No such unit counts as failed, which would make the host degraded.
    ("SuccessExitStatus", "(aiai)", [list(range(1, SETUP_FAILURES.start)), []]),
    # No messages of systemd about its start and end.
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
    # The limits of the user's slice only, and set-uid programs allowed: rootless podman needs newuidmap(1), and a
    # moment to release its locks.
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
"""The network, and what name resolution uses: services of the host, and the kernel's addresses."""


@dataclass(frozen=True, slots=True)
class AsUser:
    """With an account's ids, in a unit of the system manager."""

    account: Account
    gentle: bool = False
    """With the lowest CPU and I/O priority."""


@dataclass(frozen=True, slots=True)
class InManager:
    """In a unit of the user's own manager, for commands that need the user's session, such as podman.

    The user may replace that manager, so its answers are trusted no more than the command's output.
    """

    account: Account
    after: tuple[str, ...] = ()
    """Units of that manager that are started first."""


@dataclass(frozen=True, slots=True)
class AsNobody:
    """With a uid of its own, which systemd allocates while the unit runs (`DynamicUser=`)."""

    families: tuple[str, ...] = ()
    """Allowed address families of sockets, such as "AF_INET"."""


@dataclass(frozen=True, slots=True)
class AsService:
    """As one of eventd's own accounts, with access to the network, and write access to one folder."""

    account: process.ServiceAccount
    writes: str
    environment_file: str
    """A file of root's with secret variables, read when the unit starts (systemd.exec(5))."""
    file_limit: int
    """The largest file that it may write, in bytes."""


@dataclass(frozen=True, slots=True)
class AsRoot:
    """As root with CAP_SETUID only. The command takes the uids in its arguments, one after the other."""


RunAs: TypeAlias = AsUser | InManager | AsNobody | AsService | AsRoot


def is_own_identity(who: RunAs) -> bool:
    """Return whether these are exactly the rights that this process has."""
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
    """Return the properties that give a command these rights and no others."""
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
