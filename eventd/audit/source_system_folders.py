"""The system's unit folders: what stands in them, once for all workloads, kept up to date by the daemon's inotify.

Owns those watches and what the last look found. `eventd.audit.source` says which of it concerns a workload's fact.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio.to_thread

from eventd.audit.adapter_foreign_files import EVERYTHING, Found, scan
from eventd.audit.model_places import Names, system_places
from eventd.platform.folder_watch import FolderWatch

if TYPE_CHECKING:
    from eventd.platform.inotify import Inotify

LOOKS = 8
"""Looks at the same folders in a row, as long as each finds new ones to watch."""
_MOST = 50_000

_log = logging.getLogger(__name__)


class SystemFolders:
    """See the module. `wake` is called when they are to be read again."""

    def __init__(self, inotify: Inotify, quadlet_root: str, wake: Callable[[], None]) -> None:
        self._wake = wake
        self.found = Found()
        self.dirty = True
        """Something changed since they were read."""
        self.places = system_places(quadlet_root)
        self._watches = {
            place.folder: FolderWatch(inotify, place.folder, lambda _path: self.change())
            for place in self.places
        }
        self._reading = asyncio.Lock()

    def invalidate(self) -> None:
        """Have the next `read` scan them."""
        self.dirty = True

    def change(self) -> None:
        """Have them read again, soon."""
        self.invalidate()
        self._wake()

    async def read(self) -> None:
        """Look at the folders, if anything has changed in them since."""
        async with self._reading:
            if not self.dirty:
                return
            self.dirty = False
            try:
                self.found = await self._scan()
            except BaseException:
                self.change()  # the notification will not come again
                raise

    async def _scan(self) -> Found:
        found = self.found
        for _ in range(LOOKS):
            for watch in self._watches.values():
                watch.arm()
            found = await anyio.to_thread.run_sync(scan, self.places, EVERYTHING, None, _MOST)
            new = False
            for folder, watch in self._watches.items():
                new |= watch.cover({each for each in found.folders if each.startswith(f"{folder}/")})
            if not new:
                break
        if found.problem:
            _log.warning("cannot scan the unit folders of the system: %s", found.problem)
        return found

    def concerning(self, names: Names) -> dict[str, tuple[int, ...]]:
        """Return the files of the system's folders that concern one workload."""
        mine = {}
        for path, signature in self.found.files.items():
            place = next(place for place in self.places if path.startswith(f"{place.folder}/"))
            folder, _, name = path.rpartition("/")
            above = folder.rpartition("/")[2]
            if names.drops(place.rank, above) or names.shadows(place.rank, name):
                mine[path] = signature
        return mine
