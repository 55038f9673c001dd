"""inotify, shared by all sources that watch folders. The daemon has two instances.

One is for folders that only root can write. The other is `guarded`, for folders that others can write, such as a
workload's runtime folder or a path that a gate waits for: somebody could make its queue overflow. Each of its watches
has a budget, and a folder with more changes than that is not watched for a while, and then read again.

Owns the descriptor, the watches and their masks. A lost change is always reported: `Q_OVERFLOW` calls every `on_gap`
callback. It reads no file; `eventd.platform.folder_watch` builds recursion on it.

Facts of the kernel (inotify(7)) behind the design:
- A watch belongs to the inode, not to the path. Two subscribers of one folder share a watch descriptor: its mask is the
  union of theirs, and each keeps its own path.
- A folder that is renamed keeps its watch. One whose *parent* is renamed reports nothing, so a subscriber that needs a
  path watches every folder above it for the next name.
- `IN_IGNORED` follows a removed watch. Watch descriptors are never reused within an instance.
- A mount on top of a watched folder is not reported; the mount source reports it.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import asyncinotify
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from asyncinotify import Mask

from eventd.kernel.model.budget import Budget
from eventd.kernel.model.conduct import Conduct
from eventd.kernel.model.errors import EventdError, PermanentError, TemporaryError

NAMES = Mask.CREATE | Mask.DELETE | Mask.MOVED_FROM | Mask.MOVED_TO
"""Entries that appear and disappear: enough for a folder above the watched path."""
SELF = Mask.DELETE_SELF | Mask.MOVE_SELF
ATTRIBUTES = Mask.ATTRIB
"""Owner, group and mode of entries. A folder is made first, and gets its owner afterwards."""
CONTENT = NAMES | SELF | ATTRIBUTES | Mask.CLOSE_WRITE | Mask.MODIFY
"""Entries and their content. `MODIFY` because truncate(2) causes no other event; the kernel merges repeated ones."""

# As numbers: an operator of enum.Flag takes microseconds, and these run for every event.
_LOST = (SELF | Mask.IGNORED | Mask.UNMOUNT).value
_OVERFLOW = Mask.Q_OVERFLOW.value
_IGNORED = Mask.IGNORED.value
_READ_EVENTS = 128
_AT_ONCE, _PER_SECOND = 2000, 200
"""Changes in one guarded folder before it is muted."""
_LONGEST_PAUSE = 30.0
_NOISY = 1000
"""How many muted folders are remembered."""
_log = logging.getLogger(__name__)
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


@dataclass(frozen=True, slots=True)
class Change:
    """Something happened in a watched folder."""

    name: str
    """The entry; empty for the folder itself."""
    mask: Mask

    @property
    def is_folder(self) -> bool:
        """The entry is a folder."""
        return Mask.ISDIR in self.mask

    @property
    def lost(self) -> bool:
        """The folder was moved, deleted or unmounted: this subscription is of no more use."""
        return bool(self.mask.value & _LOST)


Callback: TypeAlias = Callable[[Change], None]


class Subscription:
    """One subscriber's interest in one folder; ended with `Inotify.cancel`."""

    __slots__ = ("bits", "callback", "name", "path", "wd")

    def __init__(self, path: str, mask: Mask, callback: Callback, name: str | None) -> None:
        self.path = path
        self.bits: int = mask.value
        self.callback: Callback | None = callback
        self.name = name
        self.wd = -1


class _Watched:
    """A folder and its subscribers, by the name that they wait for; None for any name."""

    __slots__ = ("budget", "by_name", "path", "watch")

    def __init__(self, watch: asyncinotify.Watch, path: str, budget: Budget | None) -> None:
        self.watch = watch
        self.path = path
        self.budget = budget
        # Dictionaries as ordered sets. Every workload subscribes to `/`, `/etc` and so on: the cost of an event there,
        # and of ending a subscription, must not grow with their number.
        self.by_name: dict[str | None, dict[Subscription, None]] = {}

    def add(self, subscription: Subscription) -> None:
        self.by_name.setdefault(subscription.name, {})[subscription] = None

    def remove(self, subscription: Subscription) -> None:
        group = self.by_name.get(subscription.name, {})
        group.pop(subscription, None)
        if not group:
            self.by_name.pop(subscription.name, None)

    def all(self) -> list[Subscription]:
        """Return all subscribers."""
        return [each for group in self.by_name.values() for each in group]

    def concerned(self, change: Change) -> list[Subscription]:
        """Return the subscribers that a change concerns. The loss of the folder concerns all."""
        if change.lost:
            return self.all()
        return [*self.by_name.get(None, ()), *self.by_name.get(change.name, ())]


