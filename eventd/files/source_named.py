"""The NAMED facts: files of the host that workloads name and use at their start, as their accounts see them.

Owns the wanted paths, the subscriptions that trigger reads, and the last results. The daemon's inotify watches the path
to a file as far as it belongs to root. From the first folder or link of another owner on (`foreign`), a path unit in
the workload's own manager watches it, through `eventd.audit.source`: so root follows no foreign links, and a busy
workload cannot fill the daemon's queue. A file is read when its writer has closed it or renamed it into place, not
while it is being written.

A workload's files are read in one worker thread with a deadline. If that does not answer, the state of the workload's
files is *unknown*: their facts are removed until it answers, and no other workload has to wait.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

import anyio
from anyio import TASK_STATUS_IGNORED, CapacityLimiter
from anyio.abc import TaskGroup, TaskStatus
from asyncinotify import Mask

from eventd.files.adapter_named import Digester, Seen, observe
from eventd.files.model_named import expand
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.events import Attribute, Emit, KernelEvent
from eventd.kernel.model.facts import FactKey, Facts
from eventd.platform.inotify import ATTRIBUTES, Inotify
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import Account, PlatformFact
from eventd.platform.path_watch import PathWatch
from eventd.platform.processes.blocking_call import blocking_call
from eventd.platform.processes.isolated import isolated
from eventd.workloads.model_facts import NamedState, WorkloadFact

TIMEOUT = 5.0
"""Seconds for one read of all files of a workload."""
_ATTEMPTS = 16
"""How often the files of a workload are read in a row while their folders keep changing."""
_AT_ONCE = 8
_WRITTEN = ATTRIBUTES | Mask.CLOSE_WRITE
_log = logging.getLogger(__name__)
HandOver: TypeAlias = Callable[[str, frozenset[str]], None]
"""Called with a workload, and the paths that its own manager must watch."""


@dataclass(slots=True, eq=False)
class _File:
    """One path of one workload."""

    raw: str
    watch: PathWatch
    state: NamedState | None = None
    foreign: str = ""
    was_read: bool = False
    stale: bool = False
    """A new mount may hide the subscribed folders: discard a read in progress."""


@dataclass(slots=True, eq=False)
class _Owner:
    """One workload."""

    name: str
    files: dict[str, _File] = field(default_factory=dict)
    dirty: set[str] = field(default_factory=set)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    stuck: bool = False
    """A read has not returned: another thread would hang too."""
    retried: bool = False
    """Whether it was read again after a late answer."""
    foreign: frozenset[str] = frozenset()


class NamedFiles:
    """The source of NAMED facts. Changes are only seen while `run` is running; `want` itself reads new paths."""

    def __init__(
        self, emit: Emit, facts: Facts, inotify: Inotify, digester: Digester, hand_over: HandOver
    ) -> None:
        self._emit = emit
        self._facts = facts
        self._inotify = inotify
        self._digester = digester
        self._hand_over = hand_over
        self._owners: dict[str, _Owner] = {}
        self._wake = asyncio.Event()
        self._marked: set[str] = set()
        self._limit: CapacityLimiter | None = None
        self._stop: Callable[[], None] = lambda: None
        inotify.on_gap(self.invalidate)

    async def want(self, wanted: Mapping[str, Iterable[str]]) -> None:
        """Set the workloads and their paths, as written. Returns when the new paths have been read.

        The host's own paths, under the name "", are read with root's rights.

        Raises TemporaryError(reason="inotify-exhausted"); paths that were not reached are read by `run`.
        """
        paths = {name: frozenset(each) for name, each in wanted.items()}
        for name in self._owners.keys() - {name for name, each in paths.items() if each}:
            self._drop(self._owners[name], frozenset(self._owners[name].files))
            del self._owners[name]
        fresh = []
        for name, mine in paths.items():
            if not mine:
                continue
            owner = self._owners.setdefault(name, _Owner(name))
            self._drop(owner, owner.files.keys() - mine)
            new = mine - owner.files.keys()
            for raw in new:
                owner.files[raw] = self._file(owner, raw)
            if new:
                owner.dirty |= new
                fresh.append(owner)
        self._stop()
        accounts = [FactKey(PlatformFact.ACCOUNT, name) for name in self._owners]
        self._stop = self._facts.watch(accounts, lambda key: self.invalidate_owner(key.name))
        failed: list[EventdError] = []

        async def first(owner: _Owner) -> None:
            try:
                await self._alone(owner)
            except EventdError as error:
                failed.append(error)
                self._mark(owner)

        async with anyio.create_task_group() as group:
            for owner in fresh:
                group.start_soon(first, owner)
        if failed:
            raise failed[0]

    def invalidate_owner(self, name: str) -> None:
        """Read all files of a workload again: its account, or a path that its manager watches, has changed."""
        if (owner := self._owners.get(name)) is not None:
            owner.dirty |= owner.files.keys()
            self._mark(owner)

    def invalidate(self, points: Iterable[str] | None = None) -> None:
        """Read the files at or below these mount points again (None: all): something was mounted or unmounted."""
        for owner in self._owners.values():
            for each in owner.files.values():
                path = each.state.path if each.state is not None else ""
                if points is None or not path or any(each.watch.passes(point, path) for point in points):
                    each.stale = True
                    owner.dirty.add(each.raw)
                    self._mark(owner)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Read every path, then those that change, until cancelled; `started` once all have been read.

        Raises TemporaryError(reason="inotify-exhausted").
        """
        self.invalidate()
        try:
            async with anyio.create_task_group() as first:
                self._check_marked(first)
            task_status.started()
            async with anyio.create_task_group() as group:
                while True:
                    await self._wake.wait()
                    self._check_marked(group)
        except BaseExceptionGroup as group_:
            for error in group_.exceptions:
                if isinstance(error, EventdError):
                    raise error from group_
            raise

    def _check_marked(self, group: TaskGroup) -> None:
        self._wake.clear()
        names, self._marked = self._marked, set()
        for name in names:
            if (owner := self._owners.get(name)) is not None:
                group.start_soon(self._alone, owner)

    async def _alone(self, owner: _Owner) -> None:
        """Check one workload. Only exhausted inotify watches are everybody's problem; other errors stay its own."""
        exhausted: list[EventdError] = []

        async def check() -> None:
            try:
                await self._check(owner)
            except EventdError as error:
                exhausted.append(error)

        await isolated(
            f"files of {owner.name or 'this host'}", check, lambda _: owner.dirty.update(owner.files)
        )
        if exhausted:
            raise exhausted[0]

    def _file(self, owner: _Owner, raw: str) -> _File:
        def changed() -> None:
            owner.dirty.add(raw)
            self._mark(owner)

        def rerouted() -> None:
            if (mine := owner.files.get(raw)) is not None:
                mine.stale = True
            changed()

        return _File(raw, PathWatch(self._inotify, changed=changed, rerouted=rerouted, last=_WRITTEN))

    def _mark(self, owner: _Owner) -> None:
        self._marked.add(owner.name)
        self._wake.set()

    async def _check(self, owner: _Owner) -> None:
        """Read the marked files of one workload, until every folder on the way was subscribed to before the read."""
        async with owner.lock:
            for _ in range(_ATTEMPTS):
                if owner.stuck or not owner.dirty:
                    break
                account = self._facts.get(FactKey(PlatformFact.ACCOUNT, owner.name))
                marked, owner.dirty = owner.dirty, set()
                files = [owner.files[raw] for raw in sorted(marked & owner.files.keys())]
                if not isinstance(account, Account) and owner.name:
                    for each in files:
                        each.was_read = False
                        self._set_fact(owner, each, None)
                    break
                mine = account if isinstance(account, Account) else None
                found = await self._seen(owner, mine, files)
                for each, seen in zip(files, found, strict=True):
                    if each.stale:
                        owner.dirty.add(each.raw)  # something was mounted on the way during the read
                    elif seen is None:
                        self._set_fact(owner, each, None)
                    else:
                        each.foreign = seen.foreign
                        if each.watch.cover(seen.steps):
                            owner.dirty.add(each.raw)
                        self._apply(owner, each, seen.state)
            else:
                self._mark(owner)
            self._hand(owner)

    async def _seen(self, owner: _Owner, account: Account | None, files: list[_File]) -> list[Seen | None]:
        for each in files:
            if each.stale:
                each.stale = False
                each.watch.leave()
        paths = [
            expand(each.raw, account.name, account.uid, account.home) if account is not None else each.raw
            for each in files
        ]
        self._limit = self._limit or CapacityLimiter(_AT_ONCE)
        work = partial(_observe_all, paths, account, self._digester)
        try:
            found = await blocking_call(
                work, timeout=TIMEOUT, on_late=partial(self._answered, owner), limiter=self._limit
            )
        except TimeoutError:
            owner.stuck = True
            _log.warning(
                "reading the files that %s names took more than %g s; a file server may not answer",
                owner.name,
                TIMEOUT,
                extra={"workload": owner.name},
            )
            return [None] * len(files)
        owner.retried = False
        for path, seen in zip(paths, found, strict=True):
            if isinstance(seen, EventdError):
                _log.warning("%s, which %s names: %s", path, owner.name, seen, extra={"reason": seen.reason})
        return [seen if isinstance(seen, Seen) else None for seen in found]

    def _answered(self, owner: _Owner) -> None:
        """A late read has returned, so the files can be read again; only once, in case they are merely slow."""
        owner.stuck = False
        if not owner.retried:
            owner.retried = True
            self.invalidate_owner(owner.name)

    def _apply(self, owner: _Owner, each: _File, state: NamedState) -> None:
        if each.was_read:
            # It was seen in another state before, so it has changed since, whatever its timestamp says.
            now = time.monotonic_ns() // 1000
            state = replace(state, noticed=now)
        each.was_read = True
        if state != each.state:
            self._set_fact(owner, each, state)

    def _set_fact(self, owner: _Owner, each: _File, state: NamedState | None) -> None:
        """Set the fact; None: unknown."""
        before, each.state = each.state, state
        if before is None and state is None:
            return
        key = FactKey(WorkloadFact.NAMED, each.raw, owner.name)
        first = before is None or state is None
        there = state is not None and state.kind is not None
        attributes: dict[str, Attribute] = {
            "there": there,
            "problem": state.problem if state is not None else "unknown",
        }
        self._emit(
            PlatformOrigin.INOTIFY,
            KernelEvent.READ if first else PlatformEvent.FILE_CHANGED,
            state.path if state is not None else each.raw,
            scope=owner.name,
            attributes=attributes,
            facts=[(key, state)],
        )

    def _hand(self, owner: _Owner) -> None:
        foreign = frozenset(each.foreign for each in owner.files.values() if each.foreign)
        if foreign != owner.foreign:
            owner.foreign = foreign
            self._hand_over(owner.name, foreign)

    def _drop(self, owner: _Owner, paths: Iterable[str]) -> None:
        for raw in tuple(paths):
            each = owner.files.pop(raw)
            each.watch.leave()
            self._set_fact(owner, each, None)
        self._hand(owner)


def _observe_all(paths: list[str], account: Account | None, digester: Digester) -> list[Seen | EventdError]:
    found: list[Seen | EventdError] = []
    for path in paths:
        try:
            found.append(observe(path, account, digester))
        except EventdError as error:
            found.append(error)
    return found
