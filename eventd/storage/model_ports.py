"""The ports of storage: what the controller and the handlers need from the host for volumes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from eventd.platform.systemd.ports import JobResult
from eventd.storage.model_holders import Holder
from eventd.storage.plan_migration import Job


@dataclass(frozen=True, slots=True)
class Keeping:
    """What still uses an unmounted file system."""

    holders: tuple[Holder, ...] = ()
    claimed: tuple[str, ...] = ()
    """Devices that the kernel reports as in use although no user was found."""


class Mounts(Protocol):
    """Transient mount units of the system's manager."""

    async def mount(
        self,
        what: str,
        where: str,
        options: tuple[str, ...],
        *,
        description: str,
        before: tuple[str, ...],
        timeout: float,
        private: bool = False,
    ) -> JobResult:
        """Create and start the mount unit of `where`. Return the result of its job.

        `private`: only root can reach it (missing parent folders are created with mode 0700). `before`: units that stop
        before it is unmounted. Raises PermanentError(reason="unit-exists") if a unit of that name exists already, for
        instance from a line in fstab(5).
        """
        ...

    async def unmount(self, where: str, *, lazy: bool, timeout: float) -> JobResult:
        """Stop the mount unit of `where`. `lazy`: unmount even if it is in use (MNT_DETACH).

        Succeeds if nothing is mounted there. Raises PermanentError(reason="not-ours") if `mount` did not create the
        unit.
        """
        ...


class MountPoints(Protocol):
    """Changes to the host's file systems that need root, outside of the daemon's sandbox."""

    async def seal(self, path: str) -> None:
        """Create a mount point (parents 0755): empty, mode 0000, and immutable if the file system supports that.

        An existing folder that was not created here is left as it is.
        Raises PermanentError(reason="mount-point-not-empty" | "unsafe-path" | …).
        """
        ...

    async def folder(self, mount: str, name: str, uid: int, gid: int) -> None:
        """Create the folder `name` below the mount point `mount`, owned by a user. An existing one of theirs is kept.

        Raises PermanentError(reason="folder-owner" | "not-mounted" | "unsafe-path" | …).
        """
        ...

    async def unseal(self, path: str) -> bool:
        """Remove the sealed mount point of a volume that left the manifest. Return whether there was one. Idempotent.

        A mount point that is in use, or was not sealed here, is left as it is.
        """
        ...

    async def renew(self, path: str) -> None:
        """Replace a mount point by a new folder. This unmounts what is mounted there in every other namespace.

        Raises PermanentError(reason="mounted" | "mount-point-not-empty" | "unsafe-path" | …).
        """
        ...

    async def holders(self, numbers: tuple[str, ...]) -> tuple[Holder, ...]:
        """Return a few processes that have something open on the file systems with these device numbers."""
        ...

    async def keeping(self, nodes: tuple[str, ...], numbers: tuple[str, ...]) -> Keeping:
        """Return what has a file system mounted or open, in any namespace."""
        ...


class Moves(Protocol):
    """Copies a whole file system to another one, by units that run without the daemon."""

    async def prepare(self, source: str, target: str, name: str) -> tuple[int, int]:
        """Create the folder of the copy of volume `name` below `target`. Return the bytes and inodes in use.

        Raises PermanentError(reason="no-space" | "target-exists" | "no-rsync" | "not-mounted" | "unsafe-path").
        """
        ...

    async def start(self, job: Job, name: str, source: str, target: str) -> None:
        """Start the unit of a job, unless it runs already. `source`, `target`: the mount points."""
        ...

    async def end(self, job: Job, name: str) -> str:
        """Stop and forget the unit of a job, if it exists. Return its output."""
        ...

    async def settle(self, target: str, name: str) -> None:
        """Move the copy into its final place. Idempotent."""
        ...

    async def delete(self, job: Job, name: str, path: str) -> None:
        """Delete the unfinished copy on `path` (DISCARD), or everything on it (FORGET). Idempotent.

        Raises TemporaryError(reason="not-deleted") if something is left for the next attempt.
        """
        ...
