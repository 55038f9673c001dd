"""Events for single paths: the configuration, the transforms folder, the branch of a local bare repository.

Owns, per path, an event kind and the last signature (device, inode, size, times) of the file there. A changed signature
is one event. It reads no content and sets no fact: the event only says what to read again.

A path may be a symlink: its target is watched too. If a link in the middle of the path is switched to another target,
that is noticed if its folder is on the way to the path or to the target.
"""

# ruff: noqa: ASYNC240, PTH116  lexical path operations on strings; stat in a worker thread

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Mapping
from typing import TypeAlias

import anyio.to_thread
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from eventd.kernel.model.events import NO_ATTRIBUTES, Attribute, Emit, EventKind
from eventd.platform.folder_watch import FolderWatch
from eventd.platform.inotify import Inotify
from eventd.platform.model_events import PlatformOrigin
from eventd.platform.wake_loop import run_on_wake

_Signature: TypeAlias = tuple[tuple[str, int, int, int, int, int], ...]


class _Trigger:
    """One path, the event to emit for it, and its last signature."""

    def __init__(self, path: str, kind: EventKind, subject: str, attributes: Mapping[str, Attribute]) -> None:
        self.path = path
        self.kind = kind
        self.subject = subject
        self.attributes = attributes
        self.watches: dict[str, FolderWatch] = {}
        self.seen: _Signature = ()


class PathTriggers:
    """Watches paths, which may be files, folders or missing. `run` must be running."""

    def __init__(self, inotify: Inotify, emit: Emit) -> None:
        self._inotify = inotify
        self._emit = emit
        self._triggers: list[_Trigger] = []
        self._dirty: set[_Trigger] = set()
        self._wake = asyncio.Event()
        self._lock = asyncio.Lock()
        inotify.on_gap(self.invalidate)

    async def add(
        self,
        path: str,
        kind: EventKind,
        *,
        subject: str = "",
        attributes: Mapping[str, Attribute] = NO_ATTRIBUTES,
    ) -> None:
        """Emit `kind` (origin inotify; subject: the path unless given) whenever the file at `path` changes.

        The present state is the baseline; no event is emitted for it. Raises
        TemporaryError(reason="inotify-exhausted").
        """
        trigger = _Trigger(os.path.normpath(path), kind, subject or path, attributes)
        async with self._lock:
            self._triggers.append(trigger)
            trigger.seen = await self._sign(trigger)

    async def clear(self) -> None:
        """Drop all paths, before a new configuration adds its own."""
        async with self._lock:
            for trigger in self._triggers:
                for watch in trigger.watches.values():
                    watch.close()
            self._triggers.clear()
            self._dirty.clear()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Check changed paths until cancelled; `started` once all were checked.

        Raises TemporaryError(reason="inotify-exhausted"); when started again, it checks every path.
        """
        await run_on_wake(self._wake, self._check_changed, task_status)

    async def _check_changed(self) -> None:
        async with self._lock:
            try:
                while self._dirty:
                    await self._check(self._dirty.pop())
            except BaseException:
                self.invalidate()
                raise

    async def _check(self, trigger: _Trigger) -> None:
        seen = await self._sign(trigger)
        if seen != trigger.seen:
            trigger.seen = seen
            self._emit(PlatformOrigin.INOTIFY, trigger.kind, trigger.subject, attributes=trigger.attributes)

    def invalidate(self) -> None:
        """Check every path again: changes may have been missed. The signatures show whether any were."""
        for trigger in self._triggers:
            for watch in trigger.watches.values():
                watch.forget(watch.path)
            self._mark(trigger)

    def _mark(self, trigger: _Trigger) -> None:
        self._dirty.add(trigger)
        self._wake.set()

    async def _sign(self, trigger: _Trigger) -> _Signature:
        """Subscribe to the path's present target, then take its signature."""
        while True:
            places = await anyio.to_thread.run_sync(_places, trigger.path, abandon_on_cancel=True)
            for place in trigger.watches.keys() - places:
                trigger.watches.pop(place).close()
            for place in places:
                if place not in trigger.watches:
                    watch = FolderWatch(self._inotify, place, lambda _: self._mark(trigger), follow=True)
                    trigger.watches[place] = watch
                trigger.watches[place].arm()
            found, folders = await anyio.to_thread.run_sync(_signature, trigger.path, abandon_on_cancel=True)
            new = False
            for place, watch in trigger.watches.items():
                new |= watch.cover(_at(folders, place))
            if not new:
                return found


def _places(path: str) -> set[str]:
    return {path, os.path.realpath(path)}


def _at(folders: set[str], place: str) -> set[str]:
    """Return the absolute paths of folders given relative to `place`."""
    return {f"{place}/{folder}" for folder in folders}


def _signature(path: str) -> tuple[_Signature, set[str]]:
    """Return the signature of a file, or of all files below a folder, and the relative paths of its folders.

    A file that cannot be read (ENOENT, EACCES, EIO, …) counts as missing: whoever reads it after the event reports why.
    """
    signature: list[tuple[str, int, int, int, int, int]] = []
    folders: set[str] = set()

    def sign(name: str, status: os.stat_result) -> None:
        signature.append(
            (name, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        )

    try:
        status = os.stat(path)
    except OSError:
        return (), folders
    if not stat.S_ISDIR(status.st_mode):
        sign("", status)
        return tuple(signature), folders
    # An empty folder differs from a missing one.
    signature.append(("", status.st_dev, status.st_ino, 0, 0, 0))
    for top, below, files in os.walk(path):
        relative = os.path.relpath(top, path)
        folders.update(os.path.normpath(f"{relative}/{name}") for name in below)
        for name in sorted((*files, *below)):
            try:
                status = os.lstat(f"{top}/{name}")
            except OSError:
                continue
            if not stat.S_ISDIR(status.st_mode):
                sign(f"{relative}/{name}", status)
    return tuple(signature), folders
