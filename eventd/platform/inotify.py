"""inotify, shared by all sources of the daemon that watch folders: two instances.

The one is for places that only root writes. The other (`guarded`) is for those that anybody may write, a workload's
runtime folder or what a gate waits for: its queue can be made to overflow, and each of its watches has a budget. A
folder in which more goes on than that is watched no more for a while, and then looked at again.

Owns the descriptor, the watches and their masks, and the rule that what was lost is said: `Q_OVERFLOW` calls
every `gap` callback. It reads no file and decides nothing; `eventd.platform.folder_watch` builds recursion
on it.

Facts of the kernel (inotify(7)) that shape it:
- a watch belongs to the inode, not to the path, so two subscribers of one folder share a watch descriptor:
  the mask is the union of theirs, and each keeps its own idea of the path;
- a folder that is renamed keeps its watch, and one whose *parent* is renamed tells nothing at all: whoever
  needs a path watches every folder on the way for the next name;
- `IN_IGNORED` follows a removed watch, and watch descriptors are never reused within an instance;
- a mount on top of a watched folder is not told (mounts are the business of the mount source).
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import asyncinotify
from asyncinotify import Mask

from eventd.kernel.model.budget import Budget
from eventd.kernel.model.conduct import Conduct
from eventd.kernel.model.errors import EventdError, PermanentError, TemporaryError

NAMES = Mask.CREATE | Mask.DELETE | Mask.MOVED_FROM | Mask.MOVED_TO
"""Entries that come and go: enough for a folder that is only on the way to what is wanted."""
SELF = Mask.DELETE_SELF | Mask.MOVE_SELF
ATTRIBUTES = Mask.ATTRIB
"""Owner, group and mode of entries: a folder is made first, and given to its owner then."""
CONTENT = NAMES | SELF | ATTRIBUTES | Mask.CLOSE_WRITE | Mask.MODIFY
"""And what is in them. `MODIFY` since truncate(2) tells nothing else; the kernel merges repeated ones."""

# As numbers: the operators of enum.Flag take microseconds each, and this is done for every event.
_LOST = (SELF | Mask.IGNORED | Mask.UNMOUNT).value
_OVERFLOW = Mask.Q_OVERFLOW.value
_IGNORED = Mask.IGNORED.value
_READ_EVENTS = 128
_AT_ONCE, _PER_SECOND = 2000, 200
"""Changes in one guarded folder: more are not listened to."""
_LONGEST_PAUSE = 30.0
_NOISY = 1000
"""Folders of which is remembered that they were."""
_log = logging.getLogger(__name__)
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


@dataclass(frozen=True, slots=True)
class Change:
    """Something happened in a watched folder."""

    name: str
    """The entry, or empty: the folder itself."""
    mask: Mask

    @property
    def is_folder(self) -> bool:
        """The entry is a folder."""
        return Mask.ISDIR in self.mask

    @property
    def lost(self) -> bool:
        """The folder was moved, deleted or unmounted: this subscription has ended or is worth nothing."""
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
    """A folder and who is interested in it: by the one name that they wait for, None for any."""

    __slots__ = ("budget", "by_name", "path", "watch")

    def __init__(self, watch: asyncinotify.Watch, path: str, budget: Budget | None) -> None:
        self.watch = watch
        self.path = path
        self.budget = budget
        # Dictionaries as ordered sets: every workload has subscriptions of `/`, `/etc` and so on, and neither an event
        # there nor the end of one subscription may cost the more the more there are.
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
        """Return who is told. That the folder is lost concerns all."""
        if change.lost:
            return self.all()
        return [*self.by_name.get(None, ()), *self.by_name.get(change.name, ())]


class Inotify:
    """The instance. Callbacks are called on the loop's thread and must not block; `run` has to be running.

    `guarded`: for places that others may write. Raises TemporaryError(reason="inotify-exhausted") when the user's
    instances are used up.
    """

    def __init__(self, *, guarded: bool = False) -> None:
        try:
            self._inotify = asyncinotify.Inotify(cache_size=_READ_EVENTS)
        except OSError as error:
            raise _translate(error, "create an inotify instance") from error
        self._by_wd: dict[int, _Watched] = {}
        self._gaps: list[Callable[[], None]] = []
        self.overflows = 0
        self._guarded = guarded
        self._noisy: dict[str, Conduct] = {}
        self._muted: set[asyncio.TimerHandle] = set()

    async def run(self) -> None:
        """Hand on changes until cancelled."""
        while True:
            event = await self._inotify.get()
            self._dispatch(event)

    def close(self) -> None:
        """Give the instance back; nothing is told any more."""
        self._by_wd.clear()
        for timer in self._muted:
            timer.cancel()
        self._inotify.close()

    def on_gap(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the kernel's queue overflowed: anything may have happened anywhere."""
        self._gaps.append(callback)

    def subscribe(
        self, path: str, mask: Mask, callback: Callback, *, follow: bool, name: str | None = None
    ) -> Subscription | None:
        """Tell `callback` of changes in the folder at `path`; None if there is no folder.

        `follow`: whether the last component may be a symlink. `name`: the only entry that the caller wants to
        hear of (and of the folder's own loss). The caller lists the folder *after* this returns. Raises
        TemporaryError(reason="inotify-exhausted") at the limit of watches.
        """
        subscription = Subscription(path, mask, callback, name)
        flags = Mask.ONLYDIR if follow else Mask.ONLYDIR | Mask.DONT_FOLLOW
        try:
            # MASK_ADD: another subscriber of this inode keeps what it asked for.
            watch = self._inotify.add_watch(path, mask | flags | Mask.MASK_ADD)
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise _translate(error, f"watch {path}") from error
        subscription.wd = watch.wd
        if watch.wd not in self._by_wd:
            budget = Budget(_AT_ONCE, _PER_SECOND) if self._guarded else None
            self._by_wd[watch.wd] = _Watched(watch, path, budget)
        self._by_wd[watch.wd].add(subscription)
        return subscription

    def cancel(self, subscription: Subscription) -> None:
        """End a subscription; one that has ended already is no error."""
        if subscription.callback is None:
            return
        subscription.callback = None
        entry = self._by_wd.get(subscription.wd)
        if entry is None:
            return
        entry.remove(subscription)
        if entry.by_name:
            # The mask stays as wide as it was: narrowing it needs the path, which may lead elsewhere by now.
            return
        del self._by_wd[subscription.wd]
        try:
            self._inotify.rm_watch(entry.watch)
        except OSError as error:
            # EINVAL: the folder is gone, and its IN_IGNORED is still in the queue.
            if error.errno != errno.EINVAL:
                raise _translate(error, f"stop watching {subscription.path}") from error

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
            # A callback may cancel its neighbour; and who asked for less is not told more than that.
            if subscription.callback is not None and (lost or subscription.bits & bits):
                subscription.callback(change)

    def _mute(self, wd: int, entry: _Watched) -> None:
        """Stop watching a folder; later its subscribers are told that they have lost it, and read it again."""
        del self._by_wd[wd]
        try:
            self._inotify.rm_watch(entry.watch)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise _translate(error, f"stop watching {entry.path}") from error
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


def _translate(error: OSError, what: str) -> EventdError:
    if error.errno in (errno.ENOSPC, errno.EMFILE, errno.ENOMEM):
        which = "max_user_watches" if error.errno == errno.ENOSPC else "max_user_instances"
        return TemporaryError(
            f"cannot {what}: {error.strerror}",
            reason="inotify-exhausted",
            hint=f"raise the sysctl fs.inotify.{which}",
        )
    return PermanentError(f"cannot {what}: {error.strerror}", reason="inotify-failed")