class Inotify:
    """One instance. Callbacks run on the loop's thread and must not block; `run` has to be running.

    `guarded`: for folders that others can write. Raises TemporaryError(reason="inotify-exhausted") at the user's limit
    of instances.
    """

    def __init__(self, *, guarded: bool = False) -> None:
        try:
            self._inotify = asyncinotify.Inotify(cache_size=_READ_EVENTS)
        except OSError as error:
            raise _inotify_error(error, "create an inotify instance") from error
        self._by_wd: dict[int, _Watched] = {}
        self._gaps: list[Callable[[], None]] = []
        self.overflows = 0
        self._guarded = guarded
        self._noisy: dict[str, Conduct] = {}
        self._muted: set[asyncio.TimerHandle] = set()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Deliver changes until cancelled; `started` at once."""
        task_status.started()
        while True:
            event = await self._inotify.get()
            self._dispatch(event)

    def close(self) -> None:
        """Close the instance; no callback is called any more."""
        self._by_wd.clear()
        for timer in self._muted:
            timer.cancel()
        self._inotify.close()

    def on_gap(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the kernel's queue has overflowed: any watched folder may have changed."""
        self._gaps.append(callback)

    def subscribe(
        self, path: str, mask: Mask, callback: Callback, *, follow: bool, name: str | None = None
    ) -> Subscription | None:
        """Call `callback` for changes in the folder at `path`; return None if there is no folder.

        `follow`: whether the last component may be a symlink. `name`: report changes of this entry only, and the loss
        of the folder. The caller lists the folder *after* this returns. Raises
        TemporaryError(reason="inotify-exhausted") at the limit of watches.
        """
        subscription = Subscription(path, mask, callback, name)
        flags = Mask.ONLYDIR if follow else Mask.ONLYDIR | Mask.DONT_FOLLOW
        try:
            # MASK_ADD: other subscribers of this inode keep their masks.
            watch = self._inotify.add_watch(path, mask | flags | Mask.MASK_ADD)
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise _inotify_error(error, f"watch {path}") from error
        subscription.wd = watch.wd
        if watch.wd not in self._by_wd:
            budget = Budget(_AT_ONCE, _PER_SECOND) if self._guarded else None
            self._by_wd[watch.wd] = _Watched(watch, path, budget)
        self._by_wd[watch.wd].add(subscription)
        return subscription

    def cancel(self, subscription: Subscription) -> None:
        """End a subscription. It may have ended already."""
        if subscription.callback is None:
            return
        subscription.callback = None
        entry = self._by_wd.get(subscription.wd)
        if entry is None:
            return
        entry.remove(subscription)
        if entry.by_name:
            # The mask stays as wide as it was. Narrowing it needs the path, which may be another folder by now.
            return
        del self._by_wd[subscription.wd]
        try:
            self._inotify.rm_watch(entry.watch)
        except OSError as error:
            # EINVAL: the folder is gone, and its IN_IGNORED is still in the queue.
            if error.errno != errno.EINVAL:
                raise _inotify_error(error, f"stop watching {subscription.path}") from error

    def _dispatch(self, event: asyncinotify.Event) -> None:
        bits = event.mask.value
        if bits & _OVERFLOW:
            self.overflows += 1
            for gap in tuple(self._gaps):
                gap()
            return
        watch = event.watch
        entry = None if watch is None else self._by_wd.get(watch.wd)
        if watch is None or entry is None:
            return
        if bits & _IGNORED:
            del self._by_wd[watch.wd]
        elif entry.budget is not None and not entry.budget.take(asyncio.get_running_loop().time()):
            self._mute(watch.wd, entry)
            return
        change = Change("" if event.name is None else str(event.name), event.mask)
        lost = change.lost
        for subscription in entry.concerned(change):
            # A callback may cancel other subscriptions. A subscriber gets no more than its own mask.
            if subscription.callback is not None and (lost or subscription.bits & bits):
                subscription.callback(change)

    def _mute(self, wd: int, entry: _Watched) -> None:
        """Stop watching a folder. After a pause, its subscribers are told that it was lost, and read it again."""
        del self._by_wd[wd]
        try:
            self._inotify.rm_watch(entry.watch)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise _inotify_error(error, f"stop watching {entry.path}") from error
        loop = asyncio.get_running_loop()
        conduct = self._noisy.pop(entry.path, None) or Conduct()
        self._noisy[entry.path] = conduct
        if len(self._noisy) > _NOISY:
            del self._noisy[next(iter(self._noisy))]
        pause = min(conduct.offended(loop.time()), _LONGEST_PAUSE)
        _log.warning(
            "more than %d changes a second in %s: not watching it for %g s", _PER_SECOND, entry.path, pause
        )

        def resume() -> None:
            self._muted.discard(timer)
            for subscription in entry.all():
                if subscription.callback is not None:
                    subscription.callback(Change("", Mask.IGNORED))

        timer = loop.call_later(pause, resume)
        self._muted.add(timer)


def _inotify_error(error: OSError, what: str) -> EventdError:
    if error.errno in (errno.ENOSPC, errno.EMFILE, errno.ENOMEM):
        which = "max_user_watches" if error.errno == errno.ENOSPC else "max_user_instances"
        return TemporaryError(
            f"cannot {what}: {error.strerror}",
            reason="inotify-exhausted",
            hint=f"raise the sysctl fs.inotify.{which}",
        )
    return PermanentError(f"cannot {what}: {error.strerror}", reason="inotify-failed")


class GuardedInotify(Inotify):
    """The instance for folders that others can write: a noisy folder is muted, and does not affect the others."""

    def __init__(self) -> None:
        super().__init__(guarded=True)
