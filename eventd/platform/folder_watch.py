"""Watches a path, whether it exists or not; a folder with everything below it.

Owns the inotify subscriptions: one on each folder above the path, for the next name on the way down, and one on the
folder and each folder below it. It reads nothing. It reports which path to read again, and the sources read it
(`eventd.files.source_owned`, `eventd.repository.source_triggers`).

The order is always: subscribe to a folder, then list it. So a file that is made right after its folder is either in the
list or reported. All methods run on the loop's thread; only listing goes to a worker thread.
"""

# ruff: noqa: PTH120  lexical path operations on strings, in a hot path

from __future__ import annotations

import os
from collections.abc import Callable

from asyncinotify import Mask

from eventd.platform.file_state import TEMPORARY_PREFIX
from eventd.platform.inotify import CONTENT, NAMES, SELF, Change, Inotify, Subscription


class FolderWatch:
    """Watches the file or folder at `path`, a folder recursively. It may be missing, be replaced, or be moved.

    `dirty(path)` is called with a path that has to be read again. If that is the watched path itself, the caller calls
    `arm` first. If it is a folder, the caller reads everything below it, and calls `cover` with the folders found there
    until that returns False. `follow`: whether `path` itself may be a symlink to a folder. None below it is followed.
    """

    def __init__(
        self, inotify: Inotify, path: str, dirty: Callable[[str], None], *, follow: bool = False
    ) -> None:
        self.path = os.path.normpath(path)
        self._inotify = inotify
        self._dirty = dirty
        self._follow = follow
        self._above: dict[str, Subscription] = {}
        self._below: dict[str, Subscription] = {}

    def arm(self) -> None:
        """Subscribe, or subscribe again, to all folders above the path, and to the path itself if it is a folder."""
        # From the top down: what appears in a folder after its subscription is reported.
        parent = os.path.dirname(self.path)
        reached = True
        for folder, name in _folders_above(self.path):
            mask = CONTENT & ~SELF if folder == parent else NAMES
            reached = reached and self._renew(
                self._above, folder, mask, self._listen_above(name), follow=True, name=name
            )
            if not reached:
                self._drop(self._above, folder)
        self._renew(self._below, self.path, CONTENT, self._listen_in(self.path), follow=self._follow)

    def cover(self, folders: set[str]) -> bool:
        """Subscribe to those folders that have no subscription. Return whether there were any: then list once more.

        Folders are dropped by their own DELETE_SELF or MOVE_SELF, not here.
        """
        new = False
        for folder in sorted(folders):
            if folder not in self._below:
                new |= self._renew(self._below, folder, CONTENT, self._listen_in(folder), follow=False)
        return new

    def close(self) -> None:
        """End all subscriptions."""
        for subscriptions in (self._above, self._below):
            for folder in tuple(subscriptions):
                self._drop(subscriptions, folder)

    def forget(self, top: str) -> None:
        """End the subscriptions of `top` and below it: another folder may be there now."""
        for folder in tuple(self._below):
            if folder == top or folder.startswith(top + "/"):
                self._drop(self._below, folder)

    def _renew(
        self,
        group: dict[str, Subscription],
        folder: str,
        mask: Mask,
        on_change: Callable[[Change], None],
        *,
        follow: bool,
        name: str | None = None,
    ) -> bool:
        # The new one first: if the inode is the same, the kernel keeps its watch and nothing is lost in between.
        subscription = self._inotify.subscribe(folder, mask, on_change, follow=follow, name=name)
        self._drop(group, folder)
        if subscription is None:
            return False
        group[folder] = subscription
        return True

    def _drop(self, group: dict[str, Subscription], folder: str) -> None:
        if (subscription := group.pop(folder, None)) is not None:
            self._inotify.cancel(subscription)

    def _listen_above(self, name: str) -> Callable[[Change], None]:
        def on_change(change: Change) -> None:
            if change.lost or (change.name == name and change.mask & NAMES):
                # Another folder may be at the path now, or none.
                self.forget(self.path)
                self._dirty(self.path)
            elif change.name == name and not change.is_folder:
                self._dirty(self.path)

        return on_change

    def _listen_in(self, folder: str) -> Callable[[Change], None]:
        def on_change(change: Change) -> None:
            if change.lost:
                self.forget(folder)
                self._dirty(folder)
            elif change.name.startswith(TEMPORARY_PREFIX) or not change.name:
                # Our own write in progress, whose rename is reported by its final name; or the folder's own mode.
                return
            elif change.is_folder:
                if change.mask & NAMES:
                    # Another folder may have this name now, even if the name was watched before.
                    self.forget(f"{folder}/{change.name}")
                    self._dirty(f"{folder}/{change.name}")
            else:
                self._dirty(f"{folder}/{change.name}")

        return on_change


def _folders_above(path: str) -> list[tuple[str, str]]:
    """Return the folders from `/` to the parent of `path`, each with the next name: of `/etc`, `("/", "etc")`."""
    parts = path.strip("/").split("/")
    return [("/" + "/".join(parts[:depth]), part) for depth, part in enumerate(parts)]
