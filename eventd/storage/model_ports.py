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
    """Devices that the kernel has in use although no user was found."""


class Mounts(Protocol):
    """Mount units of the system's manager, made at run time."""

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
        """Make and start the mount unit of `where`; return how its job ended.

        `private`: only root gets to it (what is missing on the way to it is made 0700).

        `before`: units that are stopped before it is. Raises PermanentError(reason="unit-exists") if there is a unit of
        that name already, be it made for a line in fstab(5).
        """
        ...

    async def unmount(self, where: str, *, lazy: bool, timeout: float) -> JobResult:
        """Stop the mount unit of `where`. `lazy`: take it out of the tree though it is in use.

        What is not mounted any more is done. Raises PermanentError(reason="not-ours") if it was not `mount` that made
        the unit.
        """
        ...


class MountPoints(Protocol):
    """Changes of the host's file systems that need root, outside of the daemon's sandbox."""

    async def seal(self, path: str) -> None:
        """Make a mount point (parents 0755), empty, mode 0000 and immutable where the file system knows that.

        One that is there already and was not made here stays as it is.
        Raises PermanentError(reason="mount-point-not-empty" | "unsafe-path" | …).
        """
        ...

    async def folder(self, mount: str, name: str, uid: int, gid: int) -> None:
        """Make the folder `name` on what is mounted at `mount`, for a user; one of theirs is left as it is.

        Raises PermanentError(reason="folder-owner" | "not-mounted" | "unsafe-path" | …).
        """
        ...

    async def unseal(self, path: str) -> bool:
        """Remove the sealed mount point of a volume that left the manifest. Returns whether there was one. Idempotent.

        One that is mounted, or was not sealed here, is left as it is.
        """
        ...

    async def renew(self, path: str) -> None:
        """Make a mount point anew, as it was: what was mounted there is thereby unmounted in every other namespace.

        Raises PermanentError(reason="mounted" | "mount-point-not-empty" | "unsafe-path" | …).
        """
        ...

    async def holders(self, numbers: tuple[str, ...]) -> tuple[Holder, ...]:
        """Return processes with something open on the file system of one of these device numbers: a few at most."""
        ...

    async def keeping(self, nodes: tuple[str, ...], numbers: tuple[str, ...]) -> Keeping:
        """Return who has a file system mounted or open, anywhere."""
        ...


class Moves(Protocol):
    """Copying a whole file system to another, by units that go on without the daemon."""

    async def prepare(self, source: str, target: str, name: str) -> tuple[int, int]:
        """Make the place of the copy of volume `name` on what is mounted at `target`; return bytes and inodes in use.

        Raises PermanentError(reason="no-space" | "target-exists" | "no-rsync" | "not-mounted" | "unsafe-path").
        """
        ...

    async def start(self, job: Job, name: str, source: str, target: str) -> None:
        """Start a job's unit, unless it runs already. `source`, `target`: where both are mounted."""
        ...

    async def end(self, job: Job, name: str) -> str:
        """Stop a job's unit if it is there, forget it, and return what it said."""
        ...

    async def settle(self, target: str, name: str) -> None:
        """Give the copy its place for good. Idempotent."""
        ...

    async def delete(self, job: Job, name: str, path: str) -> None:
        """Delete the unfinished copy on `path` (DISCARD), or everything that is on it (FORGET); idempotent.

        Raises TemporaryError(reason="not-deleted") if something is left for the next attempt.
        """
        ...
