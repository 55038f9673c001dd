"""The FILE facts of single paths that gates wait for, anywhere on the host: whether they exist.

Owns the wanted paths, a subscription on every folder on the way to each, and the last results. A change in one of these
folders, a mount (`invalidate`; inotify does not report it) or an overflow makes it check the path again, and emit
`FILE_CHANGED` if it differs. Decides nothing and reads no content: the facts have no digest. Paths in the folders that
eventd owns are left to `eventd.files.source_owned`, which knows more.

The daemon sees the host through its sandbox: it has its own `/tmp`, `/var/tmp` and `/dev`, and cannot read `/root`. A
gate that waits for a path there never opens.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable
from functools import partial

from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.events import Emit, EventKind, KernelEvent
from eventd.kernel.model.facts import FactKey
from eventd.platform.inotify import ATTRIBUTES, Inotify
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import FileState, PlatformFact
from eventd.platform.path_lookup import PathLookup, look_up
from eventd.platform.path_watch import PathWatch
from eventd.platform.processes.blocking_call import BlockingCalls
from eventd.platform.wake_loop import run_on_wake

_ATTEMPTS = 16
"""How often one path is checked in a row while the way to it keeps changing."""
TIMEOUT = 5.0
"""Seconds for one check. A path on a dead file server must not delay the others."""
_log = logging.getLogger(__name__)


class _Path:
    """One wanted path."""

    def __init__(
        self, path: str, inotify: Inotify, changed: Callable[[_Path], None], rerouted: Callable[[_Path], None]
    ) -> None:
        self.path = path
        self.calls = BlockingCalls(partial(changed, self))
        self.watch = PathWatch(
            inotify, changed=partial(changed, self), rerouted=partial(rerouted, self), last=ATTRIBUTES
        )
        self.state: FileState | None = None
        self.stale = False
        """A new mount may hide the subscribed folders: discard a check in progress."""


class WatchedFiles:
    """Existence of wanted paths. `owned`: folders whose FILE facts another source emits. `run` must be running."""

    def __init__(self, inotify: Inotify, emit: Emit, *, owned: Iterable[str] = ()) -> None:
        self._inotify = inotify
        self._emit = emit
        self._owned = tuple(os.path.normpath(folder) for folder in owned)
        self._paths: dict[str, _Path] = {}
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()
        # One check at a time: an older one that ends later must not overwrite the result of a newer one.
        self._lock = asyncio.Lock()
        inotify.on_gap(self._on_gap)

    async def want(self, paths: Iterable[str]) -> None:
        """Set the paths (absolute, normalised). Returns when the new paths have been checked.

        Raises TemporaryError(reason="inotify-exhausted"); paths that were not reached are not watched.
        """
        async with self._lock:
            wanted = {path for path in paths if not self._is_owned(path)}
            for path in self._paths.keys() - wanted:
                self._drop(path)
            for path in sorted(wanted - self._paths.keys()):
                self._paths[path] = entry = _Path(path, self._inotify, self._mark, self._mark_stale)
                try:
                    await self._check(entry)
                except BaseException:
                    self._drop(path)
                    raise
                self._emit_change(KernelEvent.READ, entry)

    def invalidate(self, points: Iterable[str] | None = None) -> None:
        """Check the paths at or below these mount points again (None: all): something was mounted or unmounted."""
        for entry in self._paths.values():
            if points is None or any(entry.watch.passes(point, entry.path) for point in points):
                self._mark_stale(entry)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Check changed paths until cancelled; `started` once all marked paths were checked.

        Raises TemporaryError(reason="inotify-exhausted"); when started again, it checks every path.
        """
        await run_on_wake(self._wake, self._check_changed, task_status)

    async def _check_changed(self) -> None:
        async with self._lock:
            try:
                while self._dirty:
                    entry = self._paths.get(self._dirty.pop())
                    if entry is None:
                        continue
                    before = entry.state
                    await self._check(entry)
                    if entry.state != before:
                        self._emit_change(PlatformEvent.FILE_CHANGED, entry)
            except BaseException:
                self.invalidate()
                raise

    async def _check(self, entry: _Path) -> None:
        """Check the path and subscribe to its folders, until every folder was subscribed to before the check."""
        for _ in range(_ATTEMPTS):
            if entry.stale:
                entry.stale = False
                entry.watch.leave()
            found = PathLookup(None, entry.watch.steps)
            try:
                found = await entry.calls.call(partial(look_up, entry.path), timeout=TIMEOUT)
            except EventdError as error:
                _log.warning("%s: %s", entry.path, error, extra={"reason": error.reason})
            except TimeoutError:
                _log.warning("%s: no answer within %g s; a file server may not answer", entry.path, TIMEOUT)
            if entry.stale:
                continue  # something was mounted on the way during the check
            entry.state = found.state
            if not entry.watch.cover(found.steps):
                return
        self._mark(entry)

    def _mark_stale(self, entry: _Path) -> None:
        entry.stale = True
        self._mark(entry)

    def _mark(self, entry: _Path) -> None:
        self._dirty.add(entry.path)
        self._wake.set()

    def _on_gap(self) -> None:
        self.invalidate()

    def _emit_change(self, kind: EventKind, entry: _Path) -> None:
        fact = (FactKey(PlatformFact.FILE, entry.path), entry.state)
        attributes = {"there": entry.state is not None}
        self._emit(PlatformOrigin.INOTIFY, kind, entry.path, attributes=attributes, facts=[fact])

    def _drop(self, path: str) -> None:
        entry = self._paths.pop(path)
        entry.watch.leave()
        if entry.state is not None:
            entry.state = None
            self._emit_change(KernelEvent.READ, entry)

    def _is_owned(self, path: str) -> bool:
        return any(path == folder or path.startswith(folder + "/") for folder in self._owned)
