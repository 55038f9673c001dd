"""Describes the processes that use a file system: their unit and owner, and how to end the use.

Pure. Processes are not killed: a unit is stopped or restarted through its manager, and a person leaves. A helper of
podman (aardvark-dns, conmon, pasta) is attributed to the workload that it works for.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

_MANAGER = re.compile(r"/user@([0-9]{1,10})\.service/")
_SESSION = re.compile(r"/user-([0-9]{1,10})\.slice/session-([A-Za-z0-9]{1,16})\.scope")
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]{1,255}\.(?:service|scope|socket|mount)")


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that uses a file system."""

    pid: int
    command: str
    """Its name (proc_pid_comm(5)), never its arguments: they may contain secrets."""
    how: str
    """How it uses it: `cwd`, `open file`, `mapped file`, `root`, or `mount namespace`."""
    uid: int = -1
    """Its uid; -1: not known."""
    cgroup: str = ""
    """Its cgroup (cgroups(7)), which names the unit."""

    def __str__(self) -> str:
        """`bash (pid 12, cwd)`."""
        return f"{self.command} (pid {self.pid}, {self.how})"

    @property
    def manager(self) -> int | None:
        """The uid of the user manager that runs it; None if none does."""
        found = _MANAGER.search(self.cgroup)
        return int(found[1]) if found else None

    @property
    def session(self) -> str:
        """The login session that it belongs to; empty if there is none."""
        found = _SESSION.search(self.cgroup)
        return found[2] if found else ""

    @property
    def unit(self) -> str:
        """Its unit, in the user's manager if one runs it; empty if there is none."""
        found = _MANAGER.search(self.cgroup)
        below = self.cgroup[found.end() :] if found else self.cgroup
        return next((part for part in below.split("/") if _UNIT.fullmatch(part)), "")


class Owners(Protocol):
    """The accounts and units that a process can belong to."""

    def account(self, uid: int) -> str:
        """Return the name of the workload's account with this uid; empty if there is none."""
        ...

    def units(self, account: str) -> Collection[str]:
        """Return the names of the units of the workloads of an account."""
        ...


def whose(holder: Holder, owners: Owners) -> str:
    """Describe a process: `aardvark-dns (pid 12, mount namespace) of web`."""
    name = owners.account(holder.manager) if holder.manager is not None else ""
    unit = holder.unit
    if name and unit in owners.units(name):
        return f"{holder} of {unit} of {name}"
    if name:
        return f"{holder} of {name}"
    if holder.session:
        return f"{holder} in session {holder.session}"
    if unit and holder.manager is None:
        return f"{holder} of {unit}"
    return f"{holder} of uid {holder.uid}" if holder.uid > 0 else str(holder)


def remedy(holder: Holder, path: str, owners: Owners, users: Collection[str]) -> str:
    """Return how to end the use. `users`: workloads that use the volume, and are stopped anyway."""
    unit = holder.unit
    if holder.manager is not None:
        name = owners.account(holder.manager)
        if name and name not in users and (unit in owners.units(name) or not unit.endswith(".service")):
            return f"eventctl restart {name}"
        if unit and not unit.startswith("init."):
            who = name or f'"$(id -nu {holder.manager})"'
            return f"systemctl --user -M {who}@ stop {unit}"
        return f"systemctl stop user@{holder.manager}.service"
    if holder.session:
        return f"have it leave {path}, or: loginctl terminate-session {holder.session}"
    if unit.endswith(".service"):
        return f"systemctl stop {unit}"
    return f"have it leave {path} (process {holder.pid})"


def some(holders: Collection[Holder], owners: Owners) -> str:
    """Describe the first few."""
    shown = ", ".join(whose(each, owners) for each in tuple(holders)[:3])
    return shown + (f" and {len(holders) - 3} more" if len(holders) > 3 else "")
