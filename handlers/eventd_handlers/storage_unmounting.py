"""Unmounts a volume so that nothing holds its disk: on the host, then in every other mount namespace.

All unmounting goes through here. An unmount on the host alone leaves the copies of the mount in other namespaces (see
`eventd.storage.volume.points`), and with them the file system in use.
"""

from __future__ import annotations

from dataclasses import dataclass

from eventd.kernel import waiting
from eventd.kernel.model.errors import EventdError, TemporaryError
from eventd.kernel.model.facts import FactKey
from eventd.mounts.model_facts import MountFact, MountState
from eventd.storage.controller import VolumeController
from eventd.storage.model_holders import Holder, remedy, some
from eventd.storage.model_ports import MountPoints, Mounts
from eventd.storage.plan_migration import private_mount
from eventd.workloads.controller_transaction import Transaction

MOUNT_TIMEOUT = 60.0
"""Seconds for a mount: a journal of a large disk may have to be replayed."""
SEEN_TIMEOUT = 10.0
"""Seconds until the kernel's mount table, or inotify, reports what was done."""


class InUseError(TemporaryError):
    """The volume is still in use."""


@dataclass(frozen=True, slots=True)
class Unmounting:
    """See the module."""

    controller: VolumeController
    mounts: Mounts
    points: MountPoints

    async def unmount(self, name: str, where: str, tx: Transaction, *, lazy: bool = False) -> None:
        """Unmount a volume and wait until the kernel confirms it. Does nothing if it is not mounted.

        `lazy`: though it is in use, here and everywhere. Raises InUseError(reason="in-use") with who uses it,
        TemporaryError(reason="unmount-failed").
        """
        key = FactKey(MountFact.MOUNT, where)
        state = tx.facts.get(key)
        if not isinstance(state, MountState):
            return
        result = await self.mounts.unmount(where, lazy=lazy, timeout=MOUNT_TIMEOUT)
        if result.done and await waiting.until(
            tx.facts, [key], lambda: key not in tx.facts, timeout=SEEN_TIMEOUT
        ):
            await self._renew(name, where)
            return
        holders = () if lazy else await self.points.holders((state.device,))
        if holders:
            raise InUseError(
                f"{where} is in use by {some(holders, self.controller.owners)}, so it was not unmounted",
                reason="in-use",
                hint=f"{self.remedy(name, holders, where)}; eventd will retry",
                wakes_on=frozenset({key}),
            )
        raise TemporaryError(
            f"{where} was not unmounted: the job ended with {result.result}",
            reason="unmount-failed",
            hint=f"journalctl -b | grep {where}",
            wakes_on=frozenset({key}),
        )

    async def release(
        self, name: str, nodes: tuple[str, ...], numbers: tuple[str, ...], tx: Transaction
    ) -> None:
        """Check with the kernel that nothing holds the unmounted file system.

        Raises InUseError(reason="still-mounted" | "still-claimed").
        """
        found = await self.points.keeping(nodes, numbers)
        if found.holders or found.claimed:
            # The daemon was killed after the unmount, or an older version left it behind.
            await self.clear(name, tx)
            found = await self.points.keeping(nodes, numbers)
        if found.holders:
            raise InUseError(
                f"it is unmounted here, but still in use by {some(found.holders, self.controller.owners)}:"
                " it is not safe to remove yet",
                reason="still-mounted",
                hint=f"{self.remedy(name, found.holders, '')}; eventd will check again",
            )
        if found.claimed:
            raise InUseError(
                f"it is unmounted here, but the kernel still has {' and '.join(found.claimed)} in use,"
                " though no process is found that uses it",
                reason="still-claimed",
                hint="see losetup -l, dmsetup ls --tree and lsns -t mnt for its users; eventd will check again",
            )

    async def clear(self, name: str, tx: Transaction) -> None:
        """Unmount, in every namespace, everything at the paths where the volume may have been mounted."""
        known = [row.volume for row in self.controller.records.values()]
        volumes = (*self.controller.manifest.volumes.values(), *known)
        mine = {each.path for each in volumes if each.name in (name, *self.controller.on(name))}
        for path in (*sorted(mine), private_mount(name)):
            if FactKey(MountFact.MOUNT, path) not in tx.facts:
                await self._renew(name, path)

    async def _renew(self, name: str, path: str) -> None:
        try:
            await self.points.renew(path)
        except EventdError:
            self.controller.sealed.pop(
                name, None
            )  # it may be missing on a full disk: it is checked before use
            raise

    def remedy(self, name: str, holders: tuple[Holder, ...], path: str) -> str:
        """Return what to do about the first holder of a volume."""
        volume = self.controller.manifest.volumes.get(name)
        users = self.controller.users.get(name, frozenset())
        return remedy(holders[0], volume.path if volume is not None else path, self.controller.owners, users)
