"""The FILE facts of everything below the folders that eventd owns, kept current by inotify.

Owns the `FileWatch` port. A change marks its path; the worker (`run`) looks at what is marked, and emits one
`FILE_CHANGED` per file that is not what the fact says. So a file written three times while it is hashed costs
one more look, and a look that finds nothing new emits nothing. Symlinks are facts, and are never followed.

After `Q_OVERFLOW` nothing that is known can be trusted: `GAP`, new subscriptions, and all folders read afresh
(`READ`). Where a folder cannot be read, its facts are forgotten and `GAP` says why: the run that misses the
files will try to write them, and report the failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import anyio.to_thread
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.events import Emit, EventKind, KernelEvent
from eventd.kernel.model.facts import FactKey
from eventd.platform.file_state import Walk, translate, walk_at
from eventd.platform.folder_watch import FolderWatch
from eventd.platform.inotify import Inotify
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import FileState, PlatformFact
from eventd.platform.rereading import reread

_LOOKS = 16
"""How often one folder is listed in a row while new folders keep appearing in it; then it waits for its turn
again."""


class _Folder:
    """A watched folder: its subscriptions, and the facts that were emitted for it."""

    def __init__(self, watch: FolderWatch) -> None:
        self.watch = watch
        self.known: dict[str, FileState] = {}


class OwnedFilesSource:
    """The `FileWatch` port. `run` has to be running for changes to be seen; `watch` reads by itself.

    `touched`: told of a file that was written and is as it was, but for its times: no fact of ours, and yet systemd
    goes by them.
    """

    def __init__(
        self, inotify: Inotify, emit: Emit, *, touched: Callable[[str], None] = lambda _path: None
    ) -> None:
        self._inotify = inotify
        self._emit = emit
        self._touched = touched
        self._folders: dict[str, _Folder] = {}
        self._dirty: dict[str, set[str]] = {}
        self._wake = asyncio.Event()
        # One look at a time: an older one that ends later must not overwrite what a newer one found.
        self._lock = asyncio.Lock()
        self._gap = False
        inotify.on_gap(self._on_gap)

    async def watch(self, folder: str) -> None:
        """Watch `folder` recursively, also if it does not exist yet, and read it. Idempotent.

        Raises TemporaryError(reason="inotify-exhausted" | "io-error" | …), and then nothing is watched.
        """
        async with self._lock:
            watch = FolderWatch(self._inotify, folder, lambda path: self._mark(watch.path, path))
            if watch.path in self._folders:
                return
            entry = self._folders[watch.path] = _Folder(watch)
            try:
                await self._read(entry)
            except BaseException:
                self._drop(entry)
                raise

    async def unwatch(self, folder: str) -> None:
        """Stop that and forget its FILE facts, except those of another watched folder inside or around it."""
        async with self._lock:
            if (entry := self._folders.get(folder.rstrip("/"))) is not None:
                self._drop(entry)
                kept = {path for other in self._folders.values() for path in other.known}
                gone = [path for path in entry.known if path not in kept]
                if gone:
                    self._emit_changes(KernelEvent.READ, entry.watch.path, dict.fromkeys(gone))

    async def refresh(self, path: str) -> None:
        """Read one path of a watched folder now: under the same lock as every other look, so the newest look counts.

        Without a folder that is watched around it there is no fact to set. Raises as `watch`.
        """
        async with self._lock:
            for entry in tuple(self._folders.values()):
                if path.startswith(entry.watch.path + "/"):
                    try:
                        await self._reread(entry, path)
                    except OSError as error:
                        raise translate(error, "read", path) from error

    async def reread(self) -> None:
        """Read every watched folder afresh; what differs is told as a change. Raises as `watch`."""
        async with self._lock:
            for entry in tuple(self._folders.values()):
                try:
                    await self._reread(entry, entry.watch.path, touched=lambda _path: None)
                except OSError as error:
                    raise translate(error, "read", entry.watch.path) from error

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Look at what changed, until cancelled; `started` once it has.

        Raises TemporaryError(reason="inotify-exhausted"); started again, it reads everything afresh.
        """
        await reread(self._wake, self._read_changed, task_status)

    async def _read_changed(self) -> None:
        async with self._lock:
            try:
                await self._work()
            except BaseException:
                self._on_gap()
                raise

    def _on_gap(self) -> None:
        self._gap = True
        self._wake.set()

    def _mark(self, folder: str, path: str) -> None:
        self._dirty.setdefault(folder, set()).add(path)
        self._wake.set()

    async def _work(self) -> None:
        if self._gap:
            self._gap = False
            self._dirty.clear()
            self._emit(PlatformOrigin.INOTIFY, KernelEvent.GAP, "files")
            for entry in tuple(self._folders.values()):
                entry.watch.forget(entry.watch.path)
                try:
                    await self._read(entry)
                except OSError as error:
                    self._unreadable(entry, entry.watch.path, translate(error, "read", entry.watch.path))
        while self._dirty:
            folder, paths = self._dirty.popitem()
            entry_or_none = self._folders.get(folder)
            if entry_or_none is None:
                continue
            for path in _outermost(paths):
                try:
                    await self._reread(entry_or_none, path)
                except OSError as error:
                    self._unreadable(entry_or_none, path, translate(error, "read", path))

    async def _read(self, entry: _Folder) -> None:
        """Read a folder as a whole and say so, changed or not."""
        found = await self._cover(entry, entry.watch.path)
        changes: dict[str, FileState | None] = dict.fromkeys(entry.known)
        changes.update(found.files)
        entry.known = found.files
        self._emit_changes(KernelEvent.READ, entry.watch.path, changes)

    async def _reread(
        self, entry: _Folder, path: str, *, touched: Callable[[str], None] | None = None
    ) -> None:
        found = await self._cover(entry, path)
        below = path + "/"
        before = {p: s for p, s in entry.known.items() if p == path or p.startswith(below)}
        for changed in sorted(before.keys() | found.files.keys()):
            state = found.files.get(changed)
            if before.get(changed) == state:
                (touched or self._touched)(changed)
                continue
            if state is None:
                del entry.known[changed]
            else:
                entry.known[changed] = state
            self._emit_changes(PlatformEvent.FILE_CHANGED, changed, {changed: state})

    async def _cover(self, entry: _Folder, path: str) -> Walk:
        """Read `path`, having subscribed to all folders that are found there before they are listed."""
        root = entry.watch.path
        if path == root:
            entry.watch.arm()
        found = Walk()
        for _ in range(_LOOKS):
            found = await anyio.to_thread.run_sync(walk_at, root, path, abandon_on_cancel=True)
            if not entry.watch.cover(found.folders):
                return found
        self._mark(root, path)
        return found

    def _unreadable(self, entry: _Folder, path: str, error: EventdError) -> None:
        gone = [p for p in entry.known if p == path or p.startswith(path + "/")]
        for p in gone:
            del entry.known[p]
        self._emit(
            PlatformOrigin.INOTIFY,
            KernelEvent.GAP,
            path,
            attributes={"error": str(error), "reason": error.reason},
            facts=[(FactKey(PlatformFact.FILE, p), None) for p in gone],
        )

    def _drop(self, entry: _Folder) -> None:
        entry.watch.close()
        self._dirty.pop(entry.watch.path, None)
        del self._folders[entry.watch.path]

    def _emit_changes(self, kind: EventKind, subject: str, changes: dict[str, FileState | None]) -> None:
        facts = [(FactKey(PlatformFact.FILE, path), state) for path, state in changes.items()]
        self._emit(PlatformOrigin.INOTIFY, kind, subject, facts=facts)


def _outermost(paths: set[str]) -> list[str]:
    """Return `paths` without those that are below another of them."""
    kept: list[str] = []
    for path in sorted(paths, key=lambda p: p.split("/")):
        if not kept or not path.startswith(kept[-1] + "/"):
            kept.append(path)
    return kept
