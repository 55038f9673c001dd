"""Watch a path, whether it exists or not, and if it is a folder everything below it.

Owns the subscriptions that this takes: on every folder on the way down to the path (for the next name on
that way), and on the folder and all folders below it. It reads no content; it says *where to look again*,
and the sources look (`eventd.files.source_owned`, `eventd.repository.source_triggers`).

The order is always: subscribe to a folder, then list it. A file made right after its folder is therefore
either listed or told. All methods run on the loop's thread; only listing goes to a worker thread.
"""

# ruff: noqa: PTH120  lexical path operations on strings, in a hot path

from __future__ import annotations

import os
from collections.abc import Callable

from asyncinotify import Mask

from eventd.platform.file_state import TEMPORARY_PREFIX
from eventd.platform.inotify import CONTENT, NAMES, SELF, Change, Inotify, Subscription


class FolderWatch:
    """The file or folder at `path`; a folder recursively.

    It may not exist, be replaced, or move with its parents.

    `dirty(path)` is called with what has to be looked at again. If that is `path` itself, `arm` comes first;
    if it is a folder, all below it is looked at, and `cover` is called with the folders found there until it
    returns False. `follow`: whether `path` itself may be a symlink to a folder; below it none is ever
    followed.
    """

    def __init__(
        self, inotify: Inotify, path: str, dirty: Callable[[str], None], *, follow: bool = False
    ) -> None:
        self.path = os.path.normpath(path)
        self._inotify = inotify
        self._dirty = dirty
        self._follow = follow
        self._way: dict[str, Subscription] = {}
        self._below: dict[str, Subscription] = {}

    def arm(self) -> None:
        """(Re)subscribe on the way to the path, and to the folder itself if it is one."""
        # From the top down: what appears in a folder after it was subscribed to is told.
        parent = os.path.dirname(self.path)
        reached = True
        for folder, name in _way_to(self.path):
            mask = CONTENT & ~SELF if folder == parent else NAMES
            reached = reached and self._renew(
                self._way, folder, mask, self._on_way(name), follow=True, name=name
            )
            if not reached:
                self._drop(self._way, folder)
        self._renew(self._below, self.path, CONTENT, self._in(self.path), follow=self._follow)

    def cover(self, folders: set[str]) -> bool:
        """Subscribe to those folders that are not yet; return True if there were any, so list once more.

        Folders are dropped by their own DELETE_SELF or MOVE_SELF, not here.
        """
        new = False
        for folder in sorted(folders):
            if folder not in self._below:
                new |= self._renew(self._below, folder, CONTENT, self._in(folder), follow=False)
        return new

    def close(self) -> None:
        """End all subscriptions."""
        for subscriptions in (self._way, self._below):
            for folder in tuple(subscriptions):
                self._drop(subscriptions, folder)

    def forget(self, top: str) -> None:
        """End the subscriptions of `top` and below: what they stood for may be another folder now."""
        for folder in tuple(self._below):
            if folder == top or folder.startswith(top + "/"):
                self._drop(self._below, folder)

    def _renew(
        self,
        group: dict[str, Subscription],
        folder: str,
        mask: Mask,
        told: Callable[[Change], None],
        *,
        follow: bool,
        name: str | None = None,
    ) -> bool:
        # The new one first: if it is the same inode, the kernel's watch stays and nothing is lost in between.
        subscription = self._inotify.subscribe(folder, mask, told, follow=follow, name=name)
        self._drop(group, folder)
        if subscription is None:
            return False
        group[folder] = subscription
        return True

    def _drop(self, group: dict[str, Subscription], folder: str) -> None:
        if (subscription := group.pop(folder, None)) is not None:
            self._inotify.cancel(subscription)

    def _on_way(self, name: str) -> Callable[[Change], None]:
        def on_change(change: Change) -> None:
            if change.lost or (change.name == name and change.mask & NAMES):
                # Another folder may stand at the path now, or none.
                self.forget(self.path)
                self._dirty(self.path)
            elif change.name == name and not change.is_folder:
                self._dirty(self.path)

        return on_change

    def _in(self, folder: str) -> Callable[[Change], None]:
        def on_change(change: Change) -> None:
            if change.lost:
                self.forget(folder)
                self._dirty(folder)
            elif change.name.startswith(TEMPORARY_PREFIX) or not change.name:
                # Our own write in progress, whose rename is told by its final name; or the folder's own mode.
                return
            elif change.is_folder:
                if change.mask & NAMES:
                    # Another folder may stand under this name now, also if the same name was watched before.
                    self.forget(f"{folder}/{change.name}")
                    self._dirty(f"{folder}/{change.name}")
            else:
                self._dirty(f"{folder}/{change.name}")

        return on_change


def _way_to(path: str) -> list[tuple[str, str]]:
    """Return the folders from `/` to the parent of `path`, each with the next name.

    `/etc` gives `("/", "etc")`.
    """
    parts = path.strip("/").split("/")
    return [("/" + "/".join(parts[:depth]), part) for depth, part in enumerate(parts)]
