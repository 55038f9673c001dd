"""The FILE facts of all files in the folders that eventd owns, kept current by inotify.

Owns the `FileWatch` port. A change marks its path; the worker (`run`) reads the marked paths, and emits one
`FILE_CHANGED` for each file that differs from its fact. So a file written three times while it is being hashed costs
one more read, and a read that finds no difference emits nothing. Symlinks are facts, and are never followed.

After `Q_OVERFLOW` no fact can be trusted: it emits `GAP`, subscribes again, and reads all folders (`READ`). If a folder
cannot be read, its facts are removed and `GAP` says why; the next run then tries to write the files, and reports the
failure.
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
from eventd.platform.file_state import Walk, file_error, walk_at
from eventd.platform.folder_watch import FolderWatch
from eventd.platform.inotify import Inotify
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import FileState, PlatformFact
from eventd.platform.wake_loop import run_on_wake

_ATTEMPTS = 16
"""How often one folder is listed in a row while new folders keep appearing in it; then it is queued again."""


class _Folder:
    """A watched folder: its subscriptions and its emitted facts."""

    def __init__(self, watch: FolderWatch) -> None:
        self.watch = watch
        self.known: dict[str, FileState] = {}


class OwnedFilesSource:
    """The `FileWatch` port. Changes are only seen while `run` is running; `watch` itself reads.

    `touched`: called for a file that was written with the same content. No fact changes, but systemd checks the file's
    time.
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
        # One read at a time: an older read that ends later must not overwrite the result of a newer one.
        self._lock = asyncio.Lock()
        self._gap = False
        inotify.on_gap(self._on_gap)

    async def watch(self, folder: str) -> None:
        """Watch `folder` recursively, even if it does not exist yet, and read it. Idempotent.

        Raises TemporaryError(reason="inotify-exhausted" | "io-error" | …), in that case nothing is watched.
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
        """Stop watching, and remove its FILE facts, except those of other watched folders inside or around it."""
        async with self._lock:
            if (entry := self._folders.get(folder.rstrip("/"))) is not None:
                self._drop(entry)
                kept = {path for other in self._folders.values() for path in other.known}
                gone = [path for path in entry.known if path not in kept]
                if gone:
                    self._emit_changes(KernelEvent.READ, entry.watch.path, dict.fromkeys(gone))

    async def refresh(self, path: str) -> None:
        """Read one path of a watched folder now.

        It takes the lock of all reads, so the newest read counts.
        Does nothing if no watched folder contains the path. Raises as `watch`.
        """
        async with self._lock:
            for entry in tuple(self._folders.values()):
                if path.startswith(entry.watch.path + "/"):
                    try:
                        await self._reread(entry, path)
                    except OSError as error:
                        raise file_error(error, "read", path) from error

    async def reread(self) -> None:
        """Read every watched folder again, and emit differences as changes. Raises as `watch`."""
        async with self._lock:
            for entry in tuple(self._folders.values()):
                try:
                    await self._reread(entry, entry.watch.path, touched=lambda _path: None)
                except OSError as error:
                    raise file_error(error, "read", entry.watch.path) from error

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Read changed paths until cancelled; `started` once all marked paths were read.

        Raises TemporaryError(reason="inotify-exhausted"); when started again, it reads everything.
        """
        await run_on_wake(self._wake, self._read_changed, task_status)

    async def _read_changed(self) -> None:
        async with self._lock:
            try:
                await self._read_marked()
            except BaseException:
                self._on_gap()
                raise

    def _on_gap(self) -> None:
        self._gap = True
        self._wake.set()

    def _mark(self, folder: str, path: str) -> None:
        self._dirty.setdefault(folder, set()).add(path)
        self._wake.set()

    async def _read_marked(self) -> None:
        if self._gap:
            self._gap = False
            self._dirty.clear()
            self._emit(PlatformOrigin.INOTIFY, KernelEvent.GAP, "files")
            for entry in tuple(self._folders.values()):
                entry.watch.forget(entry.watch.path)
                try:
                    await self._read(entry)
                except OSError as error:
                    self._unreadable(entry, entry.watch.path, file_error(error, "read", entry.watch.path))
        while self._dirty:
            folder, paths = self._dirty.popitem()
            entry_or_none = self._folders.get(folder)
            if entry_or_none is None:
                continue
            for path in _outermost(paths):
                try:
                    await self._reread(entry_or_none, path)
                except OSError as error:
                    self._unreadable(entry_or_none, path, file_error(error, "read", path))

    async def _read(self, entry: _Folder) -> None:
        """Read a whole folder and emit `READ`, changed or not."""
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
        """Read `path`; every folder in it is subscribed to before it is listed."""
        root = entry.watch.path
        if path == root:
            entry.watch.arm()
        found = Walk()
        for _ in range(_ATTEMPTS):
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
